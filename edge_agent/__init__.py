"""edge-agent: the smart speaker that belongs to the household that owns it."""

__version__ = "0.1.0"
