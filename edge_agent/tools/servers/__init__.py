"""Tools that come from other programs (MCP)."""
