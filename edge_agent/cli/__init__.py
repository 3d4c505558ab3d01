"""The cli room: the command line, one thin file per group of verbs.."""
