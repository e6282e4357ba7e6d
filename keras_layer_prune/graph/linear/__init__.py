"""Linear layers: which they are, and several of them as one."""
