"""What a network costs, and what happened to its gates: text, data and plots."""
