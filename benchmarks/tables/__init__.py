"""What benchmarks/README.md says, one file a kind of result."""
