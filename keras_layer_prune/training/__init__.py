"""Training and pruning in one `fit`."""
