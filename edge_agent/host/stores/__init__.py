"""What is kept on this machine, what is left out of it, and what leaves the house."""
