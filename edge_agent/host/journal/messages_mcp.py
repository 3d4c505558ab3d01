"""Messages about tool servers: a part of the catalogue (purpose).

Owner thread: none, a table.  Must never hold a field for arguments, results or what a server's
program complains of, as `messages`.
"""

from __future__ import annotations

from edge_agent.host.journal.message import INFO, NOTICE, WARNING, Message

MCP: dict[str, Message] = {
    "mcp.ready": Message(
        INFO,
        "The tool server {server} is connected; the model may use {count} of its tools.",
        "See mcp.servers in the settings for which these are. edge-agent mcp list shows all.",
    ),
    "mcp.down": Message(
        WARNING,
        "The tool server {server} cannot be used: {why}.",
        "It is tried again, for ever, at most a minute apart, and at once when the model asks for "
        "one of its tools. Said once for each reason. edge-agent mcp list tries it now, and shows "
        "what its program complains of.",
    ),
    "mcp.left_out": Message(
        NOTICE,
        "The tool {tool} of {server} is left out: {why}.",
        "The model is not told of it; the server's other tools can be used.",
    ),
    "mcp.absent": Message(
        NOTICE,
        "The tool server {server} has no tool {tool}, which the settings allow.",
        "It may be misspelt, or another version of the server calls it otherwise. "
        "edge-agent mcp list shows the names.",
    ),
    "mcp.changed": Message(
        WARNING,
        "The tool {tool} of {server} is described otherwise than when it was accepted.",
        "What it is for, or what it is given, is not what you allowed. Until you accept it anew it "
        "is done only after a press of the button, whatever the settings say. See the difference "
        "with: sudo edge-agent mcp accept SERVER TOOL",
    ),
    "tools.repaired": Message(
        WARNING,
        "How tools were accepted could not be read ({why}); the old file is kept as {path}.",
        "Every tool of a tool server is done only after a press of the button until you accept it: "
        "sudo edge-agent mcp accept SERVER",
    ),
    "tools.unwritable": Message(
        WARNING,
        "How tools are described cannot be kept ({why}).",
        "A change of them will not be noticed. See state.path in the settings: the file is beside "
        "it.",
    ),
    "mcp.missing": Message(
        WARNING,
        "Tool servers are configured, but the extra for them is not installed.",
        "Everything else runs. Run scripts/install.sh once more: it installs the extra when the "
        "settings name a tool server. In an environment of your own install edge-agent[mcp].",
    ),
}
