"""`edge-agent simulate-server`: a Realtime server without a provider.

Thread: main, which runs the server's event loop.  It must never need the network or a key.
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.outcome import guarded
from edge_agent.contract.errors import ConfigError, LinkError

if TYPE_CHECKING:
    from edge_agent.simulation.brains import Brain
    from edge_agent.simulation.server import RealtimeServer


@guarded
def simulate_server(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8765,
    play: Annotated[
        Path | None,
        typer.Option(help="Play to perform (a TOML file).  Without: it repeats what it hears."),
    ] = None,
    faults: Annotated[
        str, typer.Option(help="What goes wrong, as in stall,fail_code=insufficient_quota.")
    ] = "",
    key: Annotated[
        list[str] | None, typer.Option(help="API key that is let in; repeatable.  Default: any.")
    ] = None,
    first_delta_ms: Annotated[int, typer.Option(min=0, help="Thinking time of the model.")] = 250,
    as_: Annotated[
        list[str] | None,
        typer.Option(
            "--as", help="A way that no honest server has; repeatable.  help: lists them."
        ),
    ] = None,
    events: Annotated[bool, typer.Option(help="Print the type of every event.")] = False,
) -> int:
    """Serve the Realtime protocol on this machine, to try a speaker without key or internet."""
    import asyncio

    from edge_agent.simulation.faults import FaultError, Faults
    from edge_agent.simulation.server import RealtimeServer
    from edge_agent.simulation.traits import TRAITS

    names = as_ or []
    if unknown := [name for name in names if name not in TRAITS]:
        known = "\n".join(f"  {name:12} {trait.what}" for name, trait in TRAITS.items())
        raise typer.BadParameter(
            f"There is no {unknown[0]}.  There are:\n{known}", param_hint="--as"
        )
    try:
        switches = Faults.parse(faults)
    except FaultError as problem:
        raise typer.BadParameter(str(problem), param_hint="--faults") from None

    def show(side: str, event: dict[str, object], at: float) -> None:
        typer.echo(f"{at:10.3f}  {'→' if side == 'client' else '←'} {event.get('type')}")

    server = RealtimeServer(
        _brain(play),
        faults=switches,
        keys=frozenset(key) if key else None,
        first_delta_ms=first_delta_ms,
        traits=[TRAITS[name] for name in names],
        on_event=show if events else None,
        unix_time=time.time,
    )
    asyncio.run(_serve(server, host, port))
    return 0


def _brain(play: Path | None) -> Brain:
    from edge_agent.simulation.brains import ParrotBrain, PlayError, ScriptBrain

    if play is None:
        return ParrotBrain()
    try:
        return ScriptBrain.from_file(play)
    except PlayError as problem:
        raise ConfigError(str(problem), code="config.play") from None


async def _serve(server: RealtimeServer, host: str, port: int) -> None:
    import asyncio

    from edge_agent.simulation.server import listen

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            listening = await stack.enter_async_context(listen(server, host, port))
        except OSError as problem:
            reason = problem.strerror or type(problem).__name__
            raise LinkError(
                f"Cannot listen on {host} port {port}: {reason}.",
                fix="Choose another one with --port, or 0 for any free one.",
            ) from problem
        typer.echo(f"Serving {listening.url}   (Ctrl-C ends it)")
        typer.echo(
            "Try it:  EDGE_AGENT_REALTIME__PROVIDER=local EDGE_AGENT_REALTIME__URL="
            f"{listening.url} edge-agent run"
        )
        await stop.wait()
