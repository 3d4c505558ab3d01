"""What is remembered of a talk, and how it becomes notes."""
