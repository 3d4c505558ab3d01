"""`edge-agent devices`: sound devices by names that do not move.

Thread: main.  It must never print an index: it changes when something is plugged in.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from edge_agent.cli.outcome import EXIT_UNAVAILABLE, guarded


@guarded
def devices(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> int:
    """List microphones and loudspeakers, and what to write into the settings."""
    from edge_agent.audio.device.portaudio_library import list_devices
    from edge_agent.host.settings.text import toml_value

    found = list_devices()
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
            }
            for device in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return 0 if found else EXIT_UNAVAILABLE
    kinds = (
        ("Microphones", "capture_device", "capture_channels", "default_capture"),
        ("Loudspeakers", "render_device", "render_channels", "default_render"),
    )
    lines = []
    for title, key, channels, default in kinds:
        usable = [device for device in found if getattr(device, channels) > 0]
        typer.echo(f"{title}:" if usable else f"{title}: none")
        width = max((len(device.name) for device in usable), default=0)
        for device in usable:
            mark = "*" if getattr(device, default) else " "
            typer.echo(
                f" {mark} {device.name:<{width}}  {getattr(device, channels)} ch  "
                f"{device.default_rate_hz} Hz  {device.host_api}"
            )
        if usable:
            example = next((d for d in usable if getattr(d, default)), usable[0])
            lines.append(f"  {key} = {toml_value(example.name)}")
    if not lines:
        typer.echo(
            "edge-agent: no sound device was found.\n"
            "Plug one in, see whether `arecord -l` lists it, and whether this account is in the "
            "group audio.",
            err=True,
        )
        return EXIT_UNAVAILABLE
    typer.echo("\n* is the system's default.  To pin devices by name, write into the settings:")
    typer.echo("\n".join(["  [device]", *lines]))
    return 0
