"""The proof: what leaves the house in each phase of a talk, by the kernel's count.

A second speaker with the household's settings and no key lives for 45 s in a network of its own,
where our simulated server is the only peer; its microphone hears shipped recordings.  `prove` is
`edge-agent privacy --prove`.

Thread: the event loop's thread.  It never takes the speaker's word for anything: bytes are counted
by the kernel on its connections, and again in a capture of every packet.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from edge_agent.contract.pcm import WIRE_BYTES_PER_MS
from edge_agent.demo.proof_network import Capture, NoNetworkOfItsOwn, Passed, enter_own_network
from edge_agent.demo.stage import Stage, StageError
from edge_agent.host.service.sockets import Totals, connections_of
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.sound import voices

PROVEN, REFUTED, VOID = 0, 1, 3
"""Exit codes: nothing left that should not have; something did; nothing can be said."""

CHAT = ("network_question", "button_question", "said_while_muted")
"""What people say to each other in each phase in which nothing may leave (8 s)."""
SETTLE_S = 1.0
"""What belongs to a phase that is over has left by then."""
WITHIN_S = 60.0
"""A slow board, and a follow-up window of the household's own."""

UPKEEP_ONCE_BYTES = 128
UPKEEP_BYTES_PER_S = 12
"""What may leave while nobody is heard: WebSocket pings of 10 bytes, once a second at most, and a
word of upkeep.  In a phase together as much as 4 ms of sound."""
SOUND_BYTES_PER_S = WIRE_BYTES_PER_MS * 1000 * 4 // 3
"""Of sound on the wire: it is sent as base64."""
SENT_TWICE_SHARE = 0.01
"""Of a control, at most: packets that were sent again on a busy machine, or whose receipt is under
way, are in the one count and not in the other."""
HEARD_SHARE = 0.5
"""Of the control's words at least this much must be seen, else the counting is blind."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What left in it: on the connections as the kernel counts them, and as packets."""

    name: str
    seconds: float
    counted: int
    captured: int
    others: int
    words_s: float = 0.0
    """Of the control: so long somebody spoke to us."""

    @property
    def allowed(self) -> int:
        """Bytes of pings and upkeep."""
        return UPKEEP_ONCE_BYTES + round(UPKEEP_BYTES_PER_S * self.seconds)

    @property
    def agrees(self) -> bool:
        """Whether the two counts are of the same bytes."""
        sent_twice = round(self.captured * SENT_TWICE_SHARE) if self.words_s else 0
        return abs(self.counted - self.captured) <= self.allowed + sent_twice

    @property
    def wanted(self) -> int:
        """Bytes that a control has to show."""
        return round(self.words_s * SOUND_BYTES_PER_S * HEARD_SHARE)


def verdict(phases: list[Phase], lost: int) -> tuple[int, str]:
    """Exit code, and why."""
    controls = [phase for phase in phases if phase.words_s]
    if lost:
        return VOID, f"void: the capture has lost {lost} packets"
    if not all(phase.agrees for phase in phases):
        return VOID, "void: the two counts do not agree"
    if not controls or any(min(p.counted, p.captured) < p.wanted for p in controls):
        return VOID, "void: sound that was sent was not seen, so that none was seen says nothing"
    if any(phase.others for phase in phases):
        return REFUTED, "refuted: there were packets to somebody else"
    for phase in phases:
        if phase not in controls and max(phase.counted, phase.captured) > phase.allowed:
            return REFUTED, f"refuted: more than pings and upkeep has left ({phase.name})"
    return PROVEN, "proven: nothing but pings and upkeep has left outside of the talk"


def rows(phases: list[Phase]) -> Iterator[str]:
    """A line for each phase."""
    for phase in phases:
        limit = f"sound, at least {phase.wanted:,}" if phase.words_s else f"at most {phase.allowed}"
        yield (
            f"  {phase.name:<21}{phase.seconds:5.1f} s {phase.counted:>9,} B counted "
            f"{phase.captured:>9,} B captured  ({limit})"
        )


def household(settings: Settings) -> dict[str, dict[str, object]]:
    """What of the household's settings bears on what leaves; no key, no address, no folder."""
    sections = ("device", "listen", "echo", "barge_in", "conversation")
    overlay = {name: getattr(settings, name).model_dump() for name in sections}
    if overlay["conversation"].get("summarise") == "text":
        overlay["conversation"]["summarise"] = "off"  # it would go to the other service
    pings = ("ping_interval_active_s", "ping_timeout_active_s")
    idle = ("ping_interval_idle_s", "ping_timeout_idle_s")
    realtime = settings.realtime.model_dump()
    overlay["realtime"] = {name: realtime[name] for name in (*pings, *idle, "transcription")}
    return overlay


class Proof:
    """One run on a stage; `phases` grows."""

    def __init__(self, stage: Stage, capture: Capture) -> None:
        self.phases: list[Phase] = []
        self._stage = stage
        self._capture = capture
        self._totals = Totals()
        self._wake = _wake_clip(stage.settings)

    async def run(self) -> None:
        """All phases, in their order."""
        stage = self._stage
        await stage.until(lambda: stage.link == "ready", WITHIN_S, "the link is ready")
        await self._phase("before the wake word", self._chat)
        await self._phase("talk", self._talk, words_s=_seconds(CHAT[0]))
        await self._phase("after the talk", self._chat)
        await stage.push(button="mute")
        await self._phase("muted", self._call_in_vain)

    async def _phase(
        self, name: str, act: Callable[[], Awaitable[object]], words_s: float = 0.0
    ) -> None:
        await asyncio.sleep(SETTLE_S)
        begin, passed, out = self._stage.now(), self._capture.look(), self._counted()
        await act()
        seconds, now = self._stage.now() - begin, self._capture.look()
        since: Passed = now - passed
        counted = self._counted() - out
        self.phases.append(Phase(name, seconds, counted, since.up, since.others, words_s))

    def _counted(self) -> int:
        port = self._capture.port
        self._totals.look([one for one in connections_of(os.getpid()) if one.far[1] == port])
        return self._totals.out

    async def _chat(self) -> None:
        """People talk to each other."""
        for clip in CHAT:
            await self._stage.say(clip)

    async def _talk(self) -> None:
        """Somebody calls and says something, and is answered."""
        await self._call()
        await self._stage.say(CHAT[0])
        await self._stage.until_talk("speaking", WITHIN_S)
        await self._stage.until_talk("asleep", WITHIN_S)

    async def _call_in_vain(self) -> None:
        if self._wake:
            await self._stage.say(self._wake)
        await self._chat()

    async def _call(self) -> None:
        """By the wake word, or by the button where there is no recording of the household's."""
        if self._wake:
            await self._stage.say(self._wake)
        else:
            await self._stage.push()


def _wake_clip(settings: Settings) -> str:
    """A recording of nothing but a wake word that this household has."""
    alone = {"okay_nabu": "wake_only"}
    if settings.listen.mode != "wake":
        return ""
    return next((alone[word] for word in settings.listen.wake_words if word in alone), "")


def _seconds(clip: str) -> float:
    rate_hz, pcm = voices.load(clip)
    return len(pcm) / 2 / rate_hz


async def measure(settings: Settings, capture: Capture) -> list[Phase]:
    """The phases of one run.  Raises `StageError` where the speaker did not do its part."""
    loop = asyncio.get_running_loop()
    stage = Stage(brain=ParrotBrain(), settings=household(settings), over_sockets=True)
    loop.add_reader(capture, capture.look)
    try:
        async with stage:
            capture.port = urlsplit(stage.network.url).port or 0
            proof = Proof(stage, capture)
            await proof.run()
            return proof.phases
    finally:
        loop.remove_reader(capture)


def prove(settings: Settings, say: Callable[[str], object], settle: Callable[[], object]) -> int:
    """Run the proof and `say` what came of it; the exit code.  `settle` gives up what only root may
    do, as soon as that is done."""
    try:
        return _prove(settings, say, settle)
    except NoNetworkOfItsOwn as problem:
        say(f"Void: {problem.message} {problem.fix}")
    except StageError as problem:
        say(f"Void: the second speaker did not do its part. {problem}")
    return VOID


def _prove(settings: Settings, say: Callable[[str], object], settle: Callable[[], object]) -> int:
    if settings.listen.mode == "always":
        say('listen.mode is "always": whatever is said leaves the house, by your own setting.')
        return REFUTED
    enter_own_network()
    capture = Capture()
    settle()
    say("A second speaker with your settings, alone with a simulated server.  45 seconds …")
    phases = asyncio.run(measure(settings, capture))
    for row in rows(phases):
        say(row)
    code, why = verdict(phases, capture.lost)
    others = sum(phase.others for phase in phases)
    say(f"{capture.packets:,} packets, {capture.lost} lost, {others} to anybody else.")
    say(f"{why[0].upper()}{why[1:]}.")
    capture.close()
    return code
