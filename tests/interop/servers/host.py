"""One foreign server, our client, and what must come of it.

    python tests/interop/servers/host.py speech-to-speech COMMAND...

Thread: its own loop, in real time over real sockets.  It must never speak the protocol itself:
either the whole daemon talks in a virtual room, or `RealtimeLink` carries out commands.  Prints one
line of JSON, `{"version", "held", "faults", "notes"}`, and ends with 0 when `faults` is empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import random
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.demo.stage import Stage, StageError
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.providers import Provider
from edge_agent.simulation.brains import Brain
from edge_agent.simulation.server import RealtimeServer, listen

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from house_config import household_dialer, household_provider, household_session, household_timings

KEY = "sk-interop-3f9c1d7b5a2e8046bdf1"
MODEL = "gpt-realtime-2.1"
STEP_S = 40.0
START_S = 90.0
"""A proxy that imports the world on a slow machine."""
POLL_S = 0.02
PONG_S = 15.0
"""A pipeline in Python is late with its pongs on a busy machine, as the owner of one knows."""
MOSTLY = 0.9
"""Share of an answer's sound that must be heard: servers pad and cut the silence at its ends."""
CLOCK = {
    "type": "function",
    "name": "clock",
    "description": "Tells the time in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Verdict:
    """What is told in the end."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.faults: list[str] = []
        self.notes: list[str] = []

    def expect(self, truth: object, what: str) -> None:
        """A fault unless true."""
        if not truth:
            self.faults.append(what)


class Link:
    """`RealtimeLink` over the real dialer, and all that it posts."""

    def __init__(self, url: str, verdict: Verdict, provider: Provider) -> None:
        self.events: list[ev.Event] = []
        self.verdict = verdict
        self.link = RealtimeLink(
            timings=household_timings(),
            dial=household_dialer(),
            provider=provider,
            config=household_session(model=MODEL, instructions="Be brief.", tools=(CLOCK,)),
            key=lambda: KEY,
            post=self.events.append,
            note=self._note,
            rng=random.Random(1),
            url=url,
        )

    def _note(self, code: str, **fields: object) -> None:
        self.verdict.notes.append(f"{code} {fields}")

    def of(self, kind: type[ev.Event], since: int = 0) -> list[Any]:
        """Events of a type, from an index on."""
        return [event for event in self.events[since:] if isinstance(event, kind)]

    async def until(self, kind: type[ev.Event], since: int, what: str) -> Any:
        """The first event of a type, from an index on."""
        await until(lambda: self.of(kind, since), what)
        return self.of(kind, since)[0]

    async def ask(self, text: str) -> tuple[int, ev.ResponseEnded]:
        """A typed question and the end of its answer."""
        since = len(self.events)
        self.link.execute(cmd.AddMessage("", "user", text))
        self.link.execute(cmd.RequestResponse())
        return since, await self.until(ev.ResponseEnded, since, f"the answer to {text!r}")


@contextlib.asynccontextmanager
async def linked(url: str, verdict: Verdict, provider: Provider) -> AsyncIterator[Link]:
    """A link that is up; closed politely at the end."""
    link = Link(url, verdict, provider)
    running = asyncio.create_task(link.link.run())
    try:
        await until(lambda: link.link.is_ready, "a session")
        verdict.held.append("session")
        yield link
    finally:
        await link.link.close()
        await running
        complaints = [f"{e.code}: {e.message}" for e in link.of(ev.ServerComplained)]
        verdict.notes += [f"complaint {text}" for text in complaints]
        verdict.notes.append(f"counts {dict(link.link.counts)}")


async def until(happened: Callable[[], object], what: str) -> None:
    """Wait for it; raises `TimeoutError` naming it."""
    try:
        async with asyncio.timeout(STEP_S):
            while not happened():  # noqa: ASYNC110 - what is awaited has no event of its own
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise TimeoutError(f"waited {STEP_S:g} s in vain for {what}") from None


async def aside(link: Link, verdict: Verdict) -> None:
    """A side question; a server that does not echo metadata answers it as if it were a turn."""
    since = len(link.events)
    link.link.execute(cmd.AskSideQuestion("summary", "Sum up in a sentence."))
    await until(
        lambda: link.of(ev.SideAnswer, since) or link.of(ev.ResponseEnded, since),
        "any answer to a side question",
    )
    if answers := link.of(ev.SideAnswer, since):
        verdict.expect(answers[0].ok, "the side question was refused")
        verdict.held.append("side question")
    else:
        verdict.notes.append("side question: answered as a turn, its metadata is not echoed")


def record_of(name: str) -> Provider:
    """The peer's own record; for one that has none what its owner would write down."""
    if name == "speech-to-speech":
        return household_provider(name)
    local = household_provider("local")
    return replace(local, capabilities=replace(local.capabilities, side_questions=True))


async def by_hand(url: str, verdict: Verdict, provider: Provider, *, spoken: bool) -> None:
    """Typed turn, tool call, side question, a cancel too many, through the link alone."""
    async with linked(url, verdict, provider) as link:
        since, end = await link.ask("Good evening!")
        verdict.expect(end.status == "completed", f"the answer ended as {end.status} {end.code}")
        sound = sum(len(chunk.pcm24k) for chunk in link.of(ev.VoiceChunk, since))
        verdict.expect(bool(sound) == spoken, f"{sound} bytes of voice in the answer")
        verdict.held.append("text")
        since, end = await link.ask("What time is it in Lisbon?")
        verdict.expect(end.calls and end.calls[0].name == "clock", f"the calls were {end.calls}")
        if end.calls:
            since = len(link.events)
            link.link.execute(cmd.AddToolOutput(end.calls[0].call_id, "noon in Lisbon"))
            link.link.execute(cmd.RequestResponse())
            end = await link.until(ev.ResponseEnded, since, "the answer after the tool")
            verdict.expect(end.status == "completed", f"after the tool: {end.status} {end.code}")
            verdict.held.append("tool")
        await aside(link, verdict)
        link.link.execute(cmd.CancelResponse("resp_unknown"))
        await asyncio.sleep(0.5)
        verdict.expect(link.link.is_ready, "the session did not outlive a cancel too many")
        verdict.expect(not link.of(ev.LinkDown), f"the link went down {link.of(ev.LinkDown)}")


async def in_a_room(url: str, verdict: Verdict, *, key: bool) -> None:
    """The whole daemon: a spoken turn, an interrupted one, and one after it."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "providers.toml"
        table.write_text(f"[providers.local]\npong_active_s = {PONG_S}\n", encoding="utf-8")
        realtime: dict[str, object] = {
            "url": url,
            "model": MODEL,
            "providers_file": str(table),
            "ping_timeout_idle_s": PONG_S,
        }
        if key:
            realtime["api_key"] = KEY
        await _at_home({"realtime": realtime}, verdict)


async def _at_home(settings: dict[str, dict[str, object]], verdict: Verdict) -> None:
    async with Stage(settings=settings, room={"echo_gain_db": None}) as stage:
        came: list[int] = []
        stage.daemon.agent.observers.append(
            lambda event, _commands, _at: (
                came.append(len(event.pcm24k)) if isinstance(event, ev.VoiceChunk) else None
            )
        )
        try:
            await _evening(stage, verdict, came)
        except StageError:
            verdict.notes += [f"{n.at:.2f} {n.code} {dict(n.fields)}" for n in stage.score.journal]
            raise


async def _evening(stage: Stage, verdict: Verdict, came: list[int]) -> None:
    """`came`: bytes of voice that the link posted so far."""
    room = stage.room

    async def answer(after: float, what: str) -> float:
        await stage.until(lambda: room.spoken.audible(after), STEP_S, f"{what} sounds")
        span = room.spoken.audible(after)
        assert span is not None
        return span[0]

    async def end_of(after: float) -> float:
        def silent() -> float | None:
            return room.silent_from(after, hold_s=0.8)

        await stage.until(lambda: silent() is not None, STEP_S, "the answer ends")
        return silent() or 0.0

    await stage.until(lambda: stage.link == "ready", STEP_S, "a session")
    said = await stage.say("wake_what_time")
    first = await answer(said.offset_at + 0.3, "the first answer")
    last = await end_of(first)
    got = sum(came) / 48
    verdict.expect(
        (last - first) * 1000 >= MOSTLY * got > 0,
        f"{got:.0f} ms of answer came, {(last - first) * 1000:.0f} ms were heard",
    )
    verdict.notes.append(f"answer of {got:.0f} ms, heard {(last - first) * 1000:.0f} ms")
    verdict.held.append("voice")
    await stage.until_talk("asleep", STEP_S)
    said = await stage.say("wake_tea_second_voice")
    first = await answer(said.offset_at + 0.3, "the story")
    await asyncio.sleep(1.2)
    stop = stage.speak("stop_wait")
    await stage.until(lambda: stage.score.happened(ev.PlaybackCut, stop.start_at), STEP_S, "cut")
    await stage.sleep_until(stop.end_at)
    cut_at = room.silent_from(stop.onset_at, hold_s=0.3)
    verdict.notes.append(f"cut {((cut_at or 0) - stop.onset_at) * 1000:.0f} ms after the onset")
    first = await answer(stop.offset_at + 0.3, "the answer to the interruption")
    await end_of(first)
    verdict.held.append("barge-in")
    bad = ("agent.fault", "link.local_error", "link.internal_error", "link.garbage")
    codes = [f"{line.code} {dict(line.fields)}" for line in stage.score.journal]
    verdict.faults += [code for code in codes if code.startswith(bad)]
    verdict.notes += [code for code in codes if code.startswith("link.unknown")]
    verdict.notes += [
        f"complaint {e.code}: {e.message} ({e.about})"
        for e in stage.score.happened(ev.ServerComplained)
    ]
    verdict.expect(not stage.score.happened(ev.LinkDown), "the link went down")


def upstream_brain() -> Brain:
    """The model behind a proxy: the same household as for the foreign clients."""
    path = Path(__file__).resolve().parents[1] / "clients" / "host.py"
    spec = importlib.util.spec_from_file_location("interop_clients_host", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    brain: Brain = module.Household()
    return brain


async def talk(name: str, url: str, verdict: Verdict) -> None:
    """What each of them can."""
    await by_hand(url, verdict, record_of(name), spoken=name != "aimock")
    if name != "aimock":
        await in_a_room(url, verdict, key=name == "litellm")


async def host(name: str, command: list[str]) -> Verdict:
    """Start the server, talk, stop it."""
    verdict = Verdict()
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        arguments = [str(port)]
        if name == "litellm":
            upstream = RealtimeServer(upstream_brain(), audio_speed=4.0, first_delta_ms=50)
            arguments.append((await stack.enter_async_context(listen(upstream))).url)
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            env={**os.environ, "INTEROP_KEY": KEY},
            stdout=sys.stderr,
            stderr=sys.stderr,
        )
        try:
            await answers(port, process)
            await talk(name, f"ws://127.0.0.1:{port}/v1/realtime", verdict)
        except (TimeoutError, StageError, OSError) as problem:
            verdict.faults.append(str(problem))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    return verdict


async def answers(port: int, process: asyncio.subprocess.Process) -> None:
    """Wait until somebody listens there."""
    loop = asyncio.get_running_loop()
    end = loop.time() + START_S
    while loop.time() < end:
        if process.returncode is not None:
            raise OSError(f"the server ended at once with {process.returncode}")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.2)
    raise TimeoutError(f"the server did not listen within {START_S:g} s")


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    verdict = asyncio.run(host(sys.argv[1], sys.argv[2:]))
    sys.stdout.write(json.dumps(vars(verdict)) + "\n")
    return bool(verdict.faults)


if __name__ == "__main__":
    sys.exit(main())
