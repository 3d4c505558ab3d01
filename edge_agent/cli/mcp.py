"""`edge-agent mcp`: which tools the configured servers have, to fill the allow-list (purpose).

Owner thread: main.  Must never run a tool, print a secret, or let a server's words steer the
terminal.  Connects by itself, beside a running speaker.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_FAILED, EXIT_UNAVAILABLE, guarded, note

app = typer.Typer(
    help="Look at the tool servers (MCP) of the settings.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def mcp() -> None:
    """A group of verbs, although it has one."""


@app.command("list")
@guarded
def list_tools(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these servers.  Default: all.")
    ] = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, max=600, help="Longest wait for each, in seconds.")
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_file: ConfigOption = None,
) -> int:
    """Connect to the tool servers of the settings and print their tools, with what each may do.

    Also tries those that are switched off.  Exit code 1 if one cannot be used.
    """
    from edge_agent.cli.mcp_look import look_at_all
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.settings.load import load
    from edge_agent.host.stores.keepsakes import keepsakes_folder
    from edge_agent.tools.servers.mcp_server import is_installed, load_library

    settings = load(config_file).settings
    become_owner(keepsakes_folder(settings.state.path))  # their programs are not run as root
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
    looks = look_at_all(wanted, wait_s)
    if as_json:
        typer.echo(json.dumps([look.as_json() for look in looks], indent=2, ensure_ascii=False))
    else:
        typer.echo("\n\n".join("\n".join(look.lines()) for look in looks))
    return EXIT_FAILED if any(look.why for look in looks) else 0
