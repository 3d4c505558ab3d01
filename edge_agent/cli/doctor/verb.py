"""`edge-agent doctor`: everything that can keep the speaker from working, looked at once.

Thread: main.  It asks the speaker that runs and opens no card beside it; muted, the microphone
stays shut.  It contacts the configured services and nobody else, and nobody at all with
`--offline`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.cli.doctor.findings import Finding, fail, has_failed, not_seen, ok, shown, warn
from edge_agent.cli.options import ConfigOption
from edge_agent.cli.outcome import EXIT_FAILED, guarded, harmless

if TYPE_CHECKING:
    from edge_agent.host.service.status import Status
    from edge_agent.host.settings.root import Settings

ROOT = Path("/")


@guarded
def doctor(
    config_file: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Contact nobody.")] = False,
) -> int:
    """Look at settings, machine, sound, service and network; exit code 1 if something fails."""
    found: list[Finding] = []
    for finding in findings(config_file, offline=offline):
        found.append(finding)
        if not as_json:
            for line in shown(finding):
                typer.echo(harmless(line))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in found], indent=2))
    return EXIT_FAILED if has_failed(found) else 0


def findings(config_file: Path | None, *, offline: bool) -> Iterator[Finding]:
    """Everything, as it is seen."""
    from edge_agent.cli.doctor.machine import machine
    from edge_agent.cli.doctor.speaker import running, unit
    from edge_agent.cli.voice.speech import read_settings
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.service.control import NotRunning
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.stores.state import state_path

    try:
        settings = read_settings(config_file)
        yield from _settings(config_file, settings)
    except AgentError as problem:
        yield fail("Settings", problem.message, problem.fix)
        settings = Settings()
    now = datetime.now().astimezone()
    yield from machine(ROOT, state_path(settings.state.path).parent, now)
    yield from _voice(settings)
    yield from unit()
    try:
        yield from running(_ask(settings))
    except NotRunning:
        yield not_seen("Speaker", "it does not run")
        yield from _sound(settings)
    except AgentError as problem:  # it runs, so that its card is left alone
        yield warn("Speaker", f"it cannot be asked: {problem.message}", problem.fix)
    if offline:
        yield not_seen("Service", "not contacted (--offline)")
    else:
        yield from _services(settings)


def _settings(config_file: Path | None, settings: Settings) -> Iterator[Finding]:
    from edge_agent.cli.prompt import check_persona
    from edge_agent.host.settings.advice import NO_KEY
    from edge_agent.host.settings.load import load

    loaded = load(config_file)
    check_persona(settings)
    read = ", ".join(map(str, loaded.files)) or "no file, only defaults"
    yield ok("Settings", f"{read}; {len(loaded.origins)} set")
    for warning in loaded.warnings:
        if not warning.startswith(NO_KEY):  # the service's own line says so
            yield warn("Settings", warning, "edge-agent config check")


def _voice(settings: Settings) -> Iterator[Finding]:
    from edge_agent.host.voice.espeak import is_installed

    if is_installed() or not settings.speech.sentences:
        yield ok("Voice", "espeak-ng speaks what is not recorded")
    else:
        yield fail(
            "Voice",
            "espeak-ng is not installed: nobody can be asked before a tool acts",
            "sudo apt-get install -y espeak-ng",
        )


def _ask(settings: Settings) -> Status:
    from edge_agent.cli.owner.control import known_status
    from edge_agent.host.service.control import ask, client_paths

    return known_status(ask({"do": "status"}, client_paths(settings.control.path)))


def _sound(settings: Settings) -> Iterator[Finding]:
    from edge_agent.audio.device.cards import read_cards
    from edge_agent.audio.device.portaudio import PortAudioDevice
    from edge_agent.audio.device.portaudio_library import list_devices
    from edge_agent.cli.doctor.speaker import cards, level
    from edge_agent.cli.owner.muted import check_not_muted
    from edge_agent.contract.errors import AgentError, DeviceError

    try:
        entries = list_devices()
    except DeviceError as problem:
        yield fail("Sound", problem.message, problem.fix)
        return
    found = list(cards(entries, read_cards(), settings))
    yield from found
    if has_failed(found):
        return
    try:
        check_not_muted(settings)
    except AgentError:
        yield not_seen("Level", "the microphone is muted and stays shut")
        return
    device = settings.device
    yield level(
        PortAudioDevice(
            device.capture_device,
            device.render_device,
            capture_rate_hz=device.rate_hz,
            render_rate_hz=device.rate_hz,
            block_ms=device.block_ms,
            capture_channel=device.capture_channel,
        )
    )


def _services(settings: Settings) -> Iterator[Finding]:
    from edge_agent.app.endpoints import endpoints
    from edge_agent.app.world import real_dialer
    from edge_agent.cli.doctor.network import services
    from edge_agent.contract.errors import AgentError
    from edge_agent.host.price_list import load_providers, owners_path

    try:
        table = load_providers(owners_path(settings.realtime.providers_file))
        yield from services(endpoints(settings, table), real_dialer(settings))
    except AgentError as problem:
        yield fail("Service", problem.message, problem.fix)
