"""Brains: the parrot and plays from a file, and what a bad play is told.

Thread: the virtual loop.  It must never ship sound: the tests make their own WAV files.
"""

from __future__ import annotations

import base64
import json
import wave
from pathlib import Path

import pytest
from server_talk import SPEECH_MS, SPOKEN, Client, silence, talk, talking

from edge_agent.simulation.brains import ParrotBrain, PlayError, ScriptBrain, hum, load_play
from edge_agent.simulation.clock import run
from edge_agent.simulation.realtime_server.vad import speech_only
from edge_agent.simulation.server import RealtimeServer

PLAY = """
title = "An evening"

[[line]]
heard = "what time is it"
say = "It is ten past nine."
audio = "ten.wav"

[[line]]
heard = "set a timer"
delay_ms = 800
parts = [
  { say = "One moment.", phase = "commentary" },
  { call = "set_timer", arguments = { minutes = 5 } },
]
[[line.after_tool]]
say = "Five minutes, starting now."

[[keyed]]
when = "weather"
text = "No idea, there is no window here."

[side]
summary = "They asked for the time."
default = "Nothing to add."
"""


def write_wav(path: Path, pcm: bytes, *, rate: int = 24_000, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(pcm)


@pytest.fixture
def play(tmp_path: Path) -> Path:
    write_wav(tmp_path / "ten.wav", SPOKEN)
    (tmp_path / "evening.toml").write_text(PLAY, encoding="utf-8")
    return tmp_path / "evening.toml"


def said(client: Client) -> list[str]:
    return [e["transcript"] for e in client.of("response.output_audio_transcript.done")]


def test_a_play_is_performed(play: Path) -> None:
    async def scene(client: Client) -> None:
        await client.update(audio={"input": {"transcription": {"model": "gpt-transcribe"}}})
        turn = silence(300) + SPOKEN + silence(700)
        await client.speak(turn)
        await client.until("response.done")
        sound = b"".join(
            base64.b64decode(e["delta"]) for e in client.of("response.output_audio.delta")
        )
        assert sound == SPOKEN
        await client.speak(turn)
        done = (await client.until("response.done"))["response"]
        call = done["output"][1]
        assert json.loads(call["arguments"]) == {"minutes": 5}
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}
        await client.send("conversation.item.create", item=output)
        await client.send("response.create")
        await client.until("response.done")
        await client.say_text("How is the WEATHER?")
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"][0]["text"].startswith("No idea")
        await client.speak(turn)
        await client.until("response.done")
        assert said(client) == [
            "It is ten past nine.",
            "One moment.",
            "Five minutes, starting now.",
            "It is ten past nine.",
        ]
        heard = client.of("conversation.item.input_audio_transcription.completed")
        assert [e["transcript"] for e in heard][:2] == ["what time is it", "set a timer"]
        for topic, words in (("summary", "They asked for the time."), ("x", "Nothing to add.")):
            request = {
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"topic": topic},
            }
            await client.send("response.create", response=request)
            done = (await client.until("response.done"))["response"]
            assert done["output"][0]["content"][0]["text"] == words

    talk(scene, ScriptBrain.from_file(play))


def test_a_line_cut_off_by_the_link_is_said_again(play: Path) -> None:
    async def night() -> None:
        brain = ScriptBrain.from_file(play)
        server = RealtimeServer(brain)
        async with talking(server) as client:
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            client.wire.cut()
            await client.gone.wait()
        assert brain.next_line == 0
        async with talking(server) as client:
            await client.send("response.create")
            await client.until("response.done")
        assert brain.next_line == 1

    run(night())


def test_a_play_brings_its_own_faults_once(tmp_path: Path) -> None:
    path = tmp_path / "storm.toml"
    path.write_text('[[line]]\nsay = "a storm is coming up"\nfaults = "close_after_deltas=3"\n')

    async def night() -> None:
        server = RealtimeServer(ScriptBrain.from_file(path))
        async with talking(server) as client:
            await client.send("response.create")
            await client.gone.wait()
            assert client.closed is not None
            assert client.closed.close_code == 1011
        async with talking(server) as client:
            await client.send("response.create")
            done = (await client.until("response.done"))["response"]
            assert done["status"] == "completed"

    run(night())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing to say"),
        ("[[line]]\nheard = 'x'", "nothing to say"),
        ("[[line]]\nsay = 'x'\nvolume = 3", "unknown key 'volume'"),
        ("speed = 3\n[[line]]\nsay = 'x'", "unknown key 'speed'"),
        ("[[line]]\naudio = 'missing.wav'", "missing.wav"),
        ("[[line]]\naudio = 'wide.wav'", "wants 1 channel"),
        ("[[line]]\naudio = 'text.wav'", "not a readable WAV"),
        ("[[line", "not valid TOML"),
        ("[[line]]\nsay = 'x'\nfaults = 'rain'", "There is no fault 'rain'"),
    ],
)
def test_bad_plays_are_refused_with_a_sentence(tmp_path: Path, text: str, reason: str) -> None:
    write_wav(tmp_path / "wide.wav", bytes(400), channels=2)
    (tmp_path / "text.wav").write_text("not sound")
    path = tmp_path / "play.toml"
    path.write_text(text)
    with pytest.raises(PlayError, match=reason) as caught:
        load_play(path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(PlayError, match="cannot be read"):
        load_play(tmp_path / "nowhere.toml")


def test_the_parrot_calls_tools_when_told() -> None:
    async def scene(client: Client) -> None:
        await client.say_text('call clock {"zone": "UTC"}')
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        call = done["output"][0]
        assert (call["name"], call["arguments"]) == ("clock", '{"zone": "UTC"}')
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
        await client.send("conversation.item.create", item=output)
        await client.send("response.create")
        await client.until("response.done")
        assert said(client) == ["The tool answered: noon"]
        tools = [{"type": "function", "name": "lamp"}]
        required = {"tools": tools, "tool_choice": "required"}
        await client.say_text("light please")
        await client.send("response.create", response=required)
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["name"] == "lamp"
        await client.send("response.create", response={"tools": tools, "tool_choice": "none"})
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["type"] == "message"

    talk(scene, ParrotBrain())


def test_hum_and_trimming() -> None:
    pcm = hum("twelve chars")
    assert len(pcm) == 12 * 60 * 48
    trimmed = speech_only(silence(500) + SPOKEN + silence(700))
    assert abs(len(trimmed) // 48 - SPEECH_MS) < 150
    assert speech_only(silence(300)) == silence(300)
    assert speech_only(b"\x01\x00") == b"\x01\x00"
