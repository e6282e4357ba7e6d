"""What happens when sections leave: a smaller network, the optimizer's state, the log."""
