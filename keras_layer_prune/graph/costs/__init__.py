"""What a network costs, and what it would without some of its sections."""
