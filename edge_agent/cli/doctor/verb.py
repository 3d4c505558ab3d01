"""`edge-agent doctor`: everything that can keep the speaker from working, looked at once.

Each part of the folder makes findings of facts; here they are put in order.

Thread: main.  It asks the speaker that runs and opens no card beside it; muted, the microphone
stays shut.  It contacts the configured services and nobody else, and nobody at all with
`--offline`.  It must never make a sound unless `--sound` asks for it: it may be night.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_agent.cli.doctor.findings import (
    Finding,
    State,
    fail,
    has_failed,
    is_clock_wrong,
    not_seen,
    ok,
    shown,
    warn,
)
from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_FAILED, guarded, harmless

if TYPE_CHECKING:
    from edge_agent.cli.doctor.speaker import Ask
    from edge_agent.host.service.status import Status
    from edge_agent.host.settings.root import Settings

ROOT = Path("/")
CREDENTIAL = "etc/edge-agent/openai_api_key"
"""From where systemd hands the key to the service, below `ROOT`."""
CORRECT = "Correct them (edge-agent config check), then: sudo systemctl restart edge-agent."
NOT_TRIED = "not tried; `edge-agent doctor --sound` plays two seconds"
NOT_PRESSED = "not tried; `edge-agent doctor --panel` blinks and waits 5 s for a press"


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What the owner wants to have looked at."""

    offline: bool = False
    sound: bool = False
    panel: bool = False
    fix: bool = False


@guarded
def doctor(
    config_file: ConfigOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Contact nobody.")] = False,
    sound: Annotated[
        bool, typer.Option("--sound", help="Play two seconds and listen to them.")
    ] = False,
    panel: Annotated[
        bool, typer.Option("--panel", help="Blink, and wait 5 s for a press of the button.")
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Mend first what is safe: rights, groups, folders, leftovers, a failed unit.  "
            "Never settings.",
        ),
    ] = False,
) -> int:
    """Look at settings, machine, sound, service and network, and name the command that mends.

    Exit code 0: nothing keeps the speaker from working, though there may be warnings; 1: something
    does.
    """
    found: list[Finding] = []
    for finding in findings(config_file, Wish(offline, sound, panel, fix)):
        found.append(finding)
        if not as_json:
            for line in shown(finding):
                typer.echo(harmless(line))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in found], indent=2))
    return EXIT_FAILED if has_failed(found) else 0


def findings(config_file: Path | None, wish: Wish) -> Iterator[Finding]:
    """Everything, as it is seen."""
    from edge_agent.cli.doctor.machine import machine
    from edge_agent.cli.doctor.repairs import repaired
    from edge_agent.cli.doctor.rights import rights
    from edge_agent.cli.doctor.service import run, service
    from edge_agent.cli.voice.speech import read_settings
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.stores.state import state_path

    if wish.fix:
        yield from repaired(ROOT, run, is_root=os.geteuid() == 0)
    are_read = True
    try:
        settings = read_settings(config_file)
        yield from _settings(config_file, settings)
    except AgentError as problem:
        are_read = False
        yield fail("Settings", problem.message, f"{CORRECT} {problem.fix.strip()}".strip())
        settings = Settings()
    state_folder = state_path(settings.state.path).parent
    seen = list(machine(ROOT, state_folder, datetime.now().astimezone()))
    yield from seen
    yield from rights(ROOT, state_folder)
    yield from service(ROOT, run)
    status, unasked = _asked(settings)
    if status is None and not are_read:
        yield unasked
        yield not_seen("Level", "not opened: whether it is muted stands with the settings")
    else:
        yield from _speaker(settings, status, unasked, wish)
    yield from _beside(settings, status)
    yield from _key(settings, are_read=are_read)
    if not are_read:
        yield not_seen("Service", "not contacted: which one it is stands in the settings")
    elif wish.offline:
        yield not_seen("Service", "not contacted (--offline)")
    else:
        yield from _services(settings, status, clock_is_wrong=is_clock_wrong(seen))


def _settings(config_file: Path | None, settings: Settings) -> Iterator[Finding]:
    from edge_agent.cli.prompt import check_persona
    from edge_agent.host.settings.advice import NO_KEY
    from edge_agent.host.settings.load import load

    loaded = load(config_file)
    check_persona(settings)
    read = ", ".join(map(str, loaded.files)) or "no file, only defaults"
    chosen = sum(where != "the provider's record" for where in loaded.origins.values())
    yield ok("Settings", f"{read}; {chosen} set")
    realtime = settings.realtime
    keys = [realtime.api_key_file, *(other.api_key_file for other in realtime.fallbacks)]
    for warning in loaded.warnings:
        # The key has lines of its own.
        if not warning.startswith((NO_KEY, *filter(None, keys))):
            yield warn("Settings", warning, "edge-agent config check")


# --- the speaker, or its card -----------------------------------------------------------------


def _asked(settings: Settings) -> tuple[Status | None, Finding]:
    """What the speaker says of itself; or None, and whether it does not run (`-`) or cannot be
    asked."""
    from edge_agent.cli.owner.control import known_status
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.service.control import NotRunning, ask, client_paths

    try:
        status = known_status(ask({"do": "status"}, client_paths(settings.control.path)))
    except NotRunning:
        return None, not_seen("Speaker", "it does not run")
    except AgentError as problem:
        return None, warn("Speaker", f"it cannot be asked: {problem.message}", problem.fix)
    return status, ok("Speaker", "it answers")


def _speaker(
    settings: Settings, status: Status | None, unasked: Finding, wish: Wish
) -> Iterator[Finding]:
    """Of one that runs what it says and tries out; else its card and pins are free for us."""
    from edge_agent.cli.doctor.panel import lines
    from edge_agent.cli.doctor.speaker import running
    from edge_agent.host.service.control import ask, client_paths

    yield lines(ROOT, settings.panel.enabled)
    if status is not None:
        paths = client_paths(settings.control.path)
        yield from running(status)
        yield from _rivals_of(paths)
        yield from _trials(status, wish, lambda request: ask(request, paths))
        return
    yield unasked
    if unasked.state is State.NOT_SEEN:  # else it runs, and its card and pins are left alone
        found = list(_cards(settings))
        yield from found
        if not has_failed(found):
            yield from _own_sound(settings, wish)
        yield from _own_panel(settings, wish)


def _trials(status: Status, wish: Wish, ask: Ask) -> Iterator[Finding]:
    """What the running speaker tries out for us."""
    from edge_agent.cli.doctor.panel import pressed
    from edge_agent.cli.doctor.sound import heard, level
    from edge_agent.cli.doctor.speaker import check
    from edge_agent.contract.errors import AgentError

    if status.microphone == "muted":
        yield not_seen("Level", "the microphone is muted and stays shut")
    elif not wish.sound:
        yield not_seen("Sound", NOT_TRIED)
    else:
        try:
            found = check("check_sound", ask)
            yield level(found)
            yield from heard(found)
        except AgentError as problem:
            yield not_seen("Sound", f"not tried: {problem.message} {problem.fix}".strip())
    if not wish.panel:
        yield not_seen("Button", NOT_PRESSED)
        return
    try:
        yield pressed(check("check_panel", ask))
    except AgentError as problem:
        yield not_seen("Button", f"not tried: {problem.message} {problem.fix}".strip())


def _rivals_of(paths: list[Path]) -> Iterator[Finding]:
    from edge_agent.audio.device.cards import read_cards
    from edge_agent.cli.doctor.sound import rivals
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.service.control import speaker_pid

    try:
        yield from rivals(read_cards(ROOT), speaker_pid(paths))
    except AgentError as problem:
        yield not_seen("Rivals", problem.message)


def _cards(settings: Settings) -> Iterator[Finding]:
    from edge_agent.audio.device.cards import read_cards
    from edge_agent.audio.device.portaudio_library import list_devices
    from edge_agent.cli.doctor.service import run
    from edge_agent.cli.doctor.sound import cards, mixer, rivals
    from edge_agent.contract.errors import DeviceError

    known = read_cards(ROOT)
    try:
        yield from cards(list_devices(), known, settings)
    except DeviceError as problem:
        yield fail("Sound", problem.message, problem.fix)
    yield from rivals(known, 0)
    for card in sorted({side.card for side in known.sides if side.is_capture}):
        yield from mixer(card, run(["amixer", "-c", str(card), "scontents"]))


def _own_sound(settings: Settings, wish: Wish) -> Iterator[Finding]:
    """Nobody has the card: listen to the room, and if asked, to the loudspeaker."""
    from edge_agent.app.sound.check import QUIET_S, TAIL_S, sample, verdict
    from edge_agent.cli.doctor.sound import LISTEN_S, Player, heard, level, listen, own_device
    from edge_agent.cli.owner.muted import check_not_muted
    from edge_agent.contract.errors import AgentError, DeviceError

    try:
        check_not_muted(settings)
    except AgentError:
        yield not_seen("Level", "the microphone is muted and stays shut")
        return
    own = settings.device
    volume = min(own.volume_percent, own.volume_max_percent)
    player = Player(sample(settings) if wish.sound else b"", volume, QUIET_S)
    try:
        seconds = player.seconds + TAIL_S if wish.sound else LISTEN_S
        recording, info = listen(own_device(settings), player.render, seconds)
    except DeviceError as problem:
        yield fail("Level", problem.message, problem.fix)
        return
    found: dict[str, Any] = verdict(recording, info.capture_rate_hz, info.render_rate_hz, settings)
    yield level(found)
    if wish.sound:
        yield from heard(found)
    else:
        yield not_seen("Sound", NOT_TRIED)


def _own_panel(settings: Settings, wish: Wish) -> Iterator[Finding]:
    from edge_agent.cli.doctor.panel import pressed, tried

    yield pressed(tried(settings)) if wish.panel else not_seen("Button", NOT_PRESSED)


# --- what is beside, and the service ----------------------------------------------------------


def _beside(settings: Settings, status: Status | None) -> Iterator[Finding]:
    from edge_agent.cli.doctor.extras import tool_servers, voice

    yield from voice(settings)
    yield from tool_servers(settings.mcp.servers, None if status is None else status.tool_servers)


def _key(settings: Settings, *, are_read: bool) -> Iterator[Finding]:
    from edge_agent.cli.doctor.key import key_file, key_text
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.price_list import load_providers, owners_path

    realtime = settings.realtime
    if not are_read:  # it may be the key that they cannot be read for
        yield from key_file(ROOT / CREDENTIAL, realtime.provider, needs_key=False)
        return
    try:
        table = load_providers(owners_path(realtime.providers_file))
        needs_key = table.record(realtime.provider).needs_key
    except AgentError:
        return  # the service's line says so
    if realtime.api_key_file:
        file = Path(realtime.api_key_file)
        yield from key_file(file, realtime.provider, needs_key=needs_key)
    elif (ROOT / CREDENTIAL).exists() or not realtime.api_key.get_secret_value():
        yield from key_file(ROOT / CREDENTIAL, realtime.provider, needs_key=needs_key)
    else:
        yield key_text(realtime.api_key.get_secret_value(), realtime.provider)
    for other in realtime.fallbacks:
        if other.api_key_file:
            needs = table.record(other.provider).needs_key
            yield from key_file(Path(other.api_key_file), other.provider, needs_key=needs)


def _services(
    settings: Settings, status: Status | None, *, clock_is_wrong: bool
) -> Iterator[Finding]:
    from edge_agent.app.endpoints import endpoints
    from edge_agent.app.world import real_dialer
    from edge_agent.cli.doctor.extras import model_ends
    from edge_agent.cli.doctor.network import services
    from edge_agent.cli.doctor.speaker import session_of
    from edge_agent.cli.voice.speech import service_has_key
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.price_list import load_providers, owners_path

    has_key = bool(settings.realtime.api_key.get_secret_value())
    try:
        table = load_providers(owners_path(settings.realtime.providers_file))
        yield from model_ends(settings, table, datetime.now().astimezone().date())
        yield from services(
            endpoints(settings, table),
            real_dialer(settings),
            ca_file=settings.realtime.ca_file,
            clock_is_wrong=clock_is_wrong,
            connected="" if status is None else session_of(status),
            key_is_hidden=not has_key and service_has_key(),
        )
    except AgentError as problem:
        yield fail("Service", problem.message, problem.fix)
