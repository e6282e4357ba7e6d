"""What happens in every step: draws, estimates, moves of the gates; their clock."""
