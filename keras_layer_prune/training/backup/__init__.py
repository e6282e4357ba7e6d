"""Training that survives being killed."""
