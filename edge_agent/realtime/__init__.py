"""Talks to the model: JSON messages, the session's rules, the socket and its reconnects."""
