"""A network traced again on new layers, without what leaves it."""
