"""One training step: weights by the optimizer, gates by a projected step."""
