"""`edge-agent calibrate`: how the loudspeaker reaches the microphone, measured and kept.

`calibrate` has the running speaker play and measure some sweeps (`app.checks`); where none runs it
opens the card itself, as `edge-agent doctor --sound` does.  What was found goes into the echo
store, from which the echo canceller starts: through the speaker, or as its account.

Thread: main.  It must never open a card beside the speaker, nor while it is muted, and keep no
sound: a sweep is dropped with its measures.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_agent.cli.doctor.findings import Finding, fail, has_failed, not_seen, ok, shown, warn
from edge_agent.cli.doctor.sound import echo, level
from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_FAILED, guarded, harmless

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Settings

CHECK_MAX_S = 60.0
"""Three sweeps take 9 s, and a small board some more to compute."""
SPREAD_MS = 10.0
"""The canceller bridges 60 ms; sound that jumps by more than this will leave them one day."""
CLEAR_DB = 10.0
"""Sweep over room: below it the measures are those of the noise as well."""
NEAR_LIMIT_DBFS = -6.0
DRAWN_WITH = (
    "The picture needs matplotlib, which is not installed: pip install 'edge-agent[demo]', with "
    "the pip of the Python that runs edge-agent."
)


@guarded
def calibrate(
    *,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE.png", help="Draw the room's response."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_file: ConfigOption = None,
) -> int:
    """Play three sweeps and measure delay, echo, noise and level; the echo canceller starts there.

    It takes ten seconds in which nobody should speak.  Exit code 0: measured, though there may be
    warnings; 1: something keeps the speaker from hearing.
    """
    from edge_agent.cli.voice.speech import read_settings
    from edge_agent.host.service.control import NotRunning

    settings = read_settings(config_file)
    runs = True
    try:
        found = _asked(settings)
    except NotRunning:
        runs = False
        found = _measured(settings)
    drawn = _drawn(found, picture) if picture is not None else []
    if not runs and found["heard"]:
        found["kept"] = _keep(settings, found)  # as another account from here on
    told = [*drawn, *findings(found)] if as_json else [*findings(found), *drawn]
    if as_json:
        rows = [dataclasses.asdict(one) for one in told]
        typer.echo(json.dumps({**found, "findings": rows}))
    else:
        for one in told:
            for line in shown(one):
                typer.echo(harmless(line))
    return EXIT_FAILED if has_failed(told) else 0


def findings(found: Mapping[str, Any]) -> Iterator[Finding]:
    """What was measured, and what it means."""
    yield level(found)
    yield echo(found)
    if found["heard"]:
        yield _steady(found)
        yield _loudness(found)
    yield _kept(found)


def _steady(found: Mapping[str, Any]) -> Finding:
    spread = float(found["spread_ms"])
    said = f"heard in {found['sweeps_heard']} of {found['sweeps']} sweeps, {spread:.1f} ms apart"
    if spread > SPREAD_MS:
        return warn(
            "Delay",
            f"{said}: it jumps, and the echo canceller has to search again",
            "Take longer blocks (device.block_ms), or a card or cable in place of Bluetooth.",
        )
    return ok("Delay", said)


def _loudness(found: Mapping[str, Any]) -> Finding:
    loud, noise = float(found["level_dbfs"]), float(found["noise_dbfs"])
    said = f"the sweep comes in with {loud:.0f} dBFS, {loud - noise:.0f} dB over the room"
    if loud - noise < CLEAR_DB:
        fix = "Turn it up (edge-agent volume +20), or try again when it is quiet."
        return warn("Loudness", f"{said}: hardly to be told from it", fix)
    if loud > NEAR_LIMIT_DBFS:
        fix = "Turn the gain down (alsamixer, F4), or the volume (edge-agent volume -20)."
        return warn("Loudness", f"{said}: near the microphone's limit", fix)
    return ok("Loudness", said)


def _kept(found: Mapping[str, Any]) -> Finding:
    if not found["heard"]:
        return not_seen("Kept", "nothing: there is no echo to start from")
    if not found["kept"]:
        fix = "Make room on the disk of state.path, or make it writable; then try again."
        return fail("Kept", "it could not be saved", fix)
    return ok("Kept", f"for {found['cards']}: the echo canceller starts from it")


# --- where it is measured -----------------------------------------------------------------------


def _asked(settings: Settings) -> dict[str, Any]:
    """By the running speaker, which keeps what it finds.  Raises `NotRunning`, `ControlError`."""
    from edge_agent.cli.doctor.speaker import check
    from edge_agent.host.service.control import ask, client_paths

    paths = client_paths(settings.control.path)
    answer = check(
        "calibrate",
        lambda request: ask(request, paths),
        max_s=CHECK_MAX_S,
        keep=True,
        series=True,
    )
    return {key: value for key, value in answer.items() if key not in ("ok", "done")}


def _measured(settings: Settings) -> dict[str, Any]:
    """By ourselves: nobody else has the card.  Raises `DeviceError`, also where it is muted."""
    from edge_agent.app.sound.check import QUIET_S, SWEEPS, TAIL_S, calibrated, sweep, swept
    from edge_agent.cli.doctor.sound import Player, listen, own_device
    from edge_agent.cli.owner.muted import check_not_muted
    from edge_agent.host.stores.echo_store import pair

    check_not_muted(settings)
    own = settings.device
    volume, seen, cards = min(own.volume_percent, own.volume_max_percent), [], ""
    for _sweep in range(SWEEPS):
        player = Player(sweep(), volume, QUIET_S)
        recording, info = listen(own_device(settings), player.render, player.seconds + TAIL_S)
        seen.append(swept(recording, info.capture_rate_hz, info.render_rate_hz))
        cards = pair(info.render_name, info.capture_name)
    return {**calibrated(seen, series=True), "cards": cards}


def _keep(settings: Settings, found: Mapping[str, Any]) -> bool:
    """Write it into the speaker's store, as its account."""
    from edge_agent.app.sound.check import echo_path
    from edge_agent.host.service.account import become_owner
    from edge_agent.host.stores.echo_store import EchoStore, echo_path_file

    file, path = echo_path_file(settings.state.path), echo_path(found)
    become_owner(file.parent)
    store = EchoStore(file, lambda _code, **_fields: None)
    known = store.load()
    known.pop(found["cards"], None)  # the newest is the last
    return path is not None and store.save({**known, found["cards"]: path})


def _drawn(found: Mapping[str, Any], picture: Path) -> list[Finding]:
    from edge_agent.cli.doctor.calibration_picture import draw

    if not found["heard"]:
        return [not_seen("Picture", "none: the loudspeaker was not heard")]
    if not draw(found, picture):
        return [not_seen("Picture", DRAWN_WITH)]
    return [ok("Picture", str(picture))]
