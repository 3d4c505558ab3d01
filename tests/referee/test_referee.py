"""The referee is tried on tapes: for each code a broken promise, and its honest neighbour.

A tape is a list of steps (an event and the commands that came out of it) and of other records.
`CASES` has a row for every code that a rule can yield; the codes are read from the rules' source,
so that a new one without a row is noticed.
"""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import silence
from edge_agent.contract.persona import SILENCE_TOOL
from referee import Household, Referee
from referee import records as r
from referee.known import EXCUSED
from referee.referee import KEPT_MAX, RULES

FRAME = silence(10)
HOUSE = Household(risks={"clock": "low", "shop": "medium", "unlock": "high", SILENCE_TOOL: "low"})
MUTED = Household(muted=True)
SECRETIVE = Household(words=("violet elephant",), keys=("sesame-42",))


@dataclass(frozen=True)
class Step:
    event: e.Event
    commands: tuple[c.Command, ...] = ()


Tape = Sequence[Step | r.Record]


@dataclass(frozen=True)
class Case:
    code: str
    broken: Tape
    honest: Tape
    household: Household = HOUSE
    honest_household: Household | None = None
    """Where the same tape is honest in another household."""
    until: float = 5.0
    before: Tape = ()
    """What both tapes begin with."""


def judged(tape: Iterable[Step | r.Record], household: Household, until: float) -> Referee:
    referee = Referee(household, excused=())
    for seen in tape:
        if isinstance(seen, Step):
            referee.observe(seen.event, seen.commands, seen.event.at)
        else:
            referee.see(seen)
    referee.end(until)
    return referee


# --- words of the tapes ----------------------------------------------------------------------


def at(event: e.Event, *commands: c.Command) -> Step:
    return Step(event, commands)


def heard(
    at_s: float, *, speech: bool = False, over: bool = False, wake: str | None = None
) -> e.HeardFrame:
    return e.HeardFrame(at=at_s, pcm24k=FRAME, speech=speech, over_playback=over, wake=wake)


def frames(at_s: float, count: int, *, speech: bool = False) -> list[Step]:
    return [at(heard(at_s + n / 100, speech=speech)) for n in range(count)]


def tick(at_s: float, *commands: c.Command) -> Step:
    return at(e.Tick(at=at_s), *commands)


def press(at_s: float) -> Step:
    return at(e.ButtonPressed(at=at_s))


def called(at_s: float, name: str, call_id: str = "c1", arguments: str = "{}") -> Step:
    """The model wants a tool."""
    call = e.ToolCall(call_id=call_id, name=name, arguments=arguments)
    return at(e.ResponseEnded(at=at_s, response="r", status="completed", calls=(call,)))


def cancelled(at_s: float, *told: c.Command) -> Step:
    """A call stands in a response that was cancelled."""
    call = e.ToolCall(call_id="c1", name="clock", arguments="{}")
    return at(
        e.ResponseEnded(at=at_s, response="r", status="cancelled", calls=(call,), items=("i",)),
        *told,
    )


def begins(at_s: float, item: str = "q") -> Step:
    """Something begins to be spoken: 100 ms."""
    return tick(at_s, c.PlayVoice(item, silence(100)))


def asks(at_s: float, text: str = "Shall I unlock or shop?") -> Step:
    return tick(at_s, c.SayText("consent", text))


def asked(at_s: float) -> Step:
    return at(e.TextDrained(at=at_s, name="consent"))


def ends(at_s: float, item: str = "q") -> Step:
    return at(e.PlaybackDrained(at=at_s, item=item, played_ms=100))


def runs(at_s: float, name: str, call_id: str = "c1", arguments: str = "{}") -> Step:
    return tick(at_s, c.RunTool(call_id, name, arguments))


def cut(at_s: float, played_ms: float, *told: c.Command) -> list[Step]:
    """A press cuts item `q`."""
    cut_event = e.PlaybackCut(at=at_s, item="q", played_ms=played_ms)
    return [at(e.ButtonPressed(at=at_s), c.CutPlayback()), at(cut_event, *told)]


def sent(at_s: float, kind: str, pcm24k: bytes = b"") -> r.Frame:
    audio = base64.b64encode(pcm24k).decode()
    return r.Frame(at_s, True, {"type": kind, **({"audio": audio} if audio else {})})


def agreed(at_s: float, name: str, call_id: str) -> list[Step]:
    """A call, its question, a press, and it runs."""
    return [
        called(at_s, name, call_id),
        asks(at_s + 0.1),
        asked(at_s + 0.2),
        press(at_s + 0.3),
        runs(at_s + 0.4, name, call_id),
    ]


def said(number: int = 1) -> r.Utterance:
    return r.Utterance(1.0, number, ends_at=2.0, called=True)


def given(answer: int, share: float = 1.0, *, about: int = 1) -> list[r.Record]:
    """An answer to an utterance, of which a second was heard."""
    return [r.Given(3.0, answer, about, share, anew=True), r.Heard(4.0, answer, 1000.0)]


UP = at(e.LinkReady(at=0.0))
WOKEN = at(
    heard(0.5, wake="okay_nabu"),
    c.Note("talk.woken", {"cause": "wake word"}),
    c.ShowLight("listening"),
)
AWAKE: Tape = [UP, WOKEN]
SOUND = c.SendAudio(FRAME)
APPEND = "input_audio_buffer.append"
TURN: Tape = [UP, *frames(0.5, 40, speech=True), tick(1.0, c.Note("talk.turn_sent"))]
"""Somebody has spoken and waits."""


def lines(count: int, every_s: float) -> Tape:
    """The server makes us write so many lines."""
    written = (e.VoiceText(at=n * every_s, response="r", item="i", text="x") for n in range(count))
    return [UP, *(at(event, c.Note("x")) for event in written)]


# --- the table -------------------------------------------------------------------------------

GATE = [
    Case(
        "gate.evidence",
        [*frames(3.0, 20), tick(3.3, SOUND)],
        [*frames(0.6, 20), tick(0.9, SOUND)],
        before=AWAKE,
    ),
    Case(  # the detector over our own voice has weighed what it heard
        "gate.evidence",
        [at(heard(3.0, speech=True)), tick(3.1, SOUND)],
        [at(heard(3.0, speech=True, over=True)), tick(3.1, SOUND)],
        before=[*AWAKE, *frames(2.0, 20)],
        honest_household=Household(mode="always"),
    ),
    Case(
        "gate.window",
        broken := [UP, *frames(1.0, 20, speech=True), tick(1.3, SOUND)],
        broken,
        honest_household=Household(mode="always"),
    ),
    Case(
        "gate.wire",
        [tick(0.6, SOUND), sent(0.6, APPEND, silence(20))],
        [tick(0.6, SOUND), sent(0.6, APPEND, FRAME)],
        before=AWAKE,
    ),
    Case("mute.sound", [UP, tick(1.0, SOUND)], [*AWAKE, tick(1.0, SOUND)], MUTED, HOUSE),
    Case("mute.commit", broken := [UP, tick(1.0, c.CommitAudio())], broken, MUTED, HOUSE),
    Case(
        "mute.memory",
        [UP, tick(1.0, c.AddMessage("i", "user", "what was said"))],
        [UP, tick(1.0, c.AddMessage("i", "system", "what we are"))],
        MUTED,
    ),
    Case("mute.wire", [sent(1.0, APPEND, FRAME)], [sent(1.0, "session.update")], MUTED),
]

QUESTION = [asks(1.1), asked(1.2)]
YES = [
    at(heard(1.3, speech=True)),
    at(e.UserTranscript(at=1.4, item="u", text="Yes, please.")),
]
LOCK, SHOP = called(1.0, "unlock", "c1"), called(1.0, "shop", "c2")
OPENS, BUYS = runs(1.6, "unlock", "c1"), runs(1.7, "shop", "c2")
CONSENT = [
    Case("consent.unknown", [OPENS], [LOCK, *QUESTION, press(1.3), OPENS], before=[UP]),
    Case(
        "consent.changed",
        [called(1.0, "clock"), runs(1.5, "clock", arguments='{"zone": 1}')],
        [called(1.0, "clock"), runs(1.5, "clock")],
        before=[UP],
    ),
    Case(
        "consent.twice",
        agreed(2.0, "shop", "c2"),
        [at(e.ToolFinished(at=1.9, call_id="c1", output="done")), *agreed(2.0, "shop", "c2")],
        before=[UP, *agreed(1.0, "shop", "c1")],
    ),
    Case(
        "consent.guest",
        [UP, *agreed(1.0, "shop", "c1")],
        [UP, called(1.0, "clock"), runs(1.5, "clock")],
        Household(risks=HOUSE.risks, guest=True),
    ),
    Case("consent.ungranted", [OPENS], [press(1.3), OPENS], before=[UP, LOCK, *QUESTION]),
    Case("consent.ungranted", [BUYS], [*YES, BUYS], before=[UP, SHOP, *QUESTION]),
    Case(  # words are no key to a lock
        "consent.ungranted", [*YES, OPENS], [*YES, press(1.5), OPENS], before=[UP, LOCK, *QUESTION]
    ),
    Case(
        "consent.reused",
        [OPENS, BUYS],
        [OPENS, press(1.65), BUYS],
        before=[UP, LOCK, SHOP, *QUESTION, press(1.3)],
    ),
    Case("consent.unheard", [press(1.3), OPENS], [*QUESTION, press(1.3), OPENS], before=[UP, LOCK]),
    Case(
        "consent.unheard",
        [asks(1.1, "Shall I do something?"), asked(1.2), press(1.3), OPENS],
        [*QUESTION, press(1.3), OPENS],
        before=[UP, LOCK],
    ),
    Case(
        "consent.early",
        [asks(1.1), press(1.2), asked(1.3), OPENS],
        [asks(1.1), asked(1.2), press(1.3), OPENS],
        before=[UP, LOCK],
    ),
    Case(
        "consent.ran",
        [r.ToolBegan(1.6, "clock", "{}"), r.ToolBegan(1.7, "clock", "{}")],
        [r.ToolBegan(1.6, "clock", "{}")],
        before=[UP, called(1.0, "clock"), runs(1.5, "clock")],
    ),
]

ASKS = tick(1.0, c.RequestResponse())
OUTPUT = c.AddToolOutput("c1", "done")
CALLS = [
    Case("calls.no_session", [tick(1.0, c.ClearAudio())], [UP, tick(1.0, c.ClearAudio())]),
    Case(
        "calls.two",
        [ASKS, ASKS],
        [
            *(ASKS, at(e.ResponseStarted(at=1.1, response="r"))),
            *(at(e.ResponseEnded(at=1.2, response="r", status="completed")), ASKS),
        ],
        before=AWAKE,
    ),
    Case("calls.unasked", [UP, ASKS], [UP, WOKEN, ASKS]),
    Case(
        "calls.two_outputs",
        [tick(2.0, OUTPUT, OUTPUT)],
        [tick(2.0, OUTPUT)],
        before=[UP, called(1.0, "clock")],
    ),
    Case(
        "calls.output",
        [UP, tick(2.0, OUTPUT)],
        [UP, tick(2.0, c.AddToolCall("i", "c1", "clock", "{}"), OUTPUT)],
    ),
    Case("calls.no_output", [], [tick(2.0, OUTPUT)], before=[UP, called(1.0, "clock")], until=160),
    Case(
        "calls.no_output",
        [UP, cancelled(1.0, c.DeleteItem("other"))],
        [UP, cancelled(1.0, c.DeleteItem("i"))],
        until=160,
    ),
]

TELLS = c.PlaySentence("server_trouble")
STILL = c.PlaySentence("still_waiting")
LISTENS = tick(2.5, c.ShowLight("listening"))
AGAIN = at(heard(5.0, wake="okay_nabu"))
STARTED = at(e.UserSpeechStarted(at=5.0, item="i", audio_start_ms=0), c.CutPlayback())
SENT = tick(1.0, c.ShowLight("thinking"), c.Note("talk.turn_sent"))
WRITTEN, BLANK = (
    at(e.VoiceText(at=2.9, response="r", item="i", text=text)) for text in ("It is nine.", " ")
)


def over(status: str = "completed") -> Step:
    """An answer ends, with an item of which nobody has heard anything."""
    return at(e.ResponseEnded(at=3.0, response="r", status=status, items=("i",)))


def replied(*, reply: bool = False, called: bool = False) -> r.Utterance:
    """Somebody speaks to a speaker that has just been called."""
    return r.Utterance(1.5, 1, ends_at=2.0, called=called, reply=reply)


ANSWERS = [
    Case("answers.late", [tick(22.0)], [tick(20.0, TELLS), tick(22.0)], before=TURN),
    Case("answers.silence", [tick(42.0)], [tick(20.0, TELLS), tick(42.0)], before=TURN),
    Case("answers.lost", [UP, said()], [UP, said(), tick(3.0, TELLS)]),
    Case(
        "answers.lost",
        [UP, said(), tick(18.0, STILL), tick(45.0, TELLS)],
        [UP, said(), tick(18.0, STILL), tick(30.0, TELLS)],
    ),
    Case("answers.twice", [said(), *given(1), *given(2)], [said(), *given(1)], before=[UP]),
    Case("answers.torn", [said(), *given(1, 0.5)], [said(), *given(1)], before=[UP]),
    Case(
        "answers.order",
        [said(1), said(2), *given(2, about=2), *given(1)],
        [said(1), said(2), *given(1), *given(2, about=2)],
        before=[UP],
    ),
    # Silence that was chosen, or an answer without a word, is an answer; any other call is none …
    Case(
        "answers.lost",
        [said(), called(3.0, "clock")],
        [said(), called(3.0, SILENCE_TOOL)],
        before=[UP],
    ),
    Case("answers.lost", [said(), over("failed")], [said(), over("completed")], before=[UP]),
    # … and neither are words that were only written.
    Case("answers.lost", [said(), WRITTEN, over()], [said(), BLANK, over()], before=[UP]),
    Case("answers.late", [WRITTEN, over(), tick(23.0)], [over(), tick(23.0)], before=TURN),
    # A yes or no is answered by what becomes of the call …
    Case("answers.lost", [replied(reply=False)], [replied(reply=True)], before=AWAKE),
    # … and whoever calls while the question waits takes back what it was asked about.
    Case(
        "answers.lost",
        [said(), LISTENS, AGAIN],
        [said(), tick(2.4, c.Note("consent.asked")), LISTENS, AGAIN],
        before=AWAKE,
    ),
    # A server's word takes nothing back: somebody has to be heard.
    Case(
        "answers.lost",
        [said(), STARTED],
        [said(), *frames(4.8, 5, speech=True), STARTED],
        before=AWAKE,
    ),
    # A call that was a part of the turn before it, and then the line went down.
    Case(
        "answers.lost",
        [SENT, replied(called=True)],
        [SENT, at(e.LinkDown(at=1.2, code="link.lost", message="")), replied(called=True)],
        before=AWAKE,
    ),
]
ASLEEP_TALK = r.Utterance(1.0, 7, ends_at=2.0, called=False)
"""People talk to each other; nobody called."""
PRIVATE = [
    Case(
        "gate.words",
        [ASLEEP_TALK, r.Left(5.0, 7, in_message=False)],
        [ASLEEP_TALK, at(heard(2.5, wake="okay_nabu")), r.Left(5.0, 7, in_message=False)],
        before=[UP],
    ),
    Case(
        "mute.words",
        [ASLEEP_TALK, r.Left(5.0, 7, in_message=True)],
        [r.Left(5.0, 7, in_message=True)],
        household=MUTED,
        before=[UP],
    ),
]

SPEAKS: Tape = [UP, begins(1.0)]
CUT = [
    Case(
        "cut.late",
        [*cut(1.1, 50, c.TruncateItem("q", 50)), begins(1.2, "q")],
        [*cut(1.1, 50, c.TruncateItem("q", 50)), begins(1.2, "next")],
        before=SPEAKS,
    ),
    Case(
        "cut.range",
        cut(1.1, 50, c.TruncateItem("q", 101)),
        cut(1.1, 100, c.TruncateItem("q", 100)),
        before=SPEAKS,
    ),
    Case("cut.untold", cut(1.1, 50), cut(1.1, 0, c.DeleteItem("q")), before=SPEAKS),
    Case(
        "cut.exact",
        cut(1.1, 50, c.TruncateItem("q", 61)),
        cut(1.1, 50, c.TruncateItem("q", 60)),
        before=SPEAKS,
    ),
    Case(
        "cut.audible",
        [r.Sound(1.2, 65, 10)],
        [
            r.Sound(1.15, 9000, 10),
            r.Sound(1.2, 64, 10),
            begins(1.3, "next"),
            r.Sound(1.4, 9000, 10),
        ],
        before=[*SPEAKS, *cut(1.1, 50, c.TruncateItem("q", 50))],
    ),
    Case("cut.measured", [r.Emitted(1.0, "q", 61, 50)], [r.Emitted(1.0, "q", 60, 50)]),
    Case(
        "nobody.cut", [tick(1.0, c.CutPlayback())], [at(heard(1.0, speech=True), c.CutPlayback())]
    ),
]

SAID = "a violet elephant came"
SILENCE = [
    Case(
        "silence.line", [tick(1.0, c.Note("x", {"why": SAID}))], [tick(1.0, c.Note("x"))], SECRETIVE
    ),
    Case("silence.line", [r.Line(1.0, "x", SAID)], [r.Line(1.0, "x", "an elephant")], SECRETIVE),
    Case(
        "silence.status", [tick(1.0, c.SetStatus(SAID))], [tick(1.0, c.SetStatus("up"))], SECRETIVE
    ),
    Case("silence.file", [r.File(1.0, "f", SAID, {})], [r.File(1.0, "f", "", {})], SECRETIVE),
    Case("silence.key", [r.Line(1.0, "x", "is Sesame-42")], [r.Line(1.0, "x", "42")], SECRETIVE),
]

BOUNDS = [
    Case("bounds.lines", lines(61, 0.9), lines(61, 1.1)),
    Case("bounds.commands", [tick(1.0, *[c.Note("x")] * 501)], [tick(1.0, *[c.Note("x")] * 500)]),
    Case("bounds.step", [r.Work(1.0, 20.1)], [r.Work(1.0, 19.9)]),
    Case("bounds.step", [r.Work(1.0, 100.1)], [r.Work(1.0, 99.9)], Household(honest_server=False)),
]

MUTE, LIT = c.SaveMute(True), c.ShowLight("muted")
TRUTH = [
    Case(
        "truth.wake",
        [tick(1.0, c.Note("talk.woken", {"cause": "button"}))],
        [at(e.ButtonPressed(at=1.0), c.Note("talk.woken", {"cause": "button"}))],
    ),
    Case("truth.muted", [tick(1.0, LIT)], [tick(1.0, MUTE, LIT)]),
    Case(
        "truth.light", [tick(0.6, c.ShowLight("asleep"), SOUND)], [tick(0.6, SOUND)], before=AWAKE
    ),
    Case(
        "truth.mute",
        [at(e.MuteRequested(at=1.0, muted=True))],
        [at(e.MuteRequested(at=1.0, muted=True), MUTE, LIT)],
        before=AWAKE,
    ),
    Case(
        "truth.recorded",
        [r.Capture(1.6, is_open=True)],
        [r.Capture(1.4, is_open=True), r.Capture(1.6, is_open=False)],
        before=[tick(1.0, MUTE, LIT)],
    ),
    Case(
        "truth.saved",
        [r.File(1.1, "state.json", "", {"muted": False})],
        [r.File(1.1, "state.json", "", {"muted": True})],
        before=[tick(1.0, MUTE, LIT)],
    ),
]


def configured(instructions: str) -> r.Frame:
    session = {"type": "realtime", "instructions": instructions}
    return r.Frame(1.0, True, {"type": "session.update", "session": session})


def asks_for(**response: object) -> r.Frame:
    return r.Frame(2.0, True, {"type": "response.create", "response": response})


PERSONA = [
    Case(
        "persona.dropped",
        [asks_for(instructions="Go on.")],
        [
            r.Frame(2.0, True, {"type": "response.create"}),
            asks_for(instructions=None),
            asks_for(instructions="Be kind. Go on."),
            asks_for(instructions="Write.", conversation="none", output_modalities=["text"]),
        ],
        before=[configured("Be kind.")],
    ),
    Case(
        "persona.dropped",
        [asks_for(instructions="Ask.", conversation="none", output_modalities=["audio"])],
        [asks_for(conversation="none", output_modalities=["audio"])],
        before=[configured("Be kind.")],
    ),
    Case(
        "persona.dropped",
        [asks_for(instructions="Be kind.")],
        [asks_for(instructions="Be brief.")],
        before=[configured("Be kind."), configured("Be brief.")],
    ),
]
CASES = [*GATE, *CONSENT, *CALLS, *ANSWERS, *PRIVATE, *CUT, *SILENCE, *BOUNDS, *TRUTH, *PERSONA]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_broken_promise_is_found(case: Case) -> None:
    referee = judged([*case.before, *case.broken], case.household, case.until)
    assert case.code in referee.codes
    with pytest.raises(AssertionError, match=re.escape(f"({case.code})")):
        referee.check()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_its_honest_neighbour_is_not(case: Case) -> None:
    household = case.honest_household or case.household
    referee = judged([*case.before, *case.honest], household, case.until)
    assert referee.told() == []


# --- every code has its row ------------------------------------------------------------------


def yielded(tree: ast.Module) -> Iterator[str]:
    """Codes that a rule can yield.  One that is put together shows as `prefix.*`."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if not (isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple)):
                continue
            code = node.value.elts[0]
            if isinstance(code, ast.JoinedStr):
                yield f"{ast.literal_eval(code.values[0])}*"
            elif isinstance(code, ast.Name):  # chosen before, in the same function
                yield from chosen(function, code.id)
            else:
                yield ast.literal_eval(code)


def chosen(function: ast.FunctionDef, name: str) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            texts = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str))


def all_codes() -> set[str]:
    files = Path(__file__).parent.glob("rules_*.py")
    found = {code for file in files for code in yielded(ast.parse(file.read_text("utf-8")))}
    found.remove("silence.*")
    return found | {f"silence.{where}" for where in ("line", "status", "file")}


def test_every_code_is_shown_broken() -> None:
    assert {case.code for case in CASES} == all_codes()


def test_only_codes_that_exist_are_excused() -> None:
    assert set(EXCUSED) <= all_codes()


def test_every_promise_has_a_rule() -> None:
    assert {rule.number for rule in RULES} == set(range(1, 12))


# --- the referee itself ----------------------------------------------------------------------


def test_an_excused_break_is_counted_and_does_not_count() -> None:
    referee = Referee(MUTED, excused=["mute.wire", "gate.wire"])
    referee.see(sent(1.0, APPEND, FRAME))
    referee.see(sent(1.1, APPEND, FRAME))
    referee.check()
    assert referee.excused_seen == {"mute.wire": 2, "gate.wire": 2}


def test_who_breaks_everything_does_not_fill_the_memory() -> None:
    referee = judged([r.Work(1.0, 900.0)] * (2 * KEPT_MAX), HOUSE, 2.0)
    assert len(referee.broken) == KEPT_MAX


def test_a_promise_is_told_with_its_number_and_time() -> None:
    referee = judged([tick(3.0), r.Work(3.0, 21.0, "Tick")], HOUSE, 3.0)
    assert referee.told() == ["rule 9 (bounds.step) at 3.00 s: Tick took 21 ms of the processor"]
