"""The shared words of all rooms: pcm, events, commands, ports, errors.  Imports no room."""
