"""`edge-agent mcp`: which tools the configured servers have, and what has changed about them.

Thread: main.  It must never run a tool, print a secret, or let a server's words steer the terminal.
Connects by itself, beside a running speaker, which learns what was accepted from the file that both
read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_FAILED, EXIT_UNAVAILABLE, agreed, guarded, harmless, note

if TYPE_CHECKING:
    from edge_agent.cli.mcp_look import Look

WaitOption = Annotated[
    float, typer.Option("--wait", min=1, max=600, help="Longest wait for each, in seconds.")
]

app = typer.Typer(
    help="Look at the tool servers (MCP) of the settings.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def mcp() -> None:
    """Look at the tool servers (MCP) of the settings."""


@app.command("list")
@guarded
def list_tools(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these servers.  Default: all.")
    ] = None,
    wait_s: WaitOption = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_file: ConfigOption = None,
) -> int:
    """Connect to the tool servers of the settings and print their tools, with what each may do.

    Also tries those that are switched off.  Exit code 1 if one cannot be used.
    """
    looks = _looks(config_file, names, wait_s)
    if isinstance(looks, int):
        if as_json and looks == 0:
            typer.echo("[]")
        return looks
    if as_json:
        typer.echo(json.dumps([look.as_json() for look in looks], indent=2, ensure_ascii=False))
    else:
        typer.echo("\n\n".join("\n".join(look.lines()) for look in looks))
    return EXIT_FAILED if any(look.why for look in looks) else 0


@app.command()
@guarded
def accept(
    server: Annotated[str, typer.Argument(help="Its name in the settings.")],
    tools: Annotated[
        list[str] | None, typer.Argument(help="Only these tools.  Default: all that changed.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait_s: WaitOption = 30.0,
    config_file: ConfigOption = None,
) -> int:
    """Show what has changed about a server's tools since they were accepted, and accept it.

    Until then they need a press of the button, whatever the settings say.
    """
    from edge_agent.cli.mcp_accept import difference
    from edge_agent.contract.errors import AgentError

    looks = _looks(config_file, [server], wait_s)
    if isinstance(looks, int):
        return looks
    [look] = looks
    if look.why:
        typer.echo("\n".join(look.lines()))
        return EXIT_FAILED
    if unknown := [tool for tool in tools or () if tool not in look.shapes]:
        raise typer.BadParameter(
            f"the settings allow no tool {unknown[0]} of {server}, or it is gone"
        )
    wanted = {tool: then for tool, then in look.changed.items() if not tools or tool in tools}
    if not wanted:
        typer.echo("Nothing has changed since it was accepted.")
        return 0
    shapes = {tool: look.shapes[tool] for tool in wanted}
    for tool, then in wanted.items():
        typer.echo(difference(harmless(tool), then, shapes[tool]))
    names = ", ".join(map(harmless, wanted))
    agreed(f"Accept {names} as described now?", yes=yes)
    if not look.accepted.accept(server, shapes):
        raise AgentError("It cannot be kept.", fix="Is the disk full? Else start it with sudo.")
    typer.echo(f"Accepted: {names}.  A speaker that runs knows it within a minute.")
    return 0


@app.command(hidden=True)
@guarded
def units(config_file: ConfigOption = None) -> None:
    """Write the systemd units of the tool servers; edge-agent-tools.service does it as root."""
    from edge_agent.host.service import tool_units
    from edge_agent.host.settings.load import load

    files = tool_units.units(load(config_file).settings.mcp.servers)
    if tool_units.write(files):
        typer.echo(f"Units of tool servers: {sum(path.suffix == '.socket' for path in files)}.")


def _looks(config_file: Path | None, names: list[str] | None, wait_s: float) -> list[Look] | int:
    """What is found at these servers, or at all; an exit code where there is nothing to look at."""
    from edge_agent.cli.mcp_look import look_at_all
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.tool_store import ToolStore, tools_path
    from edge_agent.tools.servers.mcp_server import is_installed, load_library

    settings = load(config_file).settings
    accepted = ToolStore(tools_path(settings.state.path), lambda *_a, **_f: None)
    become_owner(tools_path(settings.state.path).parent)  # their programs are not run as root
    servers = settings.mcp.servers
    unknown = [name for name in names or () if name not in servers]
    if unknown:
        raise typer.BadParameter(f"the settings have no tool server {unknown[0]}")
    wanted = {name: server for name, server in servers.items() if not names or name in names}
    if not wanted:
        note("the settings name no tool server; add one as [mcp.servers.NAME]")
        return 0
    if not is_installed():
        note("the extra for tool servers is missing; run scripts/install.sh once more")
        return EXIT_UNAVAILABLE
    load_library()
    return look_at_all(wanted, wait_s, accepted)
