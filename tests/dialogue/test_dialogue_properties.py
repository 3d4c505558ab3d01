"""Properties of the dialogue over any order of events, and over any moment of a drop."""

from __future__ import annotations

import dataclasses
import tempfile
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from driver import House, frame_pcm
from house_config import household_config, household_of, household_summaries
from hypothesis import example, given, note, settings
from hypothesis import strategies as st
from note_values import unlisted
from referee import Referee, tape
from replay import record, replay
from server_model import ModelServer, Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.details import TEXT_MODEL
from edge_agent.contract.pcm import silence
from edge_agent.contract.persona import SILENCE_TOOL
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Talk

RISKS = {"clock": Risk.LOW, "shop": Risk.MEDIUM, SILENCE_TOOL: Risk.LOW}
IDS = st.sampled_from(["1", "2", "3"])
WORDS = st.sampled_from(["yes", "no", "some words"])
CALLS = st.builds(
    e.ToolCall,
    call_id=IDS,
    name=st.sampled_from(["clock", "shop", "unlock", "mystery", SILENCE_TOOL]),
    arguments=st.sampled_from(["{}", '{"a":1}', ""]),
)
FRAME = frame_pcm(1)

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "pcm24k": st.integers(0, 500).map(silence),
    "speech": st.booleans(),
    "over_playback": st.booleans(),
    "whole": st.booleans(),
    "wake": st.sampled_from([None, "okay_nabu"]),
    "level_dbfs": st.just(-40.0),
    "button": st.sampled_from(["talk", "talk", "mute"]),
    "fault": st.sampled_from(["stuck", "closed at the start", "bounces"]),
    "muted": st.booleans(),
    "on": st.booleans(),
    "day": st.dates(min_value=date(2026, 1, 1), max_value=date(2026, 1, 4)),
    "name": st.sampled_from(["pasta", "x", "consent_1", "consent_2"]),
    "late_s": st.sampled_from([0.0, 100.0, 5000.0]),
    "item": IDS,
    "response": IDS,
    "call_id": IDS,
    "played_ms": st.floats(-10, 1e6),
    "never_started": st.lists(IDS, max_size=2).map(tuple),
    "capture_name": st.just("microphone"),
    "render_name": st.just("loudspeaker"),
    "capture_why": st.just("USB"),
    "render_why": st.just("USB"),
    "uid": st.just(1000),
    "who": st.just(TEXT_MODEL),
    "capture": st.booleans(),
    "hears": st.booleans(),
    "code": st.sampled_from(
        [
            *("link.lost", "server_error", "rate_limit_exceeded", ""),
            "conversation_already_has_active_response",
        ]
    ),
    "message": st.just("words of somebody"),
    "fix": st.just(""),
    "session": st.just("s"),
    "address": st.sampled_from(["", "api.example.com"]),
    "model": st.sampled_from(["", "gpt-realtime-2"]),
    "replaces": st.booleans(),
    "transcribes": st.booleans(),
    "refused": st.booleans(),
    "retry_in_s": st.just(1.0),
    "audio_start_ms": st.just(0),
    "audio_end_ms": st.just(0),
    "text": WORDS,
    "status": st.sampled_from(["completed", "completed", "cancelled", "failed", "incomplete"]),
    "calls": st.lists(CALLS, max_size=2).map(tuple),
    "items": st.lists(IDS, max_size=2).map(tuple),
    "usage": st.sampled_from([None, e.Usage(text_in=100, audio_in=900, audio_out=300)]),
    "tag": st.sampled_from(["t", "transcript_1", "consent_1", "summary_1", "notes_1"]),
    "ok": st.booleans(),
    "role": st.sampled_from(["user", "assistant", ""]),
    "kind": st.sampled_from(["message", "function_call", "function_call_output"]),
    "about": st.sampled_from(
        ["", "response.create", "input_audio_buffer.commit", "conversation.item.create 1"]
    ),
    "output": st.just("done"),
    "finish": st.booleans(),
    "schemas": st.just(({"type": "function", "name": "clock"},)),
    "risks": st.sampled_from([{"clock": Risk.LOW}, {"clock": Risk.LOW, "shop": Risk.HIGH}]),
    "terms": st.just({}),
}
"""What each field of an event may hold; a field that is missing here fails the test below."""


def field_names(kind: type[e.Event]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.name != "at"]


EVENTS = st.one_of(
    *(
        st.builds(kind, at=st.just(0.0), **{name: FIELDS[name] for name in field_names(kind)})
        for kind in tape.kinds().values()
        if kind not in (e.HeardFrame, e.Tick, e.StopRequested)  # bursts, time, the end
    )
)
BURSTS = st.tuples(
    st.integers(1, 60), st.booleans(), st.booleans(), st.sampled_from([None, None, "okay_nabu"])
)
ANSWERS = st.tuples(
    IDS,
    IDS,
    st.sampled_from([0.0, 40.0, 300.0, 900.0]),
    st.lists(CALLS, max_size=2).map(tuple),
    st.sampled_from(["completed", "completed", "completed", "failed", "", "late"]),
)
"""Response, its item, the item's length, calls, and how it ends (\"\": it has not yet)."""
STEPS = st.one_of(
    st.tuples(st.just("frames"), BURSTS),
    st.tuples(st.just("wait"), st.floats(0.0, 20.0)),
    st.tuples(st.just("event"), EVENTS),
    st.tuples(st.just("turn"), st.integers(5, 60)),
    st.tuples(st.just("answer"), ANSWERS),
    st.tuples(st.just("plays"), st.sampled_from([0, 1, 5])),
    st.tuples(st.just("agrees"), st.booleans()),
)
"""Single events in any order, and between them whole pieces of a talk: without these a run of any
length hardly ever gets as far as an answer."""
CONFIGS = st.builds(
    household_config,
    mode=st.sampled_from(["wake", "button", "always"]),
    server_turns=st.booleans(),
    chime=st.sampled_from(["on_pause", "always", "never"]),
    barge_in_by_speech=st.booleans(),
    consent_by_voice=st.booleans(),
    transcription=st.sampled_from(["off", "builtin", "out_of_band"]),
    summaries=st.builds(
        household_summaries,
        how=st.sampled_from(["off", "session", "text"]),
        after_turns=st.just(2),
        keep_turns=st.just(1),
    ),
    forget_after_h=st.sampled_from([0.0, 0.01]),
)


def test_every_event_has_a_handler() -> None:
    manager = DialogueManager(household_config())
    assert set(tape.kinds().values()) == set(manager.journeys)


def test_an_event_of_a_future_version_is_noted_once_and_counted() -> None:
    class Rumour(e.Event):
        pass

    manager = DialogueManager(household_config(), strict=True)
    manager.handle(e.LinkReady(at=0.0))
    note = c.Note("dialogue.unknown_event", {"kind": "Rumour"})
    assert [manager.handle(Rumour(at=at)) for at in (1.0, 2.0)] == [[note], []]
    assert manager.state.slips == {("dialogue.unknown_event", "Rumour"): 2}


class Nonsense:
    """Feeds any order of events; a loudspeaker that answers, a clock, and the referee."""

    def __init__(self, config: DialogueConfig, *, muted: bool = False, guest: bool = False) -> None:
        self.config, self.start = config, {"muted": muted, "guest": guest}
        self.manager = DialogueManager(config, muted=muted, guest=guest, strict=True)
        self.referee = Referee(household_of(config, muted=muted, guest=guest))
        self.steps: list[list[c.Command]] = []
        self.now = 0.0
        self.sounding: dict[str, None] = {}

    def send(self, event: e.Event) -> None:
        inbox = [dataclasses.replace(event, at=self.now)]
        while inbox:
            event = inbox.pop(0)
            if isinstance(event, e.PlaybackDrained | e.PlaybackCut):
                self.sounding.pop(event.item or "", None)
            commands = self.manager.handle(event)
            self.steps.append(commands)
            self.referee.observe(event, commands, self.now)
            deadline = self.manager.next_deadline()
            assert deadline is None or deadline > self.now, "a deadline in the past"
            for command in commands:
                if isinstance(command, c.Note):
                    assert unlisted(command) == []
                if isinstance(command, c.PlayVoice):
                    self.sounding[command.item] = None
                elif isinstance(command, c.CutPlayback):
                    inbox.insert(0, self._silence())
                elif isinstance(command, c.ReopenLink):
                    inbox.append(e.LinkDown(at=self.now, code="link.lost", message=""))
                    inbox.append(e.LinkReady(at=self.now))

    def _silence(self) -> e.PlaybackCut:
        """The loudspeaker falls silent: the first item had begun, the others had not."""
        items = list(self.sounding)
        begun, fresh = (items[0] if items else None), tuple(items[1:])
        self.sounding.clear()
        return e.PlaybackCut(at=self.now, item=begun, played_ms=37.0, never_started=fresh)

    def wait(self, seconds: float) -> None:
        """Let time pass, with every deadline on its way."""
        until = self.now + seconds
        while (due := self.manager.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.send(e.Tick(at=self.now))
        self.now = until

    def live(self, steps: list[tuple[str, Any]]) -> None:
        self.send(e.LinkReady(at=0.0))
        for kind, what in steps:
            getattr(self, f"_{kind}")(what)

    def _wait(self, seconds: float) -> None:
        self.wait(seconds)

    def _event(self, event: e.Event) -> None:
        self.send(event)

    def _frames(self, burst: tuple[int, bool, bool, str | None]) -> None:
        count, speech, over, wake = burst
        for index in range(count):
            self.now = round(self.now + 0.01, 6)
            if (due := self.manager.next_deadline()) is not None and due <= self.now:
                self.send(e.Tick(at=self.now))
            frame = e.HeardFrame(
                at=self.now,
                pcm24k=FRAME,
                speech=speech,
                over_playback=over,
                wake=wake if index == 0 else None,
            )
            self.send(frame)

    def _turn(self, frames: int) -> None:
        """Wake word and words in one breath, then a pause in which the server ends the turn."""
        self._frames((frames, True, False, "okay_nabu"))
        self._frames((30, True, False, None))
        self._frames((40, False, False, None))
        for kind in (e.UserSpeechStarted, e.UserSpeechStopped, e.UserTurnCommitted):
            self.send(kind(at=0.0, item=f"user_{len(self.steps)}"))

    def _answer(self, answer: tuple[str, str, float, tuple[e.ToolCall, ...], str]) -> None:
        response, item, ms, calls, status = answer
        self.send(e.ResponseStarted(at=0.0, response=response))
        if ms:
            chunk = e.VoiceChunk(at=0.0, response=response, item=item, pcm24k=silence(ms))
            self.send(chunk)
            self.send(e.VoiceText(at=0.0, response=response, item=item, text="some words"))
            self.send(e.VoiceEnded(at=0.0, response=response, item=item))
        if status == "late":
            self._plays(1)
        if status:
            done = "completed" if status == "late" else status
            self.send(
                e.ResponseEnded(
                    at=0.0, response=response, status=done, calls=calls, items=(item,) if ms else ()
                )
            )

    def _plays(self, items: int) -> None:
        """So many of the items in the loudspeaker are heard to their end; sentences too."""
        for item in [*self.sounding][:items]:
            self.send(e.PlaybackStarted(at=0.0, item=item))
            self.now += 0.5
            self.send(e.PlaybackDrained(at=0.0, item=item, played_ms=500.0))
        for name in [do.name for step in self.steps for do in step if isinstance(do, c.SayText)][
            -1:
        ]:
            self.send(e.TextStarted(at=0.0, name=name))
            self.now += 0.5
            self.send(e.TextDrained(at=0.0, name=name))

    def _agrees(self, by_button: bool) -> None:
        """Somebody answers a question, if there is one: by a press or in words."""
        if by_button:
            self.send(e.ButtonPressed(at=0.0))
            self.now += 0.1
            self.send(e.ButtonReleased(at=0.0))
            return
        self._frames((30, False, False, None))
        self._turn(10)
        tags = [do.tag for step in self.steps for do in step if isinstance(do, c.AskSideQuestion)]
        self.send(e.SideAnswer(at=0.0, tag=tags[-1] if tags else "t", text="yes"))

    def check(self) -> None:
        """A failing run can be played again: `python tests/replay.py FILE`."""
        self.referee.end(self.now)
        if self.referee.broken:
            path = Path(tempfile.gettempdir()) / "edge-agent-broken.tape"
            record(path, self.config, self.referee.events, **self.start)
            note(f"recorded in {path}")
        self.referee.check()


def test_every_field_of_every_event_can_be_drawn() -> None:
    fields = {name for kind in tape.kinds().values() for name in field_names(kind)}
    assert fields == set(FIELDS)


@settings(max_examples=300)
@given(
    config=st.one_of(st.just(household_config()), CONFIGS),
    muted=st.booleans(),
    guest=st.booleans(),
    steps=st.lists(STEPS, min_size=8, max_size=50),
    stop=st.booleans(),
)
def test_any_order_of_events_keeps_the_promises(
    config: DialogueConfig, muted: bool, guest: bool, steps: list[tuple[str, Any]], stop: bool
) -> None:
    talk = Nonsense(config, muted=muted, guest=guest)
    talk.live(steps)
    if stop:
        out = talk.manager.handle(e.StopRequested(at=talk.now))
        assert any(isinstance(command, c.CutPlayback) for command in out)
        final = talk.manager.handle(e.PlaybackCut(at=talk.now, item=None, played_ms=0.0))
        assert isinstance(final[-1], c.Exit)
        assert talk.manager.next_deadline() is None
    talk.check()


@settings(max_examples=40)
@given(config=CONFIGS, muted=st.booleans(), steps=st.lists(STEPS, min_size=5, max_size=40))
def test_a_run_that_was_recorded_plays_again(
    config: DialogueConfig,
    muted: bool,
    steps: list[tuple[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    talk = Nonsense(config, muted=muted)
    talk.live(steps)
    path = tmp_path_factory.mktemp("tape") / "run.tape"
    record(path, config, talk.referee.events, **talk.start)
    assert "words of somebody" not in path.read_text(encoding="utf-8")
    again, played = replay(path)
    assert [[type(do) for do in step] for step in played] == [
        [type(do) for do in step] for step in talk.steps
    ]
    assert again.told() == talk.referee.told()


# --- a well-behaved server, drops at any moment ---------------------------------------------------

FIRST = (0.5, 2.4)
FOLLOW_UP = (8.0, 9.2)


def household(plans: list[Plan], **server: Any) -> House:
    """One question, and a follow-up later (woken again if the window is over)."""
    house = House(ModelServer(**server), tool_risks=RISKS, barge_in_by_speech=False)
    house.connect()
    house.server.plans = plans
    house.says(*FIRST)
    house.wake_word(1.1)
    house.says(*FOLLOW_UP)
    house.wake_word(8.3)
    return house


def heard(house: House) -> list[str]:
    names = [house.server.item_response[item] for item, ms in house.speaker.played.items() if ms]
    return list(dict.fromkeys(names))


def verdict(house: House) -> None:
    """Every spoken turn was answered exactly once, or a sentence said why not."""
    fresh = {response for response, _ in house.server.fresh}
    told = [at for at, cmd in house.log if isinstance(cmd, c.PlaySentence)]
    for start, end in (FIRST, FOLLOW_UP):
        turn = house.spoken_frames(start + 0.1, end - 0.1)
        answers = [r for r in heard(house) if r in fresh and turn <= house.server.about[r]]
        lost = not answers and not any(at > start for at in told)
        assert not lost, f"turn {start} was lost"
        assert len(answers) <= 1, f"turn {start} was answered {len(answers)} times"
    assert house.server.offences == []


@pytest.mark.parametrize("for_s", [0.15, 0.8, 3.0])
@pytest.mark.parametrize("tenth", range(4, 56, 2))
def test_a_drop_at_every_point_of_a_turn_loses_and_doubles_nothing(
    tenth: int, for_s: float
) -> None:
    house = household([])
    house.blip(tenth / 10 + 0.03, for_s)
    house.run(24.0)
    verdict(house)


@settings(max_examples=60)
@given(
    drops=st.lists(st.tuples(st.floats(0.3, 12.0), st.floats(0.05, 5.0)), min_size=1, max_size=3),
    lag_s=st.sampled_from([0.0, 0.03, 0.25]),
    tool=st.booleans(),
    long=st.booleans(),
)
@example(drops=[(3.0, 0.1), (3.4, 0.1)], lag_s=0.0, tool=True, long=False)
def test_random_drops_lose_and_double_nothing(
    drops: list[tuple[float, float]], lag_s: float, tool: bool, long: bool
) -> None:
    plan = Plan(items_ms=(800.0,) if not long else (1500.0, 1500.0))
    if tool:
        plan = Plan(items_ms=(), calls=(e.ToolCall(call_id="1", name="clock", arguments="{}"),))
    house = household([plan], lag_s=lag_s)
    free_at = 0.0
    for at, length in sorted(drops):
        if at > free_at:
            house.blip(at, length)
            free_at = at + length + 0.02
    house.run(32.0)
    verdict(house)


def at_rest(house: House) -> bool:
    waits = bool(house.pending() or house.speaker.queue)
    return house.manager.talk is Talk.ASLEEP and not waits


ACTIONS = st.one_of(
    st.tuples(st.just("says"), st.floats(0.05, 3.0)),
    st.tuples(st.just("wake"), st.none()),
    st.tuples(st.just("press"), st.sampled_from([0.1, 2.0])),
    st.tuples(st.just("mute"), st.none()),
    st.tuples(st.just("drop"), st.floats(0.05, 4.0)),
    st.tuples(st.just("device"), st.floats(0.05, 2.0)),
    st.tuples(st.just("late server word"), st.none()),
)


@settings(max_examples=60)
@given(
    actions=st.lists(st.tuples(st.floats(0.1, 15.0), ACTIONS), max_size=10),
    lag_s=st.sampled_from([0.0, 0.03, 0.3]),
    server_turns=st.booleans(),
    announces=st.booleans(),
    plans=st.lists(
        st.builds(
            Plan,
            items_ms=st.lists(st.sampled_from([200.0, 1500.0]), max_size=3).map(tuple),
            calls=st.lists(
                st.builds(
                    e.ToolCall,
                    call_id=st.uuids().map(str),
                    name=st.sampled_from(["clock", "shop"]),
                    arguments=st.just("{}"),
                ),
                max_size=2,
            ).map(tuple),
            status=st.sampled_from(["completed", "completed", "incomplete", "failed"]),
        ),
        max_size=3,
    ),
)
def test_a_lively_household_never_makes_us_break_the_protocol(
    actions: list[tuple[float, tuple[str, Any]]],
    lag_s: float,
    server_turns: bool,
    announces: bool,
    plans: list[Plan],
) -> None:
    server = ModelServer(vad=server_turns, lag_s=lag_s)
    server.announces_commit = announces
    house = House(server, tool_risks=RISKS, server_turns=server_turns, confirm_s=4.0)
    house.connect()
    server.plans = plans
    house.wake_word(0.5)
    house.says(0.8, 1.8)
    up_at = 0.0
    for at, (what, value) in sorted(actions, key=lambda action: action[0]):
        if what == "says":
            house.says(at, at + value)
        elif what == "wake":
            house.wake_word(at)
        elif what == "press":
            house.at(at, partial(house.press, hold_s=value))
        elif what == "mute":
            house.at(at, lambda: house.press("mute"))
        elif what == "drop" and at > up_at:
            house.blip(at, value)
            up_at = at + value + 0.5
        elif what == "device":
            down = e.DeviceDown(at=at, code="device.lost", message="")
            house.at(at, partial(house.send, down))
            house.at(at + value, lambda: house.send(e.DeviceReady(at=house.now)))
        elif what == "late server word":
            word = e.UserSpeechStarted(at=at, item="late")
            house.at(at, partial(house.send, word))
    house.run(21.0)
    while house.now < 60 and not at_rest(house):
        house.run(house.now + 1)
    # What the server begins by itself can cross on the network with what we ask for.
    crossings = {"conversation_already_has_active_response", "response before all outputs"}
    collisions = crossings if server_turns else set()
    assert set(server.offences) <= collisions
    assert at_rest(house), "in the end there is peace"
