"""One HTTPS client and those who stand on it."""
