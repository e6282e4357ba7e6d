"""Pruning by PyTorch's libraries; runs in a process without TensorFlow."""
