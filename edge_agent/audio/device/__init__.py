"""Microphone and loudspeaker, kept open, and when their samples sound."""
