"""What the owner asks of the running speaker and its files."""
