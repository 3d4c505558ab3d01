"""Our server, one foreign client, and the comparison of what both saw.

    python tests/interop/clients/host.py openai-agents COMMAND...

Thread: its own loop.  It must never believe the client: it is judged by the server's record of
every event.  Prints one line of JSON, `{"version", "held", "faults", "notes"}`, and ends with 0
when `faults` is empty.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.simulation.brains import Brain, Call, Reply, Speech, Text, Turn, hum
from edge_agent.simulation.server import RealtimeServer, listen
from edge_agent.simulation.sound import acoustics, voices

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from authority import Authority

KEY = "sk-interop"
RATE_HZ = 24_000
QUIET_BEFORE = bytes(48 * 400)
QUIET_AFTER = bytes(48 * 900)
"""Ends the turn under every default: 500 ms of silence, and something over."""
CLIENT_S = 150.0
"""Longer than the client's own patience."""
BENIGN = frozenset({"response_cancel_not_active"})
"""A wish to cancel that crosses the end of the answer on the network: the service says the same."""
WANTED = ("text", "voice", "barge-in", "tool")
NEEDS_TLS = frozenset({"openai-node"})
NO_TRUNCATE = frozenset[str]()


class Household(Brain):
    """A short answer, a long story to talk over, a call when asked for the time."""

    def __init__(self) -> None:
        self.spoken_turns = 0
        self.heard: list[bytes] = []
        self.outputs: list[str] = []

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            return Reply((Text("A talk about tomorrow."),))
        if turn.outputs:
            self.outputs += [o.output for o in turn.outputs]
            words = "It is noon in Lisbon."
            return Reply((Speech(hum(words), words),))
        if turn.texts and "time" in turn.texts[-1]:
            return Reply((Call("clock", '{"city": "Lisbon"}'),))
        if turn.heard:
            self.spoken_turns += 1
            self.heard.append(b"".join(turn.heard))
            if self.spoken_turns == 2:
                words = "Once upon a time there was a very long story. " * 8
                return Reply((Speech(hum(words), words),))
            return Reply((answer("answer_tomorrow"),))
        return Reply((Speech(hum("Good evening."), "Good evening."),))

    def transcribe(self, pcm24k: bytes) -> str:
        return voices.clips()["follow_up"].text


def answer(clip: str) -> Speech:
    """A shipped clip as an answer."""
    return Speech(voices.load(clip)[1], voices.clips()[clip].text)


def question() -> bytes:
    """A recorded question with silence around it, PCM16 mono 24 kHz."""
    rate_hz, pcm = voices.load("follow_up")
    samples = acoustics.resample(acoustics.from_pcm(pcm), rate_hz, RATE_HZ)
    return QUIET_BEFORE + acoustics.to_pcm(samples).tobytes() + QUIET_AFTER


@dataclass
class Record:
    """What went over the wire, by our server's own account."""

    sound: dict[str, int] = field(default_factory=dict)
    """Bytes of audio sent, per item, in order."""
    cut: set[str] = field(default_factory=set)
    """Items of answers that did not end well."""
    truncates: int = 0
    truncated: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    client_types: set[str] = field(default_factory=set)

    def see(self, side: str, event: dict[str, Any], at: float) -> None:
        """One event of either side."""
        kind = event.get("type")
        if side == "client":
            self.client_types.add(str(kind))
            self.truncates += kind == "conversation.item.truncate"
        elif kind == "response.output_audio.delta":
            size = len(base64.b64decode(event["delta"]))
            self.sound[event["item_id"]] = self.sound.get(event["item_id"], 0) + size
        elif kind == "conversation.item.truncated":
            self.truncated.append(event["audio_end_ms"])
        elif kind == "response.done":
            self.statuses.append(event["response"]["status"])
            if event["response"]["status"] != "completed":
                self.cut |= {item["id"] for item in event["response"]["output"]}
        elif kind == "error":
            self.errors.append(event["error"])


def judge(name: str, report: dict[str, Any], record: Record, brain: Household) -> list[str]:
    """Everything that is not as it must be, in sentences."""
    faults = [f"the client reported an error: {text}" for text in report["errors"]]
    faults += [
        f"our server complained: {error['code']}: {error['message']}"
        for error in record.errors
        if error["code"] not in BENIGN
    ]
    faults += [f"the step '{step}' was not held" for step in WANTED if step not in report["held"]]
    for item, got in zip(record.sound, report["audio_bytes"], strict=False):
        sent = record.sound[item]
        if item in record.cut and got > sent:
            faults.append(f"{item}: the client has {got} bytes of an answer, {sent} were sent")
        elif item not in record.cut and got != sent:
            faults.append(f"{item}: {sent} bytes of audio were sent, {got} were handed on")
    if len(record.sound) != len(report["audio_bytes"]):
        faults.append(f"{len(record.sound)} answers sent, {len(report['audio_bytes'])} heard")
    if brain.spoken_turns != 3:
        faults.append(f"3 questions were spoken, the model was asked {brain.spoken_turns}")
    if record.statuses.count("cancelled") != 1:
        faults.append(f"one answer should be cut, the ends were {record.statuses}")
    if name not in NO_TRUNCATE and (
        not record.truncated or record.truncates != len(record.truncated)
    ):
        faults.append(f"{record.truncates} truncations asked, {len(record.truncated)} done")
    if not report["calls"] or not any("noon" in output for output in brain.outputs):
        faults.append(f"the tool's answer did not arrive: {report['calls']} {brain.outputs}")
    return faults


async def host(name: str, command: list[str]) -> dict[str, Any]:
    """Serve one client from start to end."""
    brain, record = Household(), Record()
    server = RealtimeServer(
        brain,
        keys=frozenset({KEY}),
        on_event=record.see,
        first_delta_ms=50,
        transcription_ms=50,
        audio_speed=4.0,  # the story lasts 20 s: 5 s on the wire to talk over
    )
    with tempfile.TemporaryDirectory(prefix="edge-agent-interop-") as folder:
        asked = Path(folder) / "question.pcm"
        asked.write_bytes(question())
        tls, trust = None, {}
        if name in NEEDS_TLS:
            authority = Authority(Path(folder) / "ca")
            tls, trust = authority.server(), {"NODE_EXTRA_CA_CERTS": str(authority.ca_file)}
        async with listen(server, "127.0.0.1", 0, tls) as port:
            environment = {
                **os.environ,
                **trust,
                "INTEROP_URL": port.url,
                "INTEROP_KEY": KEY,
                "INTEROP_QUESTION": str(asked),
                "OPENAI_AGENTS_DISABLE_TRACING": "1",
                "NO_PROXY": "127.0.0.1,localhost",
                "no_proxy": "127.0.0.1,localhost",
            }
            client = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(CLIENT_S):
                    out, err = await client.communicate()
            except TimeoutError:
                client.kill()  # frameworks catch what is gentler
                await client.wait()
                return {"version": "", "held": [], "faults": ["the client hung"], "notes": []}
    sys.stderr.write(err.decode(errors="replace")[-4000:])
    try:
        report = json.loads(out.decode().splitlines()[-1])
    except (IndexError, ValueError):
        return {"version": "", "held": [], "faults": ["the client gave no report"], "notes": []}
    return {
        "version": report["version"],
        "held": report["held"],
        "faults": judge(name, report, record, brain),
        "notes": [
            f"{sum(record.sound.values()) // 48} ms of answers in {len(record.sound)} items",
            f"truncated at {record.truncated} ms",
            f"errors {[error['code'] for error in record.errors]}",
            f"client events {sorted(record.client_types)}",
        ],
    }


def main() -> int:
    verdict = asyncio.run(host(sys.argv[1], sys.argv[2:]))
    sys.stdout.write(json.dumps(verdict) + "\n")
    return bool(verdict["faults"])


if __name__ == "__main__":
    sys.exit(main())
