"""What the speaker decides.  Pure: events and times come in, commands go out."""
