"""Turns: server VAD, manual commit, text, order of events, interruption.

Thread: the virtual loop.  It must never depend on the machine's speed.
"""

from __future__ import annotations

import asyncio
import base64

import numpy as np
import pytest
from server_talk import SPEECH_MS, SPOKEN, Client, Says, silence, talk

from edge_agent.simulation.brains import Call, Speech, Text, hum

LONG = hum("a long answer that takes its time to be said " * 6)


def test_spoken_turn_runs_through_the_canonical_sequence() -> None:
    async def scene(client: Client) -> None:
        await client.speak(silence(600) + SPOKEN + silence(900))
        done = await client.until("response.done")
        named = [t for t in client.types() if not t.endswith("delta")]
        assert named == [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        started, stopped = client.log[1], client.log[2]
        item_id = started["item_id"]
        assert stopped["item_id"] == client.log[3]["item_id"] == item_id
        assert client.of("conversation.item.added")[0]["item"]["id"] == item_id
        # The onset of the hum is soft; the prefix padding is 300 ms.
        assert 200 <= started["audio_start_ms"] <= 450
        assert 1000 + SPEECH_MS <= stopped["audio_end_ms"] <= 1250 + SPEECH_MS
        assert done["response"]["status"] == "completed"
        played = b"".join(
            base64.b64decode(e["delta"]) for e in client.of("response.output_audio.delta")
        )
        assert abs(len(played) // 48 - SPEECH_MS) < 200
        for event in client.log:
            if event["type"].endswith("delta"):
                assert {"response_id", "item_id", "output_index", "content_index"} <= set(event)

    talk(scene)


def test_manual_turn_creates_no_response_by_itself() -> None:
    async def scene(client: Client) -> None:
        await client.manual()
        await client.speak(silence(200) + SPOKEN)
        await client.send("input_audio_buffer.commit")
        await client.until("conversation.item.done")
        await asyncio.sleep(5)
        assert "response.created" not in client.types()
        assert "input_audio_buffer.speech_started" not in client.types()
        await client.send("response.create")
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["type"] == "output_audio"

    talk(scene)


def test_commit_below_100_ms_is_refused_and_clear_empties() -> None:
    async def scene(client: Client) -> None:
        await client.manual()
        await client.speak(silence(99))
        await client.send("input_audio_buffer.commit", event_id="mine")
        error = await client.error()
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert error["event_id"] == "mine"
        await client.speak(silence(1))
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.send("input_audio_buffer.commit")
        assert (await client.error())["code"] == "input_audio_buffer_commit_empty"

    talk(scene)


def test_commit_in_the_middle_of_speech_uses_the_announced_item() -> None:
    async def scene(client: Client) -> None:
        await client.speak(silence(300) + SPOKEN)
        started = await client.until("input_audio_buffer.speech_started")
        await client.send("input_audio_buffer.commit")
        committed = await client.until("input_audio_buffer.committed")
        assert committed["item_id"] == started["item_id"]
        await client.speak(silence(1500))
        await asyncio.sleep(1)
        assert "input_audio_buffer.speech_stopped" not in client.types()

    talk(scene)


@pytest.mark.parametrize("level_dbfs", [-60, -45, -30])
@pytest.mark.parametrize("colour", ["white", "pink"])
def test_noise_does_not_trigger(level_dbfs: int, colour: str) -> None:
    rng = np.random.default_rng(level_dbfs + 100)
    noise = rng.standard_normal(24_000 * 8)
    if colour == "pink":
        spectrum = np.fft.rfft(noise)
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
        noise = np.fft.irfft(spectrum)
    noise *= 10 ** (level_dbfs / 20) / noise.std()
    pcm = (np.clip(noise, -1, 1) * 32_767).astype("<i2").tobytes()

    async def scene(client: Client) -> None:
        await client.speak(pcm, chunk_ms=100)
        await asyncio.sleep(1)
        assert client.types() == ["session.created"]

    talk(scene)


def test_quiet_speech_triggers() -> None:
    samples = np.frombuffer(SPOKEN, dtype="<i2").astype(float)
    quiet = (samples / np.abs(samples).max() * 32_767 * 10 ** (-45 / 20)).astype("<i2").tobytes()

    async def scene(client: Client) -> None:
        await client.speak(silence(500) + quiet + silence(800))
        started = await client.until("input_audio_buffer.speech_started", within_s=5)
        committed = await client.until("input_audio_buffer.committed", within_s=5)
        assert committed["item_id"] == started["item_id"]

    talk(scene)


def test_silence_duration_and_eagerness_set_the_end() -> None:
    async def ends(client: Client, detection: dict[str, object]) -> int:
        await client.update(audio={"input": {"turn_detection": detection}})
        before = client.session.input.received_ms
        await client.speak(silence(600) + SPOKEN + silence(2500))
        stopped = await client.until("input_audio_buffer.speech_stopped")
        return int(stopped["audio_end_ms"]) - before - 600 - SPEECH_MS

    async def scene(client: Client) -> None:
        quiet = {"create_response": False}
        short = await ends(client, {"type": "server_vad", "silence_duration_ms": 200, **quiet})
        longer = await ends(client, {"type": "server_vad", "silence_duration_ms": 1500, **quiet})
        assert abs((longer - short) - 1300) <= 30
        high = await ends(client, {"type": "semantic_vad", "eagerness": "high", **quiet})
        low = await ends(client, {"type": "semantic_vad", "eagerness": "low", **quiet})
        assert low - high >= 500
        assert "response.created" not in client.types()

    talk(scene)


def test_idle_timeout_answers_the_silence() -> None:
    async def scene(client: Client) -> None:
        detection = {"type": "server_vad", "idle_timeout_ms": 6000}
        await client.update(audio={"input": {"turn_detection": detection}})
        await client.speak(silence(8000), chunk_ms=100)
        assert "input_audio_buffer.timeout_triggered" not in client.types()
        await client.send("response.create")
        await client.until("response.done")
        await client.speak(silence(9000), chunk_ms=100)
        fired = await client.until("input_audio_buffer.timeout_triggered")
        assert fired["audio_end_ms"] - fired["audio_start_ms"] >= 6000
        committed = await client.until("input_audio_buffer.committed")
        assert committed["item_id"] == fired["item_id"]
        await client.until("response.done")

    talk(scene, Says(Speech(SPOKEN, "Are you still there?")))


def test_barge_in_is_announced_before_the_cancelled_response() -> None:
    async def scene(client: Client) -> None:
        await client.say_text("tell me a story")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.speak(silence(300) + SPOKEN, pace_s=0.001)
        started = await client.until("input_audio_buffer.speech_started")
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        item = done["response"]["output"][0]
        assert item["status"] == "incomplete"
        received = [
            len(base64.b64decode(e["delta"])) for e in client.of("response.output_audio.delta")
        ]
        assert sum(received) < len(LONG)
        kinds = client.types()
        position = kinds.index("input_audio_buffer.speech_started")
        assert "response.output_audio.delta" not in kinds[position:]
        await client.send(
            "conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=120
        )
        await client.until("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=item["id"])
        content = (await client.until("conversation.item.retrieved"))["item"]["content"][0]
        assert len(base64.b64decode(content["audio"])) == 120 * 48
        assert "transcript" not in content
        await client.speak(silence(900))
        committed = await client.until("input_audio_buffer.committed")
        assert committed["item_id"] == started["item_id"]
        assert committed["previous_item_id"] == item["id"]
        await client.until("response.created")

    talk(scene, Says(Speech(LONG, "once upon a time " * 16)))


def test_without_interrupt_response_the_turn_waits_for_the_answer() -> None:
    async def scene(client: Client) -> None:
        detection = {"type": "server_vad", "interrupt_response": False}
        await client.update(audio={"input": {"turn_detection": detection}})
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.speak(silence(300) + SPOKEN + silence(800))
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        await client.until("response.created")
        await client.until("response.done")
        assert client.session.errors == []

    talk(scene, Says(Speech(LONG, "a long answer")))


def test_side_response_runs_beside_and_survives_speech() -> None:
    async def scene(client: Client) -> None:
        await client.say_text("tell me a story")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        request = {
            "conversation": "none",
            "output_modalities": ["text"],
            "metadata": {"topic": "summary"},
            "instructions": "Sum up.",
        }
        await client.send("response.create", response=request)
        side = (await client.until("response.created"))["response"]
        assert side["conversation_id"] is None
        assert side["metadata"] == {"topic": "summary"}
        await client.speak(silence(200) + SPOKEN)
        await client.until("input_audio_buffer.speech_started")
        while True:
            done = (await client.until("response.done"))["response"]
            if done["id"] == side["id"]:
                break
        assert done["status"] == "completed"
        assert done["metadata"] == {"topic": "summary"}
        assert done["output"][0]["content"] == [{"type": "output_text", "text": "x" * 400}]
        own = done["output"][0]["id"]
        assert own not in client.session.conversation
        touched = [e for e in client.log if e["type"].startswith("conversation.item")]
        assert all(e["item"]["id"] != own for e in touched)

    class Both(Says):
        def reply(self, turn):  # type: ignore[no-untyped-def]
            self.parts = (Text("x" * 400),) if turn.out_of_band else (Speech(LONG, "story"),)
            return super().reply(turn)

    talk(scene, Both())


def test_one_response_at_a_time_and_cancel() -> None:
    async def scene(client: Client) -> None:
        await client.send("response.cancel")
        assert (await client.error())["code"] == "response_cancel_not_active"
        await client.send("response.create")
        created = await client.until("response.created")
        await client.send("response.create", event_id="second")
        error = await client.error()
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "second"
        assert created["response"]["id"] in error["message"]
        await client.send("response.cancel", response_id=created["response"]["id"])
        done = (await client.until("response.done"))["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await client.send("response.create")
        await client.until("response.created")

    talk(scene, Says(Speech(LONG, "a long answer")))


def test_a_response_cancelled_at_once_was_announced() -> None:
    brain = Says(Speech(LONG, "never said"))

    async def scene(client: Client) -> None:
        await client.send("response.create")
        await client.send("response.cancel")
        await client.send("response.create", response={"conversation": "none"})
        await client.until("response.done")
        await client.until("response.done")
        ids = [e["response"]["id"] for e in client.log if e["type"].startswith("response.created")]
        done = [e["response"] for e in client.of("response.done")]
        assert [d["id"] for d in done] == ids
        assert [d["status"] for d in done] == ["cancelled", "completed"]
        assert done[0]["output"] == []
        assert len(brain.turns) == 1

    talk(scene, brain)


def test_calls_preamble_and_output() -> None:
    brain = Says(
        Speech(SPOKEN, "Let me look.", "commentary"),
        Call("clock", '{"zone": "Europe/Berlin"}'),
        Call("weather", "{}", "call_mine"),
    )

    async def scene(client: Client) -> None:
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        said, clock, weather = done["output"]
        assert said["phase"] == "commentary"
        assert clock["arguments"] == '{"zone": "Europe/Berlin"}'
        assert weather["call_id"] == "call_mine"
        first = client.of("response.function_call_arguments.done")[0]
        assert first["name"] == "clock"
        assert first["call_id"] == clock["call_id"]
        assert [e["output_index"] for e in client.of("response.output_item.added")] == [0, 1, 2]
        for call_id in (weather["call_id"], clock["call_id"]):
            item = {"type": "function_call_output", "call_id": call_id, "output": "fine"}
            await client.send("conversation.item.create", item=item)
        await client.send("response.create")
        await client.until("response.done")
        assert [o.name for o in brain.turns[-1].outputs] == ["weather", "clock"]
        assert client.session.conversation.outputs_per_call == {
            clock["call_id"]: 1,
            "call_mine": 1,
        }
        item = {"type": "function_call_output", "call_id": "call_never", "output": "x"}
        await client.send("conversation.item.create", item=item)
        assert (await client.error())["code"] == "invalid_tool_call_id"

    talk(scene, brain)


def test_text_modality_speaks_in_text() -> None:
    async def scene(client: Client) -> None:
        await client.send("response.create", response={"output_modalities": ["text"]})
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"] == [{"type": "output_text", "text": "It is ten."}]
        text = "".join(e["delta"] for e in client.of("response.output_text.delta"))
        assert text == client.of("response.output_text.done")[0]["text"] == "It is ten."

    talk(scene, Says(Speech(SPOKEN, "It is ten.")))


def test_pace_follows_audio_speed() -> None:
    async def scene(client: Client) -> None:
        loop = asyncio.get_running_loop()
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        start = loop.time()
        await client.until("response.done")
        assert loop.time() - start == pytest.approx(len(LONG) / 48_000 / 4, abs=0.06)

    talk(scene, Says(Speech(LONG, "slow")), audio_speed=4.0)


def test_transcription_delta_and_completed() -> None:
    async def scene(client: Client) -> None:
        transcription = {"model": "gpt-transcribe"}
        await client.update(audio={"input": {"transcription": transcription}})
        await client.speak(silence(300) + SPOKEN + silence(700))
        committed = await client.until("input_audio_buffer.committed")
        completed = await client.until("conversation.item.input_audio_transcription.completed")
        assert completed["item_id"] == committed["item_id"]
        assert completed["transcript"] == "what time is it"
        deltas = client.of("conversation.item.input_audio_transcription.delta")
        assert "".join(e["delta"] for e in deltas) == "what time is it"
        assert completed["usage"]["type"] == "tokens"
        assert completed["usage"]["input_tokens"] > SPEECH_MS // 100

    talk(scene, Says(Speech(SPOKEN, "ten")))


def test_usage_counts_audio_and_caches_what_was_there() -> None:
    async def scene(client: Client) -> None:
        await client.manual()
        await client.update(instructions="Be brief." * 10)
        await client.speak(bytes(48 * 2000))
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        first = (await client.until("response.done"))["response"]["usage"]
        assert first["input_token_details"]["audio_tokens"] == 20
        assert first["input_token_details"]["cached_tokens"] == 0
        assert first["output_token_details"]["audio_tokens"] == 60
        assert first["total_tokens"] == first["input_tokens"] + first["output_tokens"]
        await client.say_text("and now?")
        await client.send("response.create")
        second = (await client.until("response.done"))["response"]["usage"]
        assert second["input_token_details"]["audio_tokens"] == 80
        assert second["input_token_details"]["cached_tokens"] == first["input_tokens"]
        assert second["input_token_details"]["cached_tokens_details"]["audio_tokens"] == 20

    talk(scene, Says(Speech(bytes(48 * 3000), "three seconds")))


def test_max_output_tokens_cuts_the_answer() -> None:
    async def scene(client: Client) -> None:
        await client.send("response.create", response={"max_output_tokens": 20})
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "incomplete"
        assert done["status_details"]["reason"] == "max_output_tokens"

    talk(scene, Says(Speech(LONG, "long")))


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_telephone_formats_carry_speech_both_ways(kind: str) -> None:
    from edge_agent.simulation.realtime_server import codec

    async def scene(client: Client) -> None:
        form = {"format": {"type": kind}}
        await client.update(audio={"input": form, "output": form})
        heard = codec.from_pcm24k(kind, silence(300) + SPOKEN + silence(700))
        for start in range(0, len(heard), 800):
            piece = base64.b64encode(heard[start : start + 800]).decode("ascii")
            await client.send("input_audio_buffer.append", audio=piece)
        await client.until("response.done")
        deltas = client.of("response.output_audio.delta")
        sound = b"".join(base64.b64decode(e["delta"]) for e in deltas)
        assert abs(len(sound) / 8 - SPEECH_MS) < 200
        back = np.frombuffer(codec.to_pcm24k(kind, sound), dtype="<i2").astype(float)
        assert 3000 < np.abs(back).max() < 12_000

    talk(scene)


def test_truncation_while_the_answer_is_still_made_is_accepted() -> None:
    async def scene(client: Client) -> None:
        await client.send("response.create")
        delta = await client.until("response.output_audio.delta")
        where = {"item_id": delta["item_id"], "content_index": 0}
        await client.send("conversation.item.truncate", **where, audio_end_ms=50)
        await client.until("conversation.item.truncated")
        await client.send("conversation.item.truncate", **where, audio_end_ms=600_000)
        assert "already shorter than" in (await client.error())["message"]

    talk(scene, Says(Speech(LONG, "long")))


def test_instructions_of_null_in_a_response_are_those_of_the_session() -> None:
    brain = Says(Speech(SPOKEN, "hello"))

    async def scene(client: Client) -> None:
        await client.update(instructions="Be brief.")
        await client.send("response.create", response={"instructions": None})
        await client.until("response.done")

    talk(scene, brain)
    assert [turn.instructions for turn in brain.turns] == ["Be brief."]
