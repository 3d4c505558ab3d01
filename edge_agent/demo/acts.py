"""The acts: an evening with the speaker, each act with the promises it must keep.

Thread: the event loop, real or virtual.  It must never ask the daemon whether it did well: what is
checked are samples in the room, what the server received, and the order of both.

A household wakes it, talks over it, asks on, presses the button; the network dies, the
microphone is muted, and the service manager ends it in mid-sentence.
"""

from __future__ import annotations

import asyncio
import os
import signal

from edge_agent.demo.judge import measure, tape
from edge_agent.demo.judge.verdict import ActResult
from edge_agent.demo.play import (
    FIRST_SOUND_LIMIT_MS,
    PATIENCE_S,
    Act,
    Play,
    seen,
    speech_of,
)
from edge_agent.demo.stage import Stage
from edge_agent.host.voice.pack_store import pack_root
from edge_agent.host.voice.sentences import Sentences
from edge_agent.simulation.brains import Speech

CUT_LIMIT_MS = 350.0
"""From the first sound of an interruption to silence; the benchmark holds the tight figure."""

AUDIO_END_LIMIT_MS = 10.0
"""How far the milliseconds told to the model may be from what the loudspeaker emitted."""

RECONNECT_LIMIT_MS = 4000.0
"""From the network's return to a session that is ready: a backoff of 2 s, dial and greeting."""

STOP_LIMIT_MS = 150.0
"""From SIGTERM to silence: one turn of the loop, the fade and the card's latency."""

END_LIMIT_MS = 4000.0
"""From SIGTERM to the end of the process; systemd would wait longer."""

INTERRUPT_AFTER_S = 2.0
"""How long one listens before talking over it; the answer has no pause there."""

CHIME_S = 0.75
"""Who presses a button waits for the sound that answers it, and then speaks."""

NETWORK_DIES_AFTER_S = 3.6
"""In mid-sentence: the question lasts five seconds."""

NETWORK_BACK_AFTER_S = 3.8
"""After the end of that question: long enough that the speaker has to say something."""

# --- the acts -----------------------------------------------------------------------------------


async def not_called(play: Play, act: ActResult) -> None:
    stage = play.stage
    await stage.until(lambda: stage.link == "ready", PATIENCE_S, "the link is ready")
    begin = stage.now()
    await asyncio.sleep(0.3)
    await stage.say("thanks")
    await asyncio.sleep(0.7)
    sent = stage.score.audio_up_bytes(begin)
    act.check("no sound leaves the house", sent == 0, "0 bytes", f"{sent} bytes")
    act.check("it stays asleep", stage.talk == "asleep", "asleep", stage.talk)


async def one_breath(play: Play, act: ActResult) -> None:
    stage = play.stage
    begin = stage.now()
    said = play.last_said = stage.speak("wake_what_time")
    wake_end = tape.wake_end(said)
    await stage.until(
        lambda: stage.score.codes("talk.woken", begin), PATIENCE_S, "the wake word is heard"
    )
    woken_at = stage.score.codes("talk.woken", begin)[0].at
    await stage.until(
        lambda: stage.score.audio_up_bytes(begin), PATIENCE_S, "sound goes to the model"
    )
    first_byte = next(w.at for w in stage.score.wire if w.up and w.audio_bytes and w.at >= begin)
    act.figure(
        "wake word end → first byte", (first_byte - wake_end) * 1000, begin=wake_end, end=first_byte
    )
    act.check(
        "nothing left before the wake word",
        first_byte >= woken_at,
        "first byte after the wake",
        f"{(first_byte - woken_at) * 1000:.0f} ms after it",
    )
    await stage.sleep_until(said.end_at)
    answered = await play.next_answer(begin)
    play.words_arrived(act, said, answered)
    chimed = stage.room.spoken.audible(begin, said.end_at)
    act.check("no chime into the question", chimed is None, "silence", _span(chimed, begin))
    live = [ms for at, ms in stage.score.mic_to_wire_ms if at >= begin]
    middle = act.figure("microphone → wire (median)", measure.median(live))
    act.check("the sound flows without delay", middle <= 60, "≤ 60 ms", f"{middle:.0f} ms")


async def answer(play: Play, act: ActResult) -> None:
    stage, said, answered = play.stage, play.last_said, play.last_answered
    assert said is not None
    assert answered is not None
    first = await play.first_sound(said.offset_at)
    act.within(
        "the answer begins in time",
        (said.offset_at, first),
        FIRST_SOUND_LIMIT_MS,
        name="end of speech → first sound",
    )
    await stage.sleep_until(first + tape.HEAD_S + 0.1)
    like = tape.played(
        stage.room, speech_of(answered).pcm24k, first, stage.now(), head_s=tape.HEAD_S
    )
    act.check(
        "its first syllable is whole",
        like.begins_whole and like.correlation > 0.9,
        "from the first sample, no hole",
        seen(like),
    )
    play.answered_once(act, said)


async def talked_over(play: Play, act: ActResult) -> None:
    stage, before, answered = play.stage, play.last_said, play.last_answered
    assert before is not None
    assert answered is not None
    first = await play.first_sound(before.offset_at)
    await stage.sleep_until(first + INTERRUPT_AFTER_S - 0.05)
    said = play.last_said = stage.speak("stop_wait")
    await stage.sleep_until(said.end_at)
    silent_at = tape.silent_at(stage.room, said.onset_at, said.end_at)
    act.within(
        "it falls silent at once",
        (said.onset_at, silent_at),
        CUT_LIMIT_MS,
        name="barge-in: onset → silence",
    )
    cuts = stage.score.sent("conversation.item.truncate", up=True, after=said.onset_at)
    act.check("the model is told where it was cut", len(cuts) == 1, "1 truncation", f"{len(cuts)}")
    cancels = stage.score.sent("response.cancel", up=True, after=said.onset_at)
    act.check("the running answer is cancelled", len(cancels) == 1, "1 cancel", f"{len(cancels)}")
    speech = speech_of(answered)
    emitted_ms = tape.emitted_ms(stage.room, speech.pcm24k, first, silent_at)
    if cuts:
        error_ms = act.figure("audio_end_ms against emitted", cuts[0].audio_end_ms - emitted_ms)
        act.check(
            "and to the millisecond",
            abs(error_ms) <= AUDIO_END_LIMIT_MS,
            f"{emitted_ms:.0f} ± {AUDIO_END_LIMIT_MS:g} ms",
            f"{cuts[0].audio_end_ms} ms",
        )
        item = stage.server.sessions[-1].conversation.find(cuts[0].about)
        kept_ms = item.audio_ms() if item else -1.0
        act.check(
            "the model's memory ends there too",
            abs(kept_ms - cuts[0].audio_end_ms) < 1,
            f"{cuts[0].audio_end_ms} ms",
            f"{kept_ms:.0f} ms",
        )
    play.answers_heard.append(("lisbon", Speech(speech.pcm24k[: round(tape.HEAD_S * 48_000)], "")))


async def new_answer(play: Play, act: ActResult) -> None:
    assert play.last_said is not None
    await play.answered_to_the_end(act, play.last_said, "weather")


async def follow_up(play: Play, act: ActResult) -> None:
    stage = play.stage
    await asyncio.sleep(0.7)
    begin = stage.now()
    said = play.last_said = stage.speak("follow_up")
    await play.answered_to_the_end(act, said, "tomorrow")
    woken = stage.score.codes("talk.woken", begin)
    act.check("no wake word was needed", not woken, "not woken again", _times(len(woken)))


async def button(play: Play, act: ActResult) -> None:
    stage = play.stage
    await play.until_asleep()
    begin = stage.now()
    await stage.push()
    said = play.last_said = stage.speak("button_question", in_s=CHIME_S)
    await play.answered_to_the_end(act, said, "story")
    chime = stage.room.spoken.audible(begin, said.onset_at)
    act.check("a chime says go on", chime is not None, "a sound", _span(chime, begin))
    causes = [str(line.fields.get("cause")) for line in stage.score.codes("talk.woken", begin)]
    act.check("the button woke it", causes == ["button"], "button", ", ".join(causes) or "nothing")


async def network(play: Play, act: ActResult) -> None:
    stage = play.stage
    await asyncio.sleep(0.6)
    sessions = len(stage.server.sessions)
    said = play.last_said = stage.speak("network_question")
    await stage.sleep_until(said.start_at + NETWORK_DIES_AFTER_S)
    down_at = stage.now()
    stage.score.mark("network", "network down")
    await stage.network.down()
    await stage.until(lambda: stage.link != "ready", PATIENCE_S, "the loss is noticed")
    act.within("the loss is noticed", (down_at, stage.now()), 3000.0, name="network loss noticed")
    await stage.sleep_until(said.end_at + NETWORK_BACK_AFTER_S)
    light = stage.panel.light if stage.panel else ""
    act.check("the light says so", light == "offline", "offline", light)
    up_at = stage.now()
    apology = _apology(stage, down_at, up_at)
    act.check(
        "and the speaker says so",
        apology is not None and apology.is_whole,
        "its own sentence, whole",
        "silence" if apology is None else seen(apology),
    )
    stage.score.mark("network", "network back")
    await stage.network.up()
    await stage.until(lambda: stage.link == "ready", PATIENCE_S, "the link comes back")
    act.within(
        "it comes back by itself",
        (up_at, stage.now()),
        RECONNECT_LIMIT_MS,
        name="network back → session ready",
    )
    answered = await play.next_answer(down_at)
    play.words_arrived(act, said, answered)
    first = await play.first_sound(answered.at)
    act.figure("network back → answer", (first - up_at) * 1000, begin=up_at, end=first)
    await stage.until(
        lambda: stage.score.codes("talk.answer_done", first), PATIENCE_S, "the answer ends"
    )
    play.answer_is_whole(act, answered, first, "train")
    play.answered_once(act, said)
    count = len(stage.server.sessions) - sessions
    act.check("by one fresh session", count == 1, "1", f"{count}")


def _apology(stage: Stage, begin: float, end: float) -> measure.Likeness | None:
    """The spoken sentence in the room between two times, whichever of them it was."""
    spoken = stage.room.spoken
    if spoken.audible(begin, end) is None:
        return None
    recording = measure.sound(spoken.samples(begin, end), spoken.rate_hz)
    speech = stage.settings.speech
    catalogue = Sentences(speech.language, own=pack_root(speech.voice_pack_dir))
    codes = {str(line.fields["code"]) for line in stage.score.codes("link.down", begin)}
    clips = [measure.sound(catalogue.pcm24k(code), 24_000) for code in codes | {"link.connecting"}]
    return max(
        (measure.likeness(clip, recording) for clip in clips if len(clip)),
        key=lambda like: like.correlation,
        default=None,
    )


async def muted(play: Play, act: ActResult) -> None:
    stage = play.stage
    hold_s = stage.settings.panel.long_press_ms / 1000 + 0.2
    await play.until_asleep()
    await stage.push(hold_s)
    await stage.until(
        lambda: stage.score.state("microphone") == "muted", PATIENCE_S, "the microphone is muted"
    )
    muted_at = stage.now()
    await asyncio.sleep(0.4)
    await stage.say("wake_only")
    await stage.say("said_while_muted")
    await asyncio.sleep(1.2)
    unmute_at = stage.now()
    light = stage.panel.light if stage.panel else ""
    act.check("the light shows it", light == "muted", "muted", light)
    sent = stage.score.audio_up_bytes(muted_at, unmute_at)
    act.check("not one byte of it leaves", sent == 0, "0 bytes", f"{sent} bytes")
    woken = stage.score.codes("talk.woken", muted_at, unmute_at)
    act.check(
        "not even the wake word is heard",
        not woken,
        "stays asleep",
        "asleep" if not woken else f"woken {_times(len(woken))}",
    )
    await stage.push(hold_s)
    await stage.until(
        lambda: stage.score.state("microphone") == "open", PATIENCE_S, "the microphone opens"
    )
    await play.until_asleep()
    await asyncio.sleep(1.0)
    later = stage.score.audio_up_bytes(muted_at)
    act.check("nor afterwards", later == 0, "0 bytes", f"{later} bytes")


async def stopped(play: Play, act: ActResult) -> None:
    stage = play.stage
    said = play.last_said = stage.speak("wake_tea_second_voice")
    answered = await play.next_answer(said.start_at)
    play.words_arrived(act, said, answered)
    first = await play.first_sound(said.offset_at)
    await stage.sleep_until(first + 1.2)
    session = stage.server.sessions[-1]
    stop_at = stage.now()
    stage.score.mark("signal", "SIGTERM")
    if play.really_kill:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        stage.daemon.stop()
    over_at = await stage.until_over()
    await asyncio.sleep(0.3)
    silent_at = tape.silent_at(stage.room, stop_at, stage.now())
    act.within("it falls silent", (stop_at, silent_at), STOP_LIMIT_MS, name="SIGTERM → silence")
    act.within("it ends in order", (stop_at, over_at), END_LIMIT_MS, name="SIGTERM → end")
    told = [line for at, line in stage.notifier.told if at >= stop_at]
    act.check(
        "the service manager is told first",
        bool(told) and told[0] == "STOPPING=1",
        "STOPPING=1",
        told[0] if told else "nothing",
    )
    stopped_notes = stage.score.codes("agent.stopped", stop_at)
    act.check(
        "the journal ends with it", len(stopped_notes) == 1, "1 line", f"{len(stopped_notes)}"
    )
    act.check("the connection is closed", not session.is_open, "closed", _open(session.is_open))
    light = stage.panel.light if stage.panel else ""
    act.check("the light is off", light == "off", "off", light)


async def curtain(play: Play, act: ActResult) -> None:
    """What can only be said of the whole evening."""
    stage = play.stage
    spoken = stage.room.spoken
    recording = measure.sound(spoken.samples(), spoken.rate_hz)
    for name, speech in play.answers_heard:
        found = measure.occurrences(measure.sound(speech.pcm24k, 24_000), recording)
        act.check(f"the answer “{name}” sounded once", len(found) == 1, "once", _times(len(found)))
    faults = [line for line in stage.score.journal if line.code == "agent.fault"]
    where = ", ".join(f"{f.fields.get('kind')} at {f.fields.get('place')}" for f in faults)
    act.check("no fault in the journal", not faults, "none", where or "none")
    errors = [str(e["code"]) for s in stage.server.sessions for e in s.errors]
    act.check("the model never had to complain", not errors, "none", ", ".join(errors) or "none")


def _span(span: tuple[float, float] | None, origin: float) -> str:
    if span is None:
        return "silence"
    return f"sound from {span[0] - origin:.2f} s to {span[1] - origin:.2f} s"


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")


def _open(is_open: bool) -> str:
    return "open" if is_open else "closed"


ACTS: tuple[Act, ...] = (
    Act(
        "not_called",
        "Nobody calls it",
        "People talk in the room. It is none of its business.",
        not_called,
    ),
    Act(
        "one_breath",
        "Asked in one breath",
        "“Okay Nabu, what time is it in Lisbon?” without a pause.",
        one_breath,
    ),
    Act("answer", "It answers", "The first syllable is there.", answer),
    Act(
        "talked_over",
        "Talked over",
        "“Wait, stop …” over its own voice: it falls silent.",
        talked_over,
    ),
    Act(
        "new_answer",
        "It answers the interruption",
        "The words said over its voice arrived.",
        new_answer,
    ),
    Act("follow_up", "A follow-up", "“And how about tomorrow?” without the wake word.", follow_up),
    Act("button", "The button", "A press instead of the wake word.", button),
    Act(
        "network",
        "The network dies mid-sentence",
        "The question is kept, the outage is told, and the answer comes once.",
        network,
    ),
    Act("muted", "Muted", "A long press; what is said now stays in the room.", muted),
    Act("stopped", "SIGTERM in mid-sentence", "The service is stopped while it speaks.", stopped),
    Act("curtain", "The evening as a whole", "Nothing twice, no fault, no complaint.", curtain),
)
"""The evening, in order."""
