"""`edge-agent devices`: sound devices by names that do not move.

Thread: main.  It must never print an index: it changes when something is plugged in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.outcome import EXIT_UNAVAILABLE, guarded

if TYPE_CHECKING:
    from edge_agent.audio.device.choice import Choice
    from edge_agent.audio.device.devices import DeviceEntry


@guarded
def devices(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """List microphones and loudspeakers, and what to write into the settings."""
    from edge_agent.audio.device import cards
    from edge_agent.audio.device.choice import Wishes, choose
    from edge_agent.audio.device.portaudio_library import list_devices
    from edge_agent.contract.errors import DeviceError
    from edge_agent.host.settings.text import toml_value

    found = list_devices()
    chosen: dict[bool, Choice] = {}
    refused: dict[bool, DeviceError] = {}
    for capture in (True, False):
        try:
            chosen[capture] = choose(found, cards.read_cards(), Wishes(), capture=capture)
        except DeviceError as problem:
            refused[capture] = problem
    if as_json:
        rows = [
            {
                "name": device.name,
                "system": device.host_api,
                "capture_channels": device.capture_channels,
                "render_channels": device.render_channels,
                "rate_hz": device.default_rate_hz,
                "default_capture": device.default_capture,
                "default_render": device.default_render,
                "chosen_capture": _why(chosen.get(True), device),
                "chosen_render": _why(chosen.get(False), device),
            }
            for device in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return 0 if found else EXIT_UNAVAILABLE
    kinds = (
        ("Microphones", True, "capture_device", "capture_channels"),
        ("Loudspeakers", False, "render_device", "render_channels"),
    )
    lines = []
    for title, capture, key, channels in kinds:
        usable = [device for device in found if getattr(device, channels) > 0]
        typer.echo(f"{title}:" if usable else f"{title}: none")
        width = max((len(device.name) for device in usable), default=0)
        for device in usable:
            why = _why(chosen.get(capture), device)
            typer.echo(
                f" {'*' if why else ' '} {device.name:<{width}}  {getattr(device, channels)} ch  "
                f"{device.default_rate_hz} Hz  {device.host_api}" + (f"  ({why})" if why else "")
            )
        if capture in refused:
            typer.echo(f"   {refused[capture].message} {refused[capture].fix}")
        if usable:
            taken = chosen.get(capture)
            lines.append(f"  {key} = {toml_value((taken.entry if taken else usable[0]).name)}")
    if not lines:
        if not any(problem.code == "device.busy" for problem in refused.values()):
            typer.echo(
                "edge-agent: no sound device was found.\n"
                "Plug one in, see whether `arecord -l` lists it, and whether this account is in "
                "the group audio.",
                err=True,
            )
        return EXIT_UNAVAILABLE
    typer.echo("\n* is taken without a setting.  To pin devices by name, write into the settings:")
    typer.echo("\n".join(["  [device]", *lines]))
    return 0


def _why(chosen: Choice | None, device: DeviceEntry) -> str:
    """Why this device is the one that is taken without a setting; "" if it is not."""
    return chosen.why if chosen is not None and chosen.entry is device else ""
