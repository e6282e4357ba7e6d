"""What is looked at before any work: arguments, callbacks, what cannot go together."""
