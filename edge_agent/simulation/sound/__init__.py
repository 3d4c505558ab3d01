"""The virtual sound card and the room around it."""
