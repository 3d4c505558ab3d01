"""edge-agent: the smart speaker that belongs to the household that owns it."""

__version__ = "0.2.0.dev0"
"""Of the release that is being made; `edge_agent.version` adds the commit."""
