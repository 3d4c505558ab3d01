"""Settings, key and log level of a whole speaker that goes on running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from whole_house import PATIENCE_S, Answers, answered, faults, play, ready, whole_turn

from edge_agent.app.daemon import Daemon
from edge_agent.app.key_watch import KeyWatch
from edge_agent.app.reload import KEY_FILE, LIVE, value_of
from edge_agent.demo.stage import Stage
from edge_agent.host.secret_files import KeySource
from edge_agent.host.service.control import ASKED_BY, ControlError
from edge_agent.host.settings.complaints import Problem
from edge_agent.host.settings.load import SettingsError
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.sources import API_KEY, all_keys


async def ask(stage: Stage, do: str, **request: Any) -> dict[str, Any]:
    """As the socket would."""
    answer = stage.daemon.owner_commands[do]({"do": do, ASKED_BY: 1000, **request})
    return await answer if asyncio.iscoroutine(answer) else answer  # type: ignore[return-value]


def changed(settings: Settings, **values: object) -> Settings:
    """The settings with other values (`section__key`), unchecked."""
    for dotted, value in values.items():
        name, _, key = dotted.partition("__")
        section = getattr(settings, name).model_copy(update={key: value})
        settings = settings.model_copy(update={name: section})
    return settings


def from_now_on(stage: Stage, read: Callable[[], Settings]) -> None:
    """What the speaker finds when it reads its settings anew."""
    stage.daemon.running.reloader._read = read


async def reloaded(stage: Stage, **values: object) -> dict[str, Any]:
    fresh = changed(stage.daemon.running.reloader.settings, **values)
    from_now_on(stage, lambda: fresh)
    return await ask(stage, "reload")


def config(daemon: Daemon) -> Any:
    return daemon.dialogue.state.config


def gain(daemon: Daemon) -> Any:
    return daemon.sound.playout._state.volume


def kept(daemon: Daemon) -> Any:
    return daemon.running._recorder._files._terms


EFFECTS: dict[str, tuple[object, Callable[[Daemon], bool]]] = {
    "device.volume_percent": (50, lambda d: abs(gain(d).target - 0.25) < 1e-9),
    "device.volume_max_percent": (60, lambda d: abs(gain(d).most - 0.36) < 1e-9),
    "listen.chime": ("never", lambda d: config(d).chime == "never"),
    "listen.follow_up_s": (9.0, lambda d: config(d).follow_up_s == 9.0),
    "listen.quiet_end_s": (7.0, lambda d: config(d).quiet_end_s == 7.0),
    "listen.utterance_max_s": (11.0, lambda d: config(d).utterance_max_s == 11.0),
    "listen.local_silence_ms": (900, lambda d: config(d).local_silence_ms == 900),
    "barge_in.by_speech": (False, lambda d: not config(d).barge_in_by_speech),
    "barge_in.enabled": (False, lambda d: not config(d).barge_in_by_speech),
    "panel.long_press_ms": (700, lambda d: config(d).long_press_s == 0.7),
    "consent.by_voice": (False, lambda d: not config(d).consent_by_voice),
    "guest.end_by_button": (False, lambda d: not config(d).guest_end_by_button),
    "conversation.forget_after_h": (3.0, lambda d: config(d).forget_after_h == 3.0),
    "realtime.persona": ("concise", lambda d: "You are a voice interface." in told_instructions(d)),
    "realtime.instructions": ("Call me Ada.", lambda d: "Call me Ada." in told_instructions(d)),
    "realtime.language": ("de", lambda d: "German" in told_instructions(d)),
    "budget.daily_cap_usd": (2.0, lambda d: d.ledger.spending.budget.cap == 2_000_000),
    "budget.warn_percent": (50, lambda d: d.ledger.spending.budget._warn_percent == 50),
    "journal.level": ("warning", lambda d: d.journal._level == 4),
    "privacy.keep_transcripts_days": (3, lambda d: kept(d).transcripts_days == 3),
    "privacy.keep_audio_days": (2, lambda d: kept(d).audio_days == 2),
    "privacy.keep_audio_max_mb": (7, lambda d: kept(d).audio_max_bytes == 7_000_000),
}


def told_instructions(daemon: Daemon) -> str:
    return daemon.link._config.instructions


def test_what_is_live_takes_effect_and_everything_else_is_said_to_want_a_restart() -> None:
    assert EFFECTS.keys() == LIVE.keys()

    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            daemon = stage.daemon
            assert not any((await reloaded(stage)).values()), "nothing has changed"
            for key, (value, holds) in EFFECTS.items():
                before = holds(daemon)
                told = await reloaded(stage, **{key.replace(".", "__"): value})
                assert told == {"live": [key], "later": [], "restart": [], "problems": []}, key
                assert holds(daemon), key
                assert not before or key == "barge_in.enabled", f"{key} shows nothing"
            for _, holds in EFFECTS.values():
                assert holds(daemon), "a later change left the earlier ones alone"
            others = [key for key in all_keys() if key not in (*LIVE, API_KEY, KEY_FILE)]
            odd = {key.replace(".", "__"): object() for key in others}
            told = await reloaded(stage, **odd)
            assert (told["restart"], told["live"]) == (others, [])
            assert value_of(daemon.settings, "listen.chime") == "on_pause", "that of the start"
            assert not faults(stage)

    play(house())


def test_a_reload_drops_no_talk_and_debug_lines_tell_kinds_and_no_content() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            stage.daemon.journal.set_level(6)
            await ready(stage)
            assert await ask(stage, "log_level") == {"level": "info", "left_s": 0}
            told = await ask(stage, "log_level", to="debug", seconds=60)
            assert told == {"level": "debug", "left_s": 60}
            said = await stage.say("wake_tea_second_voice")
            await stage.until(lambda: stage.daemon.dialogue.talk.value == "listening", 5.0, "woken")
            told = await reloaded(stage, realtime__instructions="Call me Ada.")
            assert (told["live"], told["later"]) == ([], ["realtime.instructions"])
            await whole_turn(stage, said, "answer_tea")
            await stage.until_talk("asleep", PATIENCE_S)
            await asyncio.sleep(2)
            [session] = stage.server.sessions
            [first] = answered(stage)
            assert "Ada" not in first.turn.instructions
            assert "Call me Ada." in str(session.config["instructions"])

            codes = {n.code for n in stage.score.journal}
            assert {"link.sent", "link.received", "dialogue.state", "dialogue.gate"} <= codes
            kinds = {n.fields["type"] for n in stage.score.journal if n.code == "link.received"}
            assert "response.done" in kinds
            assert not any("audio.delta" in str(kind) for kind in kinds)
            await asyncio.sleep(60)
            assert await ask(stage, "log_level") == {"level": "info", "left_s": 0}
            count = len([n for n in stage.score.journal if n.code.startswith("dialogue.")])
            await ask(stage, "mute", to="on")
            assert len([n for n in stage.score.journal if n.code.startswith("dialogue.")]) == count
            with pytest.raises(ControlError, match="no such level"):
                await ask(stage, "log_level", to="verbose")
            assert not faults(stage)

    play(house())


def test_wrong_settings_are_refused_whole_with_their_place_and_remedy() -> None:
    wrong = SettingsError(
        [Problem("/etc/x.toml line 3", "listen.mdoe", "no such key. Did you mean listen.mode?")]
    )

    def read() -> Settings:
        raise wrong

    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            before = stage.daemon.running.reloader.settings
            from_now_on(stage, read)
            stage.daemon.running.reload()  # as SIGHUP does
            await asyncio.sleep(1)
            told = await ask(stage, "reload")
            assert told["problems"] == [str(wrong.problems[0])]
            assert stage.daemon.running.reloader.settings is before
            lines = [n for n in stage.score.journal if n.code.startswith("settings.")]
            assert [n.code for n in lines] == ["settings.wrong", "settings.kept"] * 2
            assert dict(lines[0].fields) == {
                "where": "/etc/x.toml line 3",
                "setting": "listen.mdoe",
                "why": "no such key. Did you mean listen.mode?",
            }
            states = [line.partition("=")[0] for _, line in stage.notifier.told]
            assert states.index("RELOADING") < len(states) - 1 - states[::-1].index("READY")
            assert not faults(stage)

    play(house())


def test_another_key_in_the_file_is_used_in_the_next_quiet_second(tmp_path: Path) -> None:
    file, quiet, redials, notes = tmp_path / "key", [True], list[int](), list[str]()
    file.write_text("sk-one")
    watch = KeyWatch(
        [KeySource("sk-one", str(file)), KeySource("sk-other", "")],
        is_quiet=lambda: quiet[0],
        redial=lambda: redials.append(1),
        note=lambda code, **_fields: notes.append(code),
    )
    watch.look()
    file.write_text("sk-one\n")
    watch.look()
    assert (redials, notes) == ([], []), "written anew, and the same key"
    quiet[0] = False
    file.write_text("sk-three")
    watch.look()
    assert redials == [], "somebody talks"
    quiet[0] = True
    watch.look()
    watch.look()
    assert (redials, notes) == ([1], ["link.key_changed"])
    for gone in (file.unlink, lambda: file.write_text("")):
        gone()
        watch.look()
        assert redials == [1], "a session that stands is not dropped for that"
    file.write_text("sk-three")
    watch.look()
    assert redials == [1]


def test_a_key_that_cannot_be_read_is_told_at_once_and_drops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, redials, notes = tmp_path / "key", list[int](), list[tuple[str, object]]()
    file.write_text("sk-one")
    source = KeySource("sk-one", str(file))
    watch = KeyWatch(
        [source],
        is_quiet=lambda: True,
        redial=lambda: redials.append(1),
        note=lambda code, **fields: notes.append((code, fields.get("error"))),
    )

    def refused(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    file.write_text("sk-two")
    with monkeypatch.context() as patched:
        patched.setattr("edge_agent.host.secret_files.read_text", refused)
        watch.look()
    assert (redials, notes) == ([], [("link.key_unreadable", "Permission denied")])
    file.chmod(0o600)  # its rights are mended: only the time of that has changed
    watch.look()
    assert redials == [1]
