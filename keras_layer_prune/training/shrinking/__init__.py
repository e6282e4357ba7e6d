"""A model under training gets a smaller network: weights, slots and the log of it."""
