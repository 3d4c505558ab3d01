"""Session: the rules of one conversation, over any order of frames.

It must never need a server or a clock.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from house_config import household_can, household_session
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract import commands as cmd
from edge_agent.contract import error_codes
from edge_agent.contract import events as ev
from edge_agent.contract.errors import (
    LinkBusy,
    LinkError,
    LinkLost,
    LinkRefused,
    LocalProtocolError,
)
from edge_agent.contract.transcript import Hints
from edge_agent.realtime.protocol.config import (
    Capabilities,
    Dialect,
    SemanticVad,
    SessionConfig,
    wanted_options,
)
from edge_agent.realtime.protocol.session import Phase, Session
from edge_agent.realtime.protocol.shapes import SERVER_EVENTS
from edge_agent.realtime.protocol.terms import TRY_AGAIN_S, Terms
from edge_agent.realtime.protocol.tracking import TAG_KEY
from edge_agent.realtime.protocol.turns import ITEMS_REMEMBERED_MAX

ABLE = household_can(reasoning_models=None)
EVERYTHING = household_session(
    instructions="Be kind.",
    tools=({"type": "function", "name": "clock", "parameters": {}},),
    turn_detection=SemanticVad("low"),
    transcription_model="gpt-transcribe",
    transcription_hints=Hints("At home.", ("Wattwurm",), ("en",)),
    max_output_tokens=500,
    speed=1.2,
    reasoning_effort="low",
    keep_ratio=0.8,
    keep_tokens=8000,
)


def frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, "event_id": "event_1", **fields})


def error(code: str | None, *, event_id: str | None = None, **fields: object) -> str:
    body = {"type": "invalid_request_error", "code": code, "message": code, "event_id": event_id}
    return frame("error", error={**body, **fields})


CREATED = frame("session.created", session={"id": "sess_1", "model": "m"})
UPDATED = frame("session.updated", session={"id": "sess_1", "model": "m"})


def fresh(
    config: SessionConfig = EVERYTHING, can: Capabilities = ABLE, dialects: Any = ("ga",)
) -> Session:
    return Session(Terms(config, can, dialects), can)


def sent(session: Session) -> list[dict[str, Any]]:
    return [json.loads(text) for text in session.take_outgoing()]


def ready(config: SessionConfig = EVERYTHING, can: Capabilities = ABLE) -> Session:
    session = fresh(config, can)
    session.opened()
    session.receive(CREATED, 1.0)
    session.take_outgoing()
    assert [type(e) for e in session.receive(UPDATED, 2.0)] == [ev.LinkReady]
    return session


def feed(session: Session, *frames: str) -> list[ev.Event]:
    return [event for text in frames for event in session.receive(text, 3.0)]


def delta(response: str, item: str, pcm: bytes) -> str:
    audio = base64.b64encode(pcm).decode()
    return frame("response.output_audio.delta", response_id=response, item_id=item, delta=audio)


def created(response: str, **fields: object) -> str:
    return frame("response.created", response={"id": response, **fields})


def done(response: str, status: str = "completed", **fields: object) -> str:
    return frame("response.done", response={"id": response, "status": status, **fields})


# --- opening ---------------------------------------------------------------------------


def test_the_greeting_is_awaited_then_answered_then_ready() -> None:
    session = fresh()
    assert session.opened() == []
    assert session.receive(CREATED, 1.0) == []
    (update,) = sent(session)
    heard = update["session"]["audio"]["input"]
    assert update["type"] == "session.update"
    assert update["session"]["type"] == "realtime"
    assert update["session"]["output_modalities"] == ["audio"]
    assert heard["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": True,
    }
    assert heard["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session.receive(UPDATED, 2.0) == [ev.LinkReady(at=2.0, session="sess_1", model="m")]
    assert session.receive(UPDATED, 2.5) == []


def test_nothing_may_be_sent_before_the_acknowledgement() -> None:
    session = fresh()
    session.receive(CREATED, 1.0)
    with pytest.raises(LocalProtocolError):
        session.command(cmd.SendAudio(bytes(960)))


def test_a_server_that_does_not_greet_is_configured_when_nudged() -> None:
    session = fresh()
    session.opened()
    (text,) = session.nudge()
    assert json.loads(text)["type"] == "session.update"
    assert session.nudge() == []
    assert [type(e) for e in session.receive(UPDATED, 2.0)] == [ev.LinkReady]


@pytest.mark.parametrize(
    ("param", "message", "option", "path"),
    [
        ("session.reasoning", "", "reasoning", ["reasoning"]),
        ("session.audio.input.noise_reduction", "", "noise_reduction", None),
        (None, "Unknown parameter: 'session.truncation'.", "truncation", ["truncation"]),
        ("session.audio.input.turn_detection.eagerness", "", "semantic_vad", None),
        ("session.audio.input.transcription.language", "", "transcription_language", None),
        ("session.audio.input.transcription.keywords", "", "transcription_keywords", None),
        (None, "Unknown parameter: 'languages'.", "transcription_language", None),
        ("session.audio.input.transcription.prompt", "", "transcription_prompt", None),
        ("session.audio.input.transcription.model", "", "transcription", None),
    ],
)
def test_a_refused_option_is_given_up_alone(
    param: str | None, message: str, option: str, path: list[str] | None
) -> None:
    session = fresh()
    session.receive(CREATED, 1.0)
    (first,) = sent(session)
    refusal = error("unknown_parameter", param=param, message=message, event_id=first["event_id"])
    assert session.receive(refusal, 1.5) == []
    (second,) = sent(session)
    assert session.take_notes() == [
        ("link.option_dropped", {"option": option, "error": "unknown_parameter"})
    ]
    assert second["event_id"] != first["event_id"]
    assert second["session"] != first["session"]
    if path:
        assert path[0] not in second["session"]
    assert second["session"]["tools"] == first["session"]["tools"]
    assert [type(e) for e in session.receive(UPDATED, 2.0)] == [ev.LinkReady]


def test_an_unknown_kind_of_event_is_noted_once() -> None:
    session = fresh()
    session.receive(CREATED, 1.0)
    for at in (1.1, 1.2):
        assert session.receive('{"type": "house.of_tomorrow"}', at) == []
    assert session.take_notes() == [("link.unknown_event", {"type": "house.of_tomorrow"})]
    assert session.counts["unknown"] == 2


def test_semantic_turns_fall_back_to_silence() -> None:
    session = fresh()
    session.receive(CREATED, 1.0)
    (first,) = sent(session)
    param = "session.audio.input.turn_detection.type"
    session.receive(error("invalid_value", param=param, event_id=first["event_id"]), 1.5)
    (second,) = sent(session)
    assert second["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"


def test_only_the_bare_minimum_refused_is_a_refusal() -> None:
    terms = Terms(EVERYTHING, ABLE, ("ga", "beta"))
    session = Session(terms, ABLE)
    session.receive(CREATED, 1.0)
    updates = []
    while session.phase is Phase.CONFIGURING:
        (update,) = sent(session)
        updates.append(update["session"])
        assert session.receive(error("invalid_value", event_id=update["event_id"]), 1.5) == []
        assert len(updates) < 40
    assert isinstance(session.failure, LinkRefused)
    assert session.failure.code == "link.dialect"
    assert updates[0]["type"] == "realtime"
    assert updates[-1]["input_audio_format"] == "pcm16"
    assert "type" not in updates[1], "the first thing to doubt is the dialect"
    assert [update for update in updates if "voice" not in str(update)]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"code": "rate_limit_exceeded", "type": "requests"}, LinkBusy),
        ({"code": "session_limit_reached"}, LinkBusy),
        # What names a part of the session and is no refusal of it.
        ({"code": "rate_limit_exceeded", "type": "requests", "param": "session"}, LinkBusy),
        ({"code": "invalid_value", "type": "tokens", "param": "session.tools"}, LinkBusy),
        ({"code": "invalid_value", "type": "server_error", "param": "session.voice"}, LinkLost),
        ({"code": "model_load_error"}, LinkLost),
        ({"code": None, "type": "api_error"}, LinkLost),
        ({"code": None, "message": "Not now."}, LinkLost),
        ({"code": "weird"}, LinkLost),
    ],
)
def test_what_is_no_refusal_of_an_option_ends_the_session_and_costs_none(
    body: dict[str, Any], kind: type[LinkError]
) -> None:
    terms = Terms(EVERYTHING, ABLE, ("ga", "beta"))
    session = Session(terms, ABLE)
    session.receive(CREATED, 1.0)
    (first,) = sent(session)
    assert (
        session.receive(error(event_id=first["event_id"], **{"message": "No.", **body}), 1.5) == []
    )
    assert isinstance(session.failure, kind)
    assert session.take_notes() == []
    assert terms.session_object() == first["session"]


def configured(terms: Terms, at: float, *refusals: str, echo: str = UPDATED) -> Session:
    """A session that begins then, whose opening is refused for these and then acknowledged."""
    terms.begin(at)
    session = Session(terms, ABLE)
    session.receive(CREATED, at)
    for param in refusals:
        session.receive(error("unknown_parameter", param=param), at)
    assert [type(event) for event in session.receive(echo, at)] == [ev.LinkReady]
    return session


def test_what_was_refused_is_asked_again_after_six_hours_and_told() -> None:
    terms = Terms(EVERYTHING, ABLE)
    configured(terms, 100.0, "session.reasoning", "session.truncation")
    configured(terms, 100.0 + TRY_AGAIN_S - 1)
    assert terms.refused == {"reasoning", "truncation"}
    session = configured(terms, 100.0 + TRY_AGAIN_S, "session.reasoning")
    assert terms.refused == {"reasoning"}
    assert session.take_notes() == [
        ("link.option_dropped", {"option": "reasoning", "error": "unknown_parameter"}),
        ("link.options_back", {"options": "truncation"}),
    ]
    assert configured(terms, 101.0 + TRY_AGAIN_S).take_notes() == []


def echoed(**audio_and_more: Any) -> str:
    return frame("session.updated", session={"id": "s", **audio_and_more})


def put_through(changed: dict[str, Any]) -> str:
    """The configuration that was asked for, as an honest server echoes it, with `changed` in it."""
    asked = Terms(EVERYTHING, ABLE).session_object()
    audio = {way: {**asked["audio"][way], **changed.pop(way, {})} for way in ("input", "output")}
    return echoed(**{**asked, "audio": audio, **changed})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"output": {"voice": "alloy"}}, "voice"),
        ({"input": {"turn_detection": {"type": "server_vad"}}}, "turn_detection"),
        (
            {"input": {"turn_detection": None, "transcription": None}},
            "transcription, turn_detection",
        ),
        ({"tools": []}, "tools"),
        ({"tools": "many", "input": {"turn_detection": 7}}, "turn_detection"),
        # A lie that is no lie of the protocol either: the session is used all the same.
        ({"tools": [{"name": ["clock"]}, {"name": {}}, {}, 7, None]}, "tools"),
        ({"output": {"voice": ["marin"]}, "id": 7, "model": {}, "expires_at": "soon"}, ""),
    ],
)
def test_what_was_acknowledged_and_is_not_in_force_is_told_once(
    changed: dict[str, Any], told: str
) -> None:
    terms = Terms(EVERYTHING, ABLE)
    echo = put_through(changed)
    noted = configured(terms, 1.0, echo=echo).take_notes()
    assert noted == ([("link.options_ignored", {"options": told})] if told else [])
    assert configured(terms, 2.0, echo=echo).take_notes() == []


def test_a_session_tells_whether_it_transcribes_as_asked() -> None:
    def transcribes(
        *refusals: str, echo: str = UPDATED, config: SessionConfig = EVERYTHING
    ) -> bool:
        return (
            configured(Terms(config, ABLE), 1.0, *refusals, echo=echo).ready_news(2.0).transcribes
        )

    assert transcribes()
    assert transcribes(echo=put_through({}))
    assert not transcribes(echo=put_through({"input": {"transcription": None}}))
    assert not transcribes("session.audio.input.transcription.model")
    assert transcribes(config=household_session(transcription_model=None))


@pytest.mark.parametrize("session", [{}, {"audio": 3}, {"audio": {"input": [], "output": None}}])
def test_a_server_that_echoes_nothing_is_believed(session: dict[str, Any]) -> None:
    assert configured(Terms(EVERYTHING, ABLE), 1.0, echo=echoed(**session)).take_notes() == []


def test_what_was_refused_is_not_asked_again_after_a_reconnect() -> None:
    terms = Terms(EVERYTHING, ABLE)
    first = Session(terms, ABLE)
    first.receive(CREATED, 1.0)
    (update,) = sent(first)
    first.receive(error("unknown_parameter", param="session.reasoning"), 1.5)
    second = Session(terms, ABLE)
    second.receive(CREATED, 9.0)
    (update,) = sent(second)
    assert "reasoning" not in update["session"]


@pytest.mark.parametrize("dialects", [("ga",), ("ga", "beta")])
def test_two_sessions_that_are_refused_the_same_give_it_up_once(dialects: Any) -> None:
    terms = Terms(EVERYTHING, ABLE, dialects)
    one, two = Session(terms, ABLE), Session(terms, ABLE)
    for session in (one, two):
        session.receive(CREATED, 1.0)
    asked = [sent(session)[0]["event_id"] for session in (one, two)]
    for session, event_id in zip((one, two), asked, strict=True):
        refusal = error("unknown_parameter", event_id=event_id, param="session.reasoning")
        session.receive(refusal, 1.5)
        (update,) = sent(session)
        assert "reasoning" not in update["session"]
    assert terms.refused == {"reasoning"}
    assert terms.dialect == "ga"


def test_options_go_only_to_models_and_providers_that_take_them() -> None:
    can = household_can(reasoning_models=("gpt-realtime-2",))
    for model, takes in (
        ("gpt-realtime-2", True),
        ("gpt-realtime-2.1", True),
        ("gpt-realtime-2-2026-05-01", True),
        ("gpt-realtime-2025-08-28", False),
        ("gpt-realtime-20", False),
        ("gpt-realtime-1.5", False),
    ):
        config = household_session(model=model, reasoning_effort="low")
        session = Terms(config, can).session_object()
        assert ("reasoning" in session) is takes
    bare = household_can(noise_reduction=False, semantic_vad=False)
    session = Terms(EVERYTHING, bare, ("xai",)).session_object()
    assert "type" not in session
    assert session["turn_detection"] == {"type": "server_vad"}
    assert session["voice"] == "marin"


@pytest.mark.parametrize(
    ("dialect", "voice", "sent"),
    [
        ("ga", "sage", "sage"),
        ("ga", "id:voice_1", {"id": "voice_1"}),
        ("beta", "id:voice_1", "voice_1"),
        ("xai", "id:voice_1", "voice_1"),
        ("xai", "eve", "eve"),
    ],
)
def test_a_voice_is_sent_as_each_dialect_takes_it(dialect: Dialect, voice: str, sent: Any) -> None:
    session = Terms(household_session(voice=voice, speed=0.8), ABLE, (dialect,)).session_object()
    place = session["audio"]["output"] if dialect == "ga" else session
    assert place["voice"] == sent
    assert place.get("speed") == (None if dialect == "xai" else 0.8)


@pytest.mark.parametrize(
    ("voice", "stated", "told"),
    [
        ("id:voice_1", {"id": "voice_1"}, ""),
        ("id:voice_1", "voice_1", ""),
        ("id:voice_1", {"id": "voice_2"}, "voice"),
        ("id:voice_1", "marin", "voice"),
        ("id:voice_1", {"id": ["voice_1"]}, ""),
        ("sage", {"id": "voice_1"}, "voice"),
    ],
)
def test_a_voice_of_ones_own_that_is_not_in_force_is_told(
    voice: str, stated: object, told: str
) -> None:
    echo = echoed(audio={"output": {"voice": stated}})
    noted = configured(Terms(household_session(voice=voice), ABLE), 1.0, echo=echo).take_notes()
    assert noted == ([("link.options_ignored", {"options": told})] if told else [])


def test_a_speed_is_not_asked_of_a_server_that_takes_none() -> None:
    slow = household_session(speed=0.8)
    assert "speed" in wanted_options(slow, ABLE)
    assert "speed" not in wanted_options(slow, household_can(speed=False))


@pytest.mark.parametrize(
    ("output", "good"),
    [
        ({"type": "audio/pcm", "rate": 24000}, True),
        ({"type": "audio/pcm"}, True),
        (None, True),
        ({"type": "audio/pcmu"}, False),
        ({"type": "audio/pcm", "rate": 16000}, False),
    ],
)
def test_a_server_that_would_speak_something_else_is_refused(output: object, good: bool) -> None:
    session = fresh()
    session.receive(CREATED, 1.0)
    updated = frame("session.updated", session={"audio": {"output": {"format": output}}})
    events = session.receive(updated, 2.0)
    assert bool(events) is good
    assert (session.failure is None) is good


@pytest.mark.parametrize(
    ("code", "kind", "name"),
    [
        ("invalid_api_key", LinkRefused, "link.bad_key"),
        ("insufficient_quota", LinkRefused, "link.no_quota"),
        ("beta_api_shape_disabled", LinkRefused, "link.dialect"),
        ("model_not_found", LinkRefused, "link.no_model"),
        ("session_expired", LinkLost, "link.session_expired"),
    ],
)
def test_fatal_errors_end_the_session(code: str, kind: type[Exception], name: str) -> None:
    for session in (fresh(), ready()):
        assert session.receive(error(code), 5.0) == []
        assert isinstance(session.failure, kind)
        assert session.failure is not None
        assert session.failure.code == name
        with pytest.raises(LocalProtocolError):
            session.command(cmd.CommitAudio())


# --- answers ---------------------------------------------------------------------------


def test_a_spoken_answer() -> None:
    events = feed(
        ready(),
        created("r1"),
        delta("r1", "a", b"\1\0" * 10),
        frame("response.output_audio_transcript.delta", response_id="r1", item_id="a", delta="Hi"),
        delta("r1", "b", b"\2\0" * 10),
        frame("response.output_audio.done", response_id="r1", item_id="a"),
        frame("response.output_audio.done", response_id="r1", item_id="a"),
        done("r1", output=[{"id": "a"}, {"id": "b"}], usage=None),
    )
    assert [type(e) for e in events] == [
        ev.ResponseStarted,
        ev.VoiceChunk,
        ev.VoiceText,
        ev.VoiceChunk,
        ev.VoiceEnded,
        ev.VoiceEnded,
        ev.ResponseEnded,
    ]
    end = events[-1]
    assert isinstance(end, ev.ResponseEnded)
    assert end.items == ("a", "b")
    assert end.usage is None


def test_a_piece_of_sound_that_is_delivered_twice_is_played_once() -> None:
    """Counted twice, a cut would name more of the answer than the server has."""
    session = ready()
    piece, other = delta("r1", "a", b"\1\0" * 10), delta("r1", "a", b"\2\0" * 10)
    events = feed(session, created("r1"), piece, piece, other, piece)
    chunks = [event.pcm24k for event in events if isinstance(event, ev.VoiceChunk)]
    assert chunks == [b"\1\0" * 10, b"\2\0" * 10, b"\1\0" * 10]
    assert session.counts["repeated"] == 1


def test_equal_pieces_without_an_id_are_all_played() -> None:
    silent = json.loads(delta("r1", "a", b"\0\0" * 10))
    del silent["event_id"]
    events = feed(ready(), created("r1"), json.dumps(silent), json.dumps(silent))
    assert sum(isinstance(event, ev.VoiceChunk) for event in events) == 2


def test_audio_after_the_end_of_a_response_is_not_played() -> None:
    session = ready()
    feed(session, created("r1"), delta("r1", "a", b"\1\0"), done("r1", "cancelled"))
    assert feed(session, delta("r1", "a", b"\1\0"), done("r1")) == []
    assert session.counts["late_audio"] == 1


def test_a_response_that_was_never_announced_still_begins() -> None:
    events = feed(ready(), delta("r1", "a", b"\1\0"), done("r1"))
    assert [type(e) for e in events] == [
        ev.ResponseStarted,
        ev.VoiceChunk,
        ev.VoiceEnded,
        ev.ResponseEnded,
    ]


CALL = {"id": "f1", "type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{}"}
ARGUMENTS = {"response_id": "r1", "item_id": "f1", "call_id": "c1", "arguments": "{}"}


@pytest.mark.parametrize(
    "frames",
    [
        [done("r1", output=[{**CALL, "status": "completed"}])],
        [frame("response.output_item.done", response_id="r1", item=CALL), done("r1")],
        [
            frame("response.output_item.added", response_id="r1", item={**CALL, "arguments": ""}),
            frame("response.function_call_arguments.done", **ARGUMENTS),
            done("r1", output=None),
        ],
        [
            frame("response.function_call_arguments.done", **ARGUMENTS, name="clock"),
            frame("response.output_item.done", response_id="r1", item=CALL),
            done("r1", output=[CALL]),
        ],
    ],
    ids=["in done", "in item", "in arguments", "everywhere"],
)
def test_a_call_is_reported_once_wherever_it_stood(frames: list[str]) -> None:
    end = feed(ready(), created("r1"), *frames)[-1]
    assert isinstance(end, ev.ResponseEnded)
    assert end.calls == (ev.ToolCall(call_id="c1", name="clock", arguments="{}"),)


def test_a_call_that_was_cut_off_is_not_reported() -> None:
    item = {**CALL, "status": "incomplete", "arguments": '{"a'}
    end = feed(ready(), created("r1"), done("r1", "cancelled", output=[item]))[-1]
    assert isinstance(end, ev.ResponseEnded)
    assert end.calls == ()


@pytest.mark.parametrize(
    ("status", "details", "code"),
    [
        ("failed", {"error": {"code": "insufficient_quota", "message": "m"}}, "insufficient_quota"),
        ("failed", {"error": {"type": "server_error"}}, "server_error"),
        ("failed", None, "unknown"),
        ("incomplete", {"reason": "max_output_tokens"}, "max_output_tokens"),
        ("cancelled", {"reason": "turn_detected"}, "turn_detected"),
    ],
)
def test_why_a_response_did_not_complete(status: str, details: object, code: str) -> None:
    end = feed(ready(), created("r1"), done("r1", status, status_details=details))[-1]
    assert isinstance(end, ev.ResponseEnded)
    assert (end.status, end.code) == (status, code)


def test_usage_with_cached_tokens_and_without_detail() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 50,
        "input_token_details": {
            "text_tokens": 60,
            "audio_tokens": 40,
            "cached_tokens": 30,
            "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 10},
        },
        "output_token_details": {"text_tokens": 10, "audio_tokens": 40},
    }
    end = feed(ready(), done("r1", usage=usage))[-1]
    assert isinstance(end, ev.ResponseEnded)
    assert end.usage == ev.Usage(
        text_in=60, audio_in=40, cached_text_in=20, cached_audio_in=10, text_out=10, audio_out=40
    )
    end = feed(ready(), done("r1", usage={"input_tokens": 7, "output_tokens": "odd"}))[-1]
    assert isinstance(end, ev.ResponseEnded)
    assert end.usage == ev.Usage(text_in=7)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (None, None),
        ([], None),
        ({"type": "duration", "seconds": 2.5}, ev.Usage(sound_ms=2500)),
        ({"type": "duration", "seconds": "long"}, None),
        ({"type": "duration", "seconds": 1e300}, None),
        (
            {
                "type": "tokens",
                "input_tokens": 40,
                "output_tokens": 9,
                "input_token_details": {"text_tokens": 10, "audio_tokens": 30},
            },
            ev.Usage(text_in=10, audio_in=30, text_out=9),
        ),
    ],
)
def test_what_a_transcript_cost_comes_with_it(usage: object, told: ev.Usage | None) -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    [event] = feed(ready(), frame(kind, item_id="a", transcript="Tea.", usage=usage))
    assert isinstance(event, ev.UserTranscript)
    assert event.usage == told


@pytest.mark.parametrize(
    ("wish", "response"),
    [
        (cmd.RequestResponse(), None),
        (cmd.RequestResponse(may_call=False), {"tool_choice": "none"}),
    ],
)
def test_a_wish_for_an_answer_says_what_it_may_do(
    wish: cmd.RequestResponse, response: dict[str, str] | None
) -> None:
    (text,) = ready().command(wish)
    assert json.loads(text).get("response") == response


def test_a_side_question_is_answered_beside_the_talk() -> None:
    session = ready()
    (text,) = session.command(cmd.AskSideQuestion("summary", "Sum up.", ("i1", "i2")))
    asked = json.loads(text)["response"]
    assert asked["conversation"] == "none"
    assert asked["output_modalities"] == ["text"]
    assert asked["tools"] == []
    assert [part["id"] for part in asked["input"]] == ["i1", "i2"]
    events = feed(
        session,
        frame("input_audio_buffer.committed", item_id="u"),
        created("talk"),
        created("side", metadata=asked["metadata"]),
        frame("response.output_text.delta", response_id="side", item_id="x", delta="All "),
        delta("talk", "a", b"\1\0"),
        frame("response.output_text.delta", response_id="side", item_id="x", delta="well."),
        done("side", metadata=asked["metadata"]),
    )
    assert [type(e) for e in events[1:]] == [ev.ResponseStarted, ev.VoiceChunk, ev.SideAnswer]
    assert events[-1] == ev.SideAnswer(at=3.0, tag="summary", text="All well.")


def test_a_response_announced_twice_is_no_side_answer_gone_astray() -> None:
    session = ready()
    feed(session, frame("input_audio_buffer.committed", item_id="u"))
    session.command(cmd.AskSideQuestion("transcript", "Write it down.", ("u",)))
    events = feed(
        session, created("talk"), created("talk"), delta("talk", "a", b"\1\0"), created("talk")
    )
    assert [type(event) for event in events] == [ev.ResponseStarted, ev.VoiceChunk]
    assert session.take_outgoing() == []
    assert session.command(cmd.AskSideQuestion("notes", "Take notes.")) != []


def test_a_refused_side_question_is_answered_too() -> None:
    session = ready()
    (text,) = session.command(cmd.AskSideQuestion("t", "?"))
    events = feed(session, error("item_not_known", event_id=json.loads(text)["event_id"]))
    assert events[0] == ev.SideAnswer(at=3.0, tag="t", text="", ok=False)
    assert isinstance(events[1], ev.ServerComplained)
    assert events[1].about == error_codes.ABOUT_SIDE_QUESTION
    session = ready(can=household_can(side_questions=False))
    assert session.command(cmd.AskSideQuestion("t", "?")) == []
    assert [type(e) for e in session.take_events()] == [ev.SideAnswer]


def test_complaints_name_what_they_are_about_and_races_are_counted() -> None:
    session = ready()
    (text,) = session.command(cmd.TruncateItem("item_a", 500))
    asked = json.loads(text)
    assert asked["content_index"] == 0
    (complaint,) = feed(
        session,
        error("response_cancel_not_active"),
        error("input_audio_buffer_commit_empty"),
        error("odd", event_id=asked["event_id"], message="Key sk-abcdef1234 is odd"),
    )
    assert isinstance(complaint, ev.ServerComplained)
    assert complaint.about == "conversation.item.truncate item_a"
    assert "sk-abc" not in complaint.message
    assert session.counts["benign"] == 2


def test_an_item_is_announced_once_under_all_its_names() -> None:
    item = {"id": "i", "type": "message", "role": "user"}
    kinds = ("conversation.item.added", "conversation.item.created", "conversation.item.done")
    events = feed(ready(), *(frame(kind, item=item) for kind in kinds))
    assert events == [ev.ItemAdded(at=3.0, item="i", role="user", kind="message")]


def test_both_halves_of_a_tool_call_are_announced_with_their_call() -> None:
    items = [
        {"id": "a", "type": "function_call", "call_id": "c", "name": "x", "arguments": "{}"},
        {"id": "b", "type": "function_call_output", "call_id": "c", "output": "done"},
    ]
    events = feed(ready(), *(frame("conversation.item.added", item=item) for item in items))
    assert [(e.item, e.kind, e.call_id) for e in events if isinstance(e, ev.ItemAdded)] == [
        ("a", "function_call", "c"),
        ("b", "function_call_output", "c"),
    ]


def test_a_question_behind_items_leaves_what_stands_before_them_alone() -> None:
    (text,) = ready().command(cmd.AskSideQuestion("summary", "", ("i1", "i2"), "Take notes."))
    asked = json.loads(text)["response"]
    assert "instructions" not in asked
    assert "tools" not in asked
    assert asked["tool_choice"] == "none"
    *references, question = asked["input"]
    assert [part["id"] for part in references] == ["i1", "i2"]
    assert question == {
        "type": "message",
        "role": "system",
        "content": [{"type": "input_text", "text": "Take notes."}],
    }


def test_an_old_tool_call_is_told_to_a_fresh_session() -> None:
    (text,) = ready().command(cmd.AddToolCall("seed_1", "c1", "look_up", '{"about": 1}'))
    assert json.loads(text)["item"] == {
        "id": "seed_1",
        "type": "function_call",
        "call_id": "c1",
        "name": "look_up",
        "arguments": '{"about": 1}',
    }


def test_a_session_that_lasts_for_months_does_not_remember_every_item() -> None:
    session = ready()
    for number in range(ITEMS_REMEMBERED_MAX * 2 + 10):
        item = {"id": f"i{number}", "type": "message", "role": "user"}
        assert len(feed(session, frame("conversation.item.added", item=item))) == 1
        assert feed(session, frame("conversation.item.done", item=item)) == []
    assert len(session._turns._items) <= ITEMS_REMEMBERED_MAX


# --- commands --------------------------------------------------------------------------


def test_long_audio_is_sent_in_pieces_and_half_samples_never() -> None:
    pcm = bytes(range(250)) * 1000 + b"\1"
    texts = ready().command(cmd.SendAudio(pcm))
    pieces = [base64.b64decode(json.loads(text)["audio"]) for text in texts]
    assert b"".join(pieces) == pcm[:-1]
    assert max(map(len, pieces)) <= 48_000
    assert ready().command(cmd.SendAudio(b"")) == []


@pytest.mark.parametrize(
    "command",
    [
        cmd.AddMessage("x" * 33, "user", "hi"),
        cmd.AddToolCall("x" * 33, "c", "look_up", "{}"),
        cmd.AskSideQuestion("t", "", None, "Take notes."),
        cmd.AddMessage("x", "robot", "hi"),
        cmd.AddMessage("x", "assistant", pcm24k=b"\0\0"),
        cmd.TruncateItem("x", -1),
        cmd.TruncateItem("", 5),
        cmd.DeleteItem(""),
        cmd.AskSideQuestion("t" * 513, "?"),
    ],
)
def test_our_own_mistakes_are_ours(command: cmd.WireCommand) -> None:
    with pytest.raises(LocalProtocolError):
        ready().command(command)


def test_what_is_over_or_impossible_is_not_sent() -> None:
    session = ready(can=household_can(truncate=False))
    feed(session, created("r1"), done("r1"))
    assert session.command(cmd.CancelResponse("r1")) == []
    assert session.command(cmd.TruncateItem("a", 10)) == []
    assert len(session.command(cmd.CancelResponse("r2"))) == 1


# --- any order -------------------------------------------------------------------------

IDS = st.sampled_from(["r1", "r2", "i1", "i2", "c1", None, ""])
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS,
        "type": st.sampled_from(["message", "function_call", None]),
        "call_id": IDS,
        "name": st.sampled_from(["clock", None]),
        "arguments": st.sampled_from(["{}", "", None, 5]),
        "status": st.sampled_from(["completed", "incomplete", None]),
    },
)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS,
        "status": st.sampled_from(["completed", "failed", "cancelled", "nonsense", None, 3]),
        "metadata": st.sampled_from([None, {"edge_agent_side_question": "t"}, [], "x"]),
        "output": st.lists(ITEM, max_size=3) | st.none() | st.just("x"),
        "usage": st.none() | st.just({"input_tokens": 1e400}) | st.just([]),
        "status_details": st.none() | st.just({"error": "x"}) | st.just({"error": {"code": 1}}),
    },
)
FRAME = st.builds(
    lambda kind, fields: frame(kind, **fields),
    st.sampled_from(sorted(set(SERVER_EVENTS) - {"error"})),
    st.fixed_dictionaries(
        {},
        optional={
            "response_id": IDS,
            "item_id": IDS,
            "call_id": IDS,
            "item": ITEM,
            "response": BODY,
            "session": st.just({"id": "s"}) | st.none(),
            "delta": st.sampled_from(["AAAA", "A", "", None]),
            "arguments": st.sampled_from(["{}", None]),
            "transcript": st.sampled_from(["hi", None]),
        },
    ),
) | st.builds(
    error,
    st.sampled_from(["unknown_parameter", "response_cancel_not_active", "server_error", "x"]),
    event_id=st.sampled_from(["edge_1", "edge_2", None]),
)
MUTATED = st.builds(lambda text, cut: text[:cut], FRAME, st.integers(0, 400))


@given(
    st.sampled_from([[CREATED], [CREATED, UPDATED]]),
    st.lists(FRAME | MUTATED | st.binary(max_size=4), max_size=40),
)
def test_the_session_survives_any_order(opening: list[str], frames: list[str | bytes]) -> None:
    session = fresh()
    session.opened()
    events: list[ev.Event] = []
    for at, text in enumerate([*opening, *frames]):
        events += session.receive(text, float(at))
        session.take_outgoing()
        session.take_notes()
    assert sum(isinstance(event, ev.LinkReady) for event in events) <= 1
    if events:
        assert isinstance(events[0], ev.LinkReady)
    started: set[str] = set()
    ended: set[str] = set()
    voiced_ends: set[tuple[str, str]] = set()
    for event in events:
        match event:
            case ev.ResponseStarted(response=name):
                assert name not in started
                started.add(name)
            case ev.VoiceChunk(response=name, item=item, pcm24k=pcm):
                assert name in started - ended
                assert (name, item) not in voiced_ends
                assert pcm
                assert len(pcm) % 2 == 0
            case ev.VoiceEnded(response=name, item=item):
                assert (name, item) not in voiced_ends
                voiced_ends.add((name, item))
            case ev.ResponseEnded(response=name, calls=calls):
                assert name in started - ended
                ended.add(name)
                assert len({call.call_id for call in calls}) == len(calls)


def test_the_server_takes_a_told_call_under_its_short_id_and_the_dialogue_knows_it() -> None:
    session, long_id = ready(), "chatcmpl-tool-" + "0123456789abcdef" * 2
    (text,) = session.command(cmd.AddToolCall("item", long_id, "unlock", "{}"))
    item = json.loads(text)["item"]
    (added,) = feed(session, frame("conversation.item.added", item=item))
    assert isinstance(added, ev.ItemAdded)
    assert added.call_id == long_id


BUFFER = "Error committing input audio buffer: buffer too small."


def test_an_empty_commit_of_ours_is_told_and_one_of_nobody_is_not() -> None:
    session = ready()
    assert session.receive(error(None, message=BUFFER), 3.0) == []
    session.command(cmd.CommitAudio())
    (event,) = session.receive(error(None, message=BUFFER), 3.0)
    assert isinstance(event, ev.ServerComplained)
    assert (event.code, event.about) == (error_codes.COMMIT_EMPTY, "input_audio_buffer.commit")
    assert session.receive(error(None, message=BUFFER), 3.0) == []


def test_an_error_without_an_id_is_about_the_request_that_nothing_has_answered() -> None:
    session = ready()
    session.command(cmd.RequestResponse())
    (event,) = session.receive(error(None, message="No."), 3.0)
    assert isinstance(event, ev.ServerComplained)
    assert event.about == "response.create"
    session.command(cmd.RequestResponse())
    feed(session, created("r1"))
    (event,) = session.receive(error(None, message="No."), 3.0)
    assert isinstance(event, ev.ServerComplained)
    assert event.about == ""


def test_a_server_without_side_questions_names_their_fields_and_no_event() -> None:
    session = ready()
    session.command(cmd.AskSideQuestion("notes_1", "Take notes."))
    words = "response.conversation: Input should be 'auto'"
    side, complaint = session.receive(error(None, message=words), 3.0)
    assert side == ev.SideAnswer(at=3.0, tag="notes_1", text="", ok=False)
    assert isinstance(complaint, ev.ServerComplained)
    assert complaint.about == error_codes.ABOUT_SIDE_QUESTION


# --- servers that do not know side questions ------------------------------------------------


def asks_aside(session: Session) -> list[str]:
    return session.command(cmd.AskSideQuestion("notes_1", "Take notes."))


@pytest.mark.parametrize("fields", [{}, {"metadata": {TAG_KEY: "notes_1"}, "conversation_id": "c"}])
def test_a_side_answer_that_comes_as_a_part_of_the_talk_is_cancelled_and_never_heard(
    fields: dict[str, Any],
) -> None:
    session = ready()
    assert asks_aside(session)
    assert feed(session, created("r1", **fields)) == []
    assert [message["type"] for message in sent(session)] == ["response.cancel"]
    events = feed(session, delta("r1", "a", b"\1\0"), done("r1", "cancelled", **fields))
    assert events == [ev.SideAnswer(at=3.0, tag="notes_1", text="", ok=False)]
    assert [code for code, _ in session.take_notes()] == ["link.no_side_questions"]
    assert asks_aside(session) == [], "it is not asked again"
    assert session.take_events() == [ev.SideAnswer(at=3.0, tag="notes_1", text="", ok=False)]


def test_what_the_talk_waits_for_is_heard_though_a_side_question_is_open() -> None:
    session = ready()
    asks_aside(session)
    committed = frame("input_audio_buffer.committed", item_id="u")
    kinds = [type(event) for event in feed(session, committed, created("r1"), done("r1"))]
    assert kinds == [ev.UserTurnCommitted, ev.ResponseStarted, ev.ResponseEnded]
    session.command(cmd.RequestResponse())
    assert [type(event) for event in feed(session, created("r2"))] == [ev.ResponseStarted]
    assert session.take_notes() == []


def test_a_server_that_has_answered_aside_once_is_not_doubted() -> None:
    session = ready()
    asks_aside(session)
    own: dict[str, Any] = {"metadata": {TAG_KEY: "notes_1"}, "conversation_id": None}
    feed(session, created("r1", **own), done("r1", "completed", **own))
    asks_aside(session)
    assert [type(event) for event in feed(session, created("r2"))] == [ev.ResponseStarted]


def test_a_server_whose_record_does_not_say_so_is_not_asked_aside() -> None:
    session = ready(can=household_can(reasoning_models=None, side_questions=False))
    assert asks_aside(session) == []
    assert session.take_events() == [ev.SideAnswer(at=2.0, tag="notes_1", text="", ok=False)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached. Please try again in 6.2s. Visit us.", 6.2),
        ("Please try again in 800ms.", 0.8),
        ("Please try again in 1e9s.", None),
        ("Please try again later.", None),
    ],
)
def test_when_a_refused_answer_may_be_asked_for_again(text: str, seconds: float | None) -> None:
    details = {"error": {"code": "rate_limit_exceeded", "message": text}}
    (_, end) = feed(ready(), done("r1", "failed", status_details=details))
    assert isinstance(end, ev.ResponseEnded)
    assert end.retry_in_s == seconds


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("tokens", "rate_limit_exceeded"),
        ("requests", None),
        ("invalid_request_error", "too_many_requests"),
    ],
)
def test_a_rate_limit_says_when_the_request_would_be_taken(kind: str, code: str | None) -> None:
    words = "Rate limit reached. Please try again in 1.2s. See the limits of your account."
    (event,) = feed(ready(), error(code, type=kind, message=words))
    assert isinstance(event, ev.ServerComplained)
    assert (event.code, event.retry_in_s) == ("rate_limit_exceeded", 1.2)
