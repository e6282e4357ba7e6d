"""What happens when sections leave: a smaller network, optimizer state, the log."""
