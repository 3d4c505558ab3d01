"""Properties of the dialogue over any order of events, and over any moment of a drop."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from driver import House, frame_pcm
from hypothesis import example, given, settings
from hypothesis import strategies as st
from note_values import unlisted
from server_model import ModelServer, Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import bytes_to_ms, silence
from edge_agent.dialogue.calls.consent import Risk
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.talk.states import Link, Microphone, Talk

RISKS = {"clock": Risk.LOW, "shop": Risk.MEDIUM}
IDS = st.sampled_from(["1", "2", "3"])
CALLS = st.builds(
    e.ToolCall,
    call_id=IDS,
    name=st.sampled_from(["clock", "shop", "mystery"]),
    arguments=st.sampled_from(["{}", '{"a":1}', ""]),
)
FRAME = frame_pcm(1)


def all_events() -> list[type[e.Event]]:
    found = [value for value in vars(e).values() if inspect.isclass(value)]
    return [kind for kind in found if issubclass(kind, e.Event) and kind is not e.Event]


def test_every_event_has_a_handler() -> None:
    manager = DialogueManager(DialogueConfig())
    assert set(all_events()) == set(manager._handlers)


def test_an_event_of_a_future_version_is_noted_once_and_counted() -> None:
    class Rumour(e.Event):
        pass

    manager = DialogueManager(DialogueConfig(), strict=True)
    manager.handle(e.LinkReady(at=0.0))
    note = c.Note("dialogue.unknown_event", {"kind": "Rumour"})
    assert [manager.handle(Rumour(at=at)) for at in (1.0, 2.0)] == [[note], []]
    assert manager.slips == {("dialogue.unknown_event", "Rumour"): 2}


# A step: (seconds to let pass, what happens).  `frames` are bursts, so that gates open.
STEPS = st.one_of(
    st.tuples(
        st.just("frames"),
        st.tuples(
            st.integers(1, 60), st.booleans(), st.booleans(), st.sampled_from([None, "okay_nabu"])
        ),
    ),
    st.tuples(st.just("button"), st.sampled_from(["talk", "mute", "release"])),
    st.tuples(st.just("mute"), st.booleans()),
    st.tuples(st.just("started"), IDS),
    st.tuples(st.just("chunk"), st.tuples(IDS, IDS, st.integers(0, 500))),
    st.tuples(st.just("text"), st.tuples(IDS, IDS)),
    st.tuples(st.just("voice_ended"), st.tuples(IDS, IDS)),
    st.tuples(
        st.just("ended"),
        st.tuples(
            IDS,
            st.sampled_from(["completed", "cancelled", "failed", "incomplete"]),
            st.lists(CALLS, max_size=2),
        ),
    ),
    st.tuples(st.just("tool"), st.tuples(IDS, st.booleans())),
    st.tuples(st.just("server_heard"), IDS),
    st.tuples(st.just("server_stopped"), IDS),
    st.tuples(st.just("committed"), IDS),
    st.tuples(st.just("transcript"), IDS),
    st.tuples(st.just("complaint"), st.booleans()),
    st.tuples(st.just("ready"), st.none()),
    st.tuples(st.just("connecting"), st.none()),
    st.tuples(st.just("down"), st.booleans()),
    st.tuples(st.just("playback_started"), IDS),
    st.tuples(st.just("drained"), IDS),
    st.tuples(st.just("stray_cut"), st.tuples(IDS, st.floats(-10, 1e6))),
    st.tuples(st.just("sentence"), st.none()),
    st.tuples(st.just("device"), st.booleans()),
    st.tuples(st.just("wait"), st.floats(0.0, 20.0)),
    st.tuples(st.just("side"), st.none()),
)


class Nonsense:
    """Feeds any order of events and checks the rules after every one."""

    def __init__(self, mode: str, server_turns: bool, muted: bool) -> None:
        config = DialogueConfig(mode=mode, server_turns=server_turns, tool_risks=RISKS)
        self.manager = DialogueManager(config, muted=muted, strict=True)
        self.now = 0.0
        self.played_ms = 37.0
        self.received: dict[str, float] = {}
        self.cut_responses: set[str] = set()
        self.active: str | None = None
        self.asked = False
        self.waiting: set[str] = set()
        self.consented: set[tuple[str, str, str]] = set()
        self.requested: dict[str, e.ToolCall] = {}
        self.ran: set[str] = set()
        self.retold: set[str] = set()

    def send(self, event: e.Event) -> None:
        inbox = [event]
        while inbox:
            event = inbox.pop(0)
            known = self.manager.link is Link.READY
            pressed = isinstance(event, e.ButtonPressed) and event.button == "talk"
            if isinstance(event, e.LinkReady | e.LinkDown):
                self._new_session()
            if known and isinstance(event, e.ResponseStarted):
                self.active, self.asked = event.response, False
            if known and isinstance(event, e.ResponseEnded) and self.active == event.response:
                self.active = None
            if known and isinstance(event, e.ServerComplained):
                self.asked = False
            if known and isinstance(event, e.VoiceChunk):
                old = self.received.get(event.item, 0.0)
                self.received[event.item] = old + bytes_to_ms(len(event.pcm24k))
            if known and isinstance(event, e.ResponseEnded):
                for call in event.calls:
                    self.requested.setdefault(call.call_id, call)
            out = self.manager.handle(event)
            deadline = self.manager.next_deadline()
            assert deadline is None or deadline > self.now
            for command in out:
                self._check(command, pressed=pressed)
                if isinstance(command, c.CutPlayback):
                    item = next(iter(self.received), None)
                    cut = e.PlaybackCut(at=self.now, item=item, played_ms=self.played_ms)
                    inbox.insert(0, cut)

    def _new_session(self) -> None:
        self.active, self.asked = None, False
        self.waiting.clear()
        self.requested.clear()
        self.cut_responses.clear()

    def _check(self, command: c.Command, *, pressed: bool) -> None:
        manager = self.manager
        if isinstance(command, c.Note):
            assert unlisted(command) == []
        if isinstance(command, c.WireCommand):
            assert manager.link is Link.READY
        if isinstance(command, c.SendAudio):
            assert manager.microphone is Microphone.OPEN
            assert manager.talk is not Talk.ASLEEP
        if isinstance(command, c.RequestResponse):
            assert self.active is None, "a response is running"
            assert not self.asked, "a response was asked for"
            self.asked = True
        if isinstance(command, c.CancelResponse):
            self.cut_responses.add(command.response)
        if isinstance(command, c.PlayVoice):
            assert self.active not in self.cut_responses
        if isinstance(command, c.TruncateItem):
            assert 0 < command.audio_end_ms <= self.received.get(command.item, 0.0)
        if isinstance(command, c.RunTool):
            call = self.requested[command.call_id]
            assert (command.name, command.arguments) == (call.name, call.arguments)
            assert command.name == "clock" or pressed, "nobody consented"
            assert command.call_id not in self.waiting
            self.waiting.add(command.call_id)
        if isinstance(command, c.AddToolCall):  # of an earlier session, with its output
            self.retold.add(command.call_id)
        elif isinstance(command, c.AddToolOutput) and command.call_id in self.retold:
            self.retold.remove(command.call_id)
        elif isinstance(command, c.AddToolOutput):
            assert command.call_id in self.requested
            key = command.call_id
            assert key not in self.ran or key in self.waiting, "a second output"
            self.ran.add(key)
            self.waiting.discard(key)


def events_of(kind: str, what: Any, at: float) -> list[e.Event]:
    match kind, what:
        case "button", "release":
            return [e.ButtonReleased(at=at)]
        case "button", _:
            return [e.ButtonPressed(at=at, button=what)]
        case "mute", _:
            return [e.MuteRequested(at=at, muted=what)]
        case "started", _:
            return [e.ResponseStarted(at=at, response=what)]
        case "chunk", (response, item, ms):
            return [e.VoiceChunk(at=at, response=response, item=item, pcm24k=silence(ms))]
        case "text", (response, item):
            return [e.VoiceText(at=at, response=response, item=item, text="some words ")]
        case "voice_ended", (response, item):
            return [e.VoiceEnded(at=at, response=response, item=item)]
        case "ended", (response, status, calls):
            ended = e.ResponseEnded(
                at=at, response=response, status=status, calls=tuple(calls), items=("1", "2")
            )
            return [ended]
        case "tool", (call_id, finish):
            return [e.ToolFinished(at=at, call_id=call_id, output="x", finish=finish)]
        case "server_heard", _:
            return [e.UserSpeechStarted(at=at, item=what)]
        case "server_stopped", _:
            return [e.UserSpeechStopped(at=at, item=what)]
        case "committed", _:
            return [e.UserTurnCommitted(at=at, item=what)]
        case "transcript", _:
            return [e.UserTranscript(at=at, item=what, text="words")]
        case "complaint", _:
            code = "conversation_already_has_active_response" if what else "server_error"
            return [e.ServerComplained(at=at, code=code, message="", about="response.create")]
        case "ready", _:
            return [e.LinkReady(at=at)]
        case "connecting", _:
            return [e.LinkConnecting(at=at)]
        case "down", _:
            return [e.LinkDown(at=at, code="link.lost", message="", refused=what)]
        case "playback_started", _:
            return [e.PlaybackStarted(at=at, item=what)]
        case "drained", _:
            return [e.PlaybackDrained(at=at, item=what, played_ms=1.0)]
        case "stray_cut", (item, ms):
            return [e.PlaybackCut(at=at, item=item, played_ms=ms)]
        case "sentence", _:
            return [e.SentenceDrained(at=at, name="x")]
        case "device", True:
            return [e.DeviceReady(at=at)]
        case "device", _:
            return [e.DeviceDown(at=at, code="device.lost", message="")]
        case _:
            return [e.SideAnswer(at=at, tag="t", text=""), e.ItemAdded(at=at, item="1")]


@settings(max_examples=400, deadline=None)
@given(
    mode=st.sampled_from(["wake", "button", "always"]),
    server_turns=st.booleans(),
    muted=st.booleans(),
    steps=st.lists(STEPS, min_size=5, max_size=60),
    stop=st.booleans(),
)
def test_any_order_of_events_keeps_the_rules(
    mode: str, server_turns: bool, muted: bool, steps: list[tuple[str, Any]], stop: bool
) -> None:
    talk = Nonsense(mode, server_turns, muted)
    talk.send(e.LinkReady(at=0.0))
    for kind, what in steps:
        if kind == "wait":
            talk.now += what
            talk.send(e.Tick(at=talk.now))
        elif kind == "frames":
            count, speech, over, wake = what
            for index in range(count):
                talk.now = round(talk.now + 0.01, 6)
                label = wake if index == 0 else None
                talk.send(
                    e.HeardFrame(
                        at=talk.now, pcm24k=FRAME, speech=speech, over_playback=over, wake=label
                    )
                )
        else:
            for event in events_of(kind, what, talk.now):
                talk.send(event)
    if stop:
        out = talk.manager.handle(e.StopRequested(at=talk.now))
        assert any(isinstance(command, c.CutPlayback) for command in out)
        final = talk.manager.handle(e.PlaybackCut(at=talk.now, item=None, played_ms=0.0))
        assert isinstance(final[-1], c.Exit)
        assert talk.manager.next_deadline() is None


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


@settings(max_examples=60, deadline=None)
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
    waits = house.manager.next_deadline() is not None or bool(house.speaker.queue)
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


@settings(max_examples=60, deadline=None)
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
            house.at(at, lambda value=value: house.press(hold_s=value))
        elif what == "mute":
            house.at(at, lambda: house.press("mute"))
        elif what == "drop" and at > up_at:
            house.blip(at, value)
            up_at = at + value + 0.5
        elif what == "device":
            down = e.DeviceDown(at=at, code="device.lost", message="")
            house.at(at, lambda down=down: house.send(down))
            house.at(at + value, lambda: house.send(e.DeviceReady(at=house.now)))
        elif what == "late server word":
            word = e.UserSpeechStarted(at=at, item="late")
            house.at(at, lambda word=word: house.send(word))
    house.run(21.0)
    while house.now < 60 and not at_rest(house):
        house.run(house.now + 1)
    # What the server begins by itself can cross on the network with what we ask for.
    crossings = {"conversation_already_has_active_response", "response before all outputs"}
    collisions = crossings if server_turns else set()
    assert set(server.offences) <= collisions
    assert at_rest(house), "in the end there is peace"
