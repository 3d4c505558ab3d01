"""Known breaks of what we assume about the model services (S1 to S14).

Frames are as the services send them, recorded or quoted; ids and words are shortened.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from house_config import household_provider, household_session, household_timings
from known import given
from link_world import World, play
from scenes import (
    CREATED,
    Home,
    begun,
    configuring,
    done,
    error,
    frame,
    ready,
    spoken,
)

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.errors import LinkLost, WireClosed
from edge_agent.contract.net_faults import NO_MODEL
from edge_agent.contract.pcm import silence
from edge_agent.contract.ports import Wire
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.state import Talk
from edge_agent.host.price_list import BUILT_IN, load_providers
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.text import default_file
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.protocol import faults
from edge_agent.realtime.providers import Provider
from edge_agent.simulation.clock import run
from edge_agent.simulation.wire import MemoryWire, memory_wire_pair

OPENAI_RECORD = load_providers(BUILT_IN).record("openai")
OPENAI, LOCAL, XAI = (household_provider(name) for name in ("openai", "local", "xai"))

# --- S1: pongs -------------------------------------------------------------------------


class BusyPeer:
    """A wire whose other end has our ping at once, and answers it after `pong_s`."""

    def __init__(self, inner: Wire, pong_s: float) -> None:
        self._inner, self._pong_s = inner, pong_s

    async def ping(self) -> None:
        await asyncio.sleep(self._pong_s)

    def quiet_s(self) -> float | None:
        return None

    async def send(self, text: str) -> None:
        await self._inner.send(text)

    async def receive(self) -> str | bytes:
        return await self._inner.receive()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._inner.close(code, reason)


def test_a_service_that_is_slow_with_pongs_is_learnt_to_be() -> None:
    def slow(world: World) -> None:
        straight = world.home.__call__

        async def dial(url: str, headers: Mapping[str, str]) -> Wire:
            return BusyPeer(await straight(url, headers), 2.0)

        world.dial = dial  # type: ignore[method-assign]

    async def act(world: World) -> None:
        await world.ready()
        world.link.set_active(True)
        await asyncio.sleep(60.0)

    world = play(act, prepare=slow)
    assert len(world.downs) <= 2


# --- S2: what refuses the configuration ------------------------------------------------

NO_REFUSALS: dict[str, dict[str, Any]] = {
    "rate limit": {
        "type": "requests",
        "code": "rate_limit_exceeded",
        "message": "Rate limit reached for gpt-realtime on requests per min.",
    },
    "slots": {"code": "session_limit_reached", "message": "All slots are in use."},
    "model load": {"code": "model_load_error", "message": "Failed to load model"},
    "api error": {"type": "api_error", "code": None, "message": "Something went wrong."},
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            body,
            id=name.replace(" ", "-"),
        )
        for name, body in NO_REFUSALS.items()
    ],
)
def test_a_busy_server_costs_no_option(body: dict[str, Any]) -> None:
    session = configuring(OPENAI, household_session(reasoning_effort="low"))
    given(session.take_outgoing(), "the session is asked for")
    session.receive(error(**body), 0.1)
    noted = {code for code, _ in session.take_notes()}
    assert not noted & {"link.option_dropped", "link.dialect_changed"}
    for text in session.take_outgoing():
        assert json.loads(text)["session"].get("reasoning") == {"effort": "low"}


# --- S3: side questions ----------------------------------------------------------------


def test_a_side_question_is_not_spoken_by_a_server_without_them() -> None:
    can = replace(LOCAL.capabilities, side_questions=True)  # as if the record said so
    home = Home(replace(LOCAL, capabilities=can))
    given(home.house.manager.talk is Talk.ASLEEP, "everybody has left")
    home.session.command(c.AskSideQuestion("notes_1", "Take notes of the talk so far."))
    complaint = "response.conversation: Input should be 'auto' or 'none'"
    item = {"id": "item_1", "type": "message", "role": "assistant", "status": "in_progress"}
    wanted = home.hear(
        [
            error(message=complaint),
            begun("resp_1", status="in_progress", output=[], metadata=None),
            frame("response.output_item.added", response_id="resp_1", item=item),
            spoken("resp_1", "item_1", silence(200)),
            done("resp_1", output=[{**item, "status": "completed"}]),
        ]
    )
    assert not [command for command in wanted if isinstance(command, c.PlayVoice)]


# --- S4: models that end ---------------------------------------------------------------

ENDS = {
    "gpt-4o-mini-tts": date(2027, 1, 6),
    "tts-1": date(2027, 1, 6),
    "gpt-realtime": date(2027, 1, 20),
    "gpt-realtime-mini": date(2027, 1, 20),
    "whisper-1": date(2027, 2, 26),
    "gpt-5": date(2026, 12, 11),
}
"""As announced."""


def test_no_default_names_a_model_that_ends() -> None:
    defaults = Settings().model_dump()
    named = {
        f"{section}.{key}": value
        for section, keys in defaults.items()
        for key, value in keys.items()
        if isinstance(value, str) and value in ENDS
    }
    assert named == {}
    assert OPENAI_RECORD.default_model not in ENDS


def test_no_example_in_the_settings_names_a_model_without_its_end() -> None:
    text = default_file()
    examples = {model for model in ENDS if re.search(rf"\b{model}\b(?![.-])", text)}
    assert examples == {"whisper-1"}  # there is no other that tells times
    assert f"whisper-1, which OpenAI ends on {ENDS['whisper-1']}" in " ".join(
        line.removeprefix("# ") for line in text.splitlines()
    )


# --- S5: close hints -------------------------------------------------------------------


def test_a_reason_is_stronger_than_the_hint_of_its_code() -> None:
    fault = faults.from_close(3000, "server_error.internal_error", OPENAI.close_hints)
    assert isinstance(fault, LinkLost), fault.message


def test_4004_is_a_missing_model() -> None:
    assert faults.from_close(4004, "", OPENAI.close_hints).code == NO_MODEL.code


# --- S6: call ids ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "call_id",
    ["call-af8ed632-5a0c-4b2f-9b57-3f2a1c9d8e70-0", "chatcmpl-tool-" + "0123456789abcdef" * 2],
)
def test_a_foreign_call_fits_into_a_fresh_session(call_id: str) -> None:
    memory = Memory(12, 60.0)
    memory.called([e.ToolCall(call_id=call_id, name="unlock", arguments="{}")])
    memory.call_answered(call_id, "done")
    session = ready(OPENAI)
    told = [
        json.loads(text)["item"]
        for command in memory.reseed()
        for text in session.command(command)  # type: ignore[arg-type]
    ]
    given([item["type"] for item in told] == ["function_call", "function_call_output"], "a pair")
    call, output = (item["call_id"] for item in told)
    assert call == output
    assert len(call) <= 32


# --- S7: xAI ---------------------------------------------------------------------------


def test_usage_at_the_top_of_response_done_is_read() -> None:
    usage = {
        "input_tokens": 120,
        "output_tokens": 40,
        "total_tokens": 160,
        "billable_audio_seconds": 4.2,
    }
    text = frame(
        "response.done",
        response={"id": "resp_1", "status": "completed", "usage": {}, "output": []},
        usage=usage,
    )
    [ended] = [x for x in ready(XAI).receive(text, 1.0) if isinstance(x, e.ResponseEnded)]
    assert ended.usage is not None
    assert ended.usage.text_in + ended.usage.audio_in == 120


def test_a_transcript_in_progress_is_not_a_turn() -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    session = ready(XAI)
    heard = [
        event.text
        for text, status in (
            ("Hello?", "in_progress"),
            ("Hello, my name is", "in_progress"),
            ("Hello, my name is Marcelo.", "completed"),
        )
        for event in session.receive(
            frame(kind, item_id="item_1", content_index=0, transcript=text, status=status), 1.0
        )
        if isinstance(event, e.UserTranscript)
    ]
    assert heard == ["Hello, my name is Marcelo."]


# --- S8: transcription -----------------------------------------------------------------


def test_a_transcription_that_fails_is_told_once() -> None:
    home = Home(transcription="builtin")
    kind = "conversation.item.input_audio_transcription.failed"
    what = {
        "type": "invalid_request_error",
        "code": "DeploymentNotFound",
        "message": "The API deployment for this resource does not exist.",
        "param": None,
    }
    home.hear(frame(kind, item_id=f"item_{n}", content_index=0, error=what) for n in range(5))
    assert 1 <= len(home.notes) <= 2


# --- S9: empty instructions ------------------------------------------------------------


@pytest.mark.parametrize("way", ["opening", "change"])
def test_instructions_are_never_sent_empty(way: str) -> None:
    if way == "opening":
        texts = configuring(OPENAI, household_session(instructions="")).take_outgoing()
    else:
        texts = ready(OPENAI).command(c.UpdateSession(instructions=""))
    [update] = [json.loads(text)["session"] for text in texts]
    assert update.get("instructions", "").strip()


# --- S10: reasoning --------------------------------------------------------------------


def test_a_dated_model_is_not_asked_to_reason() -> None:
    dated = household_session(model="gpt-realtime-2025-08-28", reasoning_effort="low")
    [update] = configuring(OPENAI, dated).take_outgoing()
    assert "reasoning" not in json.loads(update)["session"]


# --- S11, S12: without an acknowledgement, without an answer ---------------------------


async def greets_and_takes(wire: MemoryWire) -> None:
    """A server that never acknowledges a session, and would answer."""
    await wire.send(CREATED)
    try:
        while True:
            await wire.receive()
    except WireClosed:
        return


async def refuses_once_and_takes(wire: MemoryWire) -> None:
    """The same, but it refuses an option first, after a while."""
    await wire.send(CREATED)
    await wire.receive()
    await asyncio.sleep(2.0)
    await wire.send(error(code="unknown_parameter", param="session.reasoning"))
    try:
        while True:
            await wire.receive()
    except WireClosed:
        return


def link_events(
    serve: Callable[[MemoryWire], Coroutine[Any, Any, None]], of: Provider, for_s: float
) -> list[e.Event]:
    """What a link to such a server tells within `for_s`."""
    events: list[e.Event] = []

    async def main() -> None:
        served: list[asyncio.Task[None]] = []

        async def dial(url: str, headers: Mapping[str, str]) -> Wire:
            del url, headers
            near, far = memory_wire_pair()
            served.append(asyncio.create_task(serve(far)))
            return near

        link = RealtimeLink(
            timings=household_timings(),
            dial=dial,
            provider=replace(of, url_template="ws://127.0.0.1/v1/realtime"),
            config=household_session(turn_detection=None),
            key=lambda: "a-key",
            post=events.append,
            note=lambda _code, **_fields: None,
            rng=random.Random(1),
        )
        running = asyncio.create_task(link.run())
        await asyncio.sleep(for_s)
        await link.close()
        await running
        await asyncio.gather(*served)

    run(main())
    return events


def test_a_local_server_that_never_acknowledges_is_used() -> None:
    events = link_events(greets_and_takes, LOCAL, 8.0)
    [ready_at] = [event.at for event in events if isinstance(event, e.LinkReady)]
    assert 3.0 <= ready_at - events[0].at < 3.1


def test_what_it_says_against_an_option_is_heard_before_it_is_used() -> None:
    events = link_events(refuses_once_and_takes, LOCAL, 8.0)
    [ready_at] = [event.at for event in events if isinstance(event, e.LinkReady)]
    assert 5.0 <= ready_at - events[0].at < 5.1


def test_a_service_that_acknowledges_is_not_used_before_it_has() -> None:
    events = link_events(greets_and_takes, OPENAI, 12.0)
    assert not [event for event in events if isinstance(event, e.LinkReady)]
    assert [event.code for event in events if isinstance(event, e.LinkDown)] == ["link.no_answer"]


def test_a_server_error_in_a_turn_is_not_waited_out() -> None:
    home = Home()
    house = home.house
    house.server.think_s = 60.0
    house.wake_word(0.5)
    house.says(0.6, 1.6)
    house.run(3.0)
    given(house.manager.talk is Talk.THINKING, "an answer is awaited")
    message = "The server had an error while processing your request. Sorry about that!"
    home.hear([error(type="server_error", code="server_error", message=message)])
    house.run(4.0)
    assert house.did(c.ReopenLink) or home.session.failure


# --- S13, S14: benign errors -----------------------------------------------------------

TOO_SMALL = (
    "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but "
    "buffer only has 0.00ms of audio."
)


def test_the_servers_commit_after_an_empty_one_of_ours_ends_the_turn() -> None:
    home = Home()
    house = home.house
    house.server.vad = house.server.announces_commit = False
    house.wake_word(0.5)
    house.says(0.6, 1.6)
    house.run(7.0)  # the server's detector hears nothing, so we end the turn
    [commit] = house.did(c.CommitAudio)
    given(house.manager.talk is not Talk.LISTENING, "our commit is on its way")
    texts = home.session.command(commit)
    about = json.loads(texts[0])["event_id"]
    code = "input_audio_buffer_commit_empty"
    home.hear([error(code=code, message=TOO_SMALL, event_id=about)])
    sent = house.notes().count("talk.turn_sent")
    house.run(12.0)
    given(house.manager.talk is Talk.LISTENING, "a follow-up is awaited")
    house.says(12.1, 13.1)
    house.run(13.3)
    home.hear([frame("input_audio_buffer.committed", item_id="item_9")])
    assert house.notes().count("talk.turn_sent") == sent + 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            body,
            id=name,
        )
        for name, body in {
            "commit": {"message": TOO_SMALL},
            "delete": {"message": "Error deleting item: the item with id 'item_1' does not exist."},
            "localai": {"code": "invalid_item_id", "event_id": "event_TODO"},
        }.items()
    ],
)
def test_a_benign_error_without_its_code_is_no_complaint(body: dict[str, Any]) -> None:
    session = ready(OPENAI)
    session.command(c.DeleteItem("item_1"))
    assert session.receive(error(**body), 1.0) == []


def test_a_collision_without_its_code_is_one() -> None:
    words = "Conversation already has an active response"
    [event] = ready(OPENAI).receive(error(message=words), 1.0)
    assert isinstance(event, e.ServerComplained)
    assert event.code == "conversation_already_has_active_response"
