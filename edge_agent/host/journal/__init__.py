"""The journal: every line with its code, its level and its explanation."""
