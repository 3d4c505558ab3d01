"""What an answer costs, and the day's limit."""
