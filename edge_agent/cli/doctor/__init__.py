"""`edge-agent doctor`: what is right about this machine and its speaker, and what is not."""
