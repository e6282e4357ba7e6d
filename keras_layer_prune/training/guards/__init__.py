"""Checks of what users hand to the training, and of what cannot go together."""
