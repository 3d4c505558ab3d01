"""Messages: the table of every line that the journal may hold.  `catalog` makes of it what
`journalctl -x` shows, and the message ids.

It must never hold a field for a household's words, a question, an answer, a tool's arguments or
results, a key or sound; nor anything but the table. The code is stable: scripts filter on it and
the message id is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass

DEBUG, INFO, NOTICE, WARNING, ERROR = 7, 6, 5, 4, 3
"""syslog priorities (RFC 5424 section 6.2.1)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of line: priority, text with `{field}` places (a `[part]` is left out when its
    fields are missing or empty), and what it means.  `explanation` names the fields that the text
    does not show, in capitals (a test holds both)."""

    level: int
    text: str
    explanation: str


MESSAGES: dict[str, Message] = {
    # --- the talk ----------------------------------------------------------------------
    "talk.woken": Message(
        INFO,
        "Woken by {cause}[ ({word})].",
        "From here on what is spoken leaves the house until the talk is asleep again. "
        "CAUSE is wake word, button or speech; speech wakes where listen.mode is always.",
    ),
    "talk.turn_sent": Message(
        INFO, "A turn of {ms} ms went to the model.", "Somebody finished speaking."
    ),
    "talk.answer_started": Message(
        INFO,
        "Answering; the first sound came {latency_ms} ms after the end of the turn.",
        "LATENCY_MS is what a household feels as slowness; most of it is the provider's.",
    ),
    "talk.answer_done": Message(
        INFO, "The answer was heard to its end ({ms} ms).", "The loudspeaker is silent again."
    ),
    "talk.silent": Message(
        INFO,
        "The model chose to say nothing ({how}).",
        "Most likely nobody had spoken to it. HOW is empty or tool; tool: it called stay_silent. "
        "Somebody who had called may go on; who calls again at once and is met with silence again "
        "is told so. Many of these lines though people speak to it mean that persona or model do "
        "not suit; conversation.stay_silent takes the choice away.",
    ),
    "talk.interrupted": Message(
        INFO,
        "Interrupted by {cause}[ within {latency_ms} ms][; {audio_end_ms} ms of the answer had "
        "been heard].",
        "Playing stopped and the provider was told how much was heard. CAUSE is speech, wake word, "
        "button or server; server: the provider heard somebody speak. Many of them by speech while "
        "nobody spoke mean that the echo canceller does not fit the room: see barge_in and echo in "
        "the settings.",
    ),
    "talk.asleep": Message(
        INFO, "Asleep[ ({why})].", "The gate is closed: nothing leaves the house."
    ),
    "talk.false_wake": Message(
        NOTICE,
        "Woken without anybody speaking; asleep again.",
        "No speech followed the wake word or the button. If a wake word does it often, raise "
        "listen.wake_cutoffs for that word.",
    ),
    "talk.utterance_capped": Message(
        NOTICE,
        "A turn was cut off[ after {ms} ms]: too long.",
        "listen.utterance_max_s was reached; usually a television that talks on.",
    ),
    "talk.kept_for_later": Message(
        NOTICE,
        "Kept[ {ms} ms of] speech until the connection is back.",
        "The line was down while somebody spoke.",
    ),
    "talk.replayed": Message(
        INFO,
        "Sent[ {ms} ms of] kept speech after the connection came back.",
        "It is sent and answered once.",
    ),
    "talk.dropped_old": Message(
        WARNING,
        "Dropped[ {ms} ms of] kept speech: it was too old to be answered.",
        "The line has been down for a minute since it was said; the household was told.",
    ),
    "talk.dropped_muted": Message(
        NOTICE,
        "Dropped[ {ms} ms of] kept speech: the microphone was muted.",
        "It had been kept for a session that was not there. While the microphone is muted no "
        "session is told anything of the talk; the household was told.",
    ),
    "talk.continued": Message(
        INFO,
        "Going on with an answer that a lost connection had cut.",
        "The model was told how much of it had been heard.",
    ),
    "talk.no_answer": Message(
        WARNING,
        "No answer came.",
        "The provider was silent for too long. A new session is opened and asked once more; if "
        "that is in vain too, the household is told.",
    ),
    "memory.summarised": Message(
        INFO,
        "Notes took the place of {turns} old turns ({items} items) within {seconds} s.",
        "The model reads them instead of the turns, which makes every answer cheaper. See "
        "conversation in the settings.",
    ),
    "memory.no_summary": Message(
        NOTICE,
        "No notes of the older talk could be made ({why}; {failures} times in a row).",
        "Nothing is lost: the talk goes on with all of its turns, and it is tried again later, "
        "less and less often. A server that answers no side questions never makes any.",
    ),
    "memory.no_text_model": Message(
        WARNING,
        "The text model made no notes of the older talk: {message}[ {fix}] ({code})",
        "conversation.summarise is text, so that the model of supervisor is asked. The talk goes "
        "on with all of its turns, and it is tried again later.",
    ),
    "memory.closed": Message(
        INFO,
        "The old talk ({turns} turns) was closed and forgotten.",
        "Nobody had gone on with it for conversation.forget_after_h hours.",
    ),
    "talk.words": Message(
        INFO,
        "{who}: {text}",
        "Written only while journal.transcripts is true.",
    ),
    # --- the microphone ----------------------------------------------------------------
    "mic.muted": Message(
        NOTICE,
        "The microphone is muted.",
        "Nothing is sent until it is opened, also after a boot. Its stream is closed, so that the "
        "system shows nobody who records.",
    ),
    "mic.open": Message(
        NOTICE, "The microphone is open.", "It listens again, as listen.mode says."
    ),
    "mic.streams": Message(
        INFO,
        "Sound of the room goes out ({cause}).",
        "CAUSE says why: one breath (somebody went on after the wake word or the button), speech "
        "(in a window that is open), server (the provider heard the rest of what had been sent, "
        "and our own detector heard somebody too).",
    ),
    # --- the link ----------------------------------------------------------------------
    "link.ready": Message(
        INFO,
        "Connected[ to {model}][ at {address}][ after {seconds} s].",
        "A session is configured and acknowledged by the provider, whose host ADDRESS is.",
    ),
    "link.down": Message(
        WARNING,
        "The connection is down ({code})[; next try in {retry_in_s} s].",
        "Network or provider trouble; MESSAGE and FIX say it in words. The program keeps trying "
        "for ever, at growing random intervals, and notes each reason three times, then once a "
        "minute; what is said meanwhile is kept for a while.",
    ),
    "link.refused": Message(
        ERROR,
        "The provider refuses ({code}); only a person can fix this[; next try in {retry_in_s} s].",
        "EDGE_REASON_CODE says why, and is explained by itself where it is known. MESSAGE and FIX "
        "say it in words. "
        "The program keeps trying at long intervals and recovers by itself once it is fixed.",
    ),
    "server.complaint": Message(
        NOTICE,
        "The provider complained: {code}[; {more} such lines before it were left out].",
        "An error event that does not end the session.",
    ),
    "response.failed": Message(
        WARNING,
        "The answer failed ({code})[; {more} such lines before it were left out].",
        "The provider gave up on it. After a rate limit it is asked for again; else the household "
        "was told.",
    ),
    "response.unasked": Message(
        WARNING,
        "An answer that nobody had asked for was refused ({state})[; {more} such lines before "
        "it were left out].",
        "The provider began to answer although nobody had said anything. It is not played, none of "
        "its tools runs, and the microphone stays as it was. STATE tells whether the house slept.",
    ),
    "say.begun": Message(
        INFO,
        "A text of {chars} characters is spoken, as the account {uid} asked.",
        "edge-agent say, by somebody who may use the control socket. UID is the account's number; "
        "the text itself is written down nowhere.",
    ),
    "say.refused": Message(
        INFO,
        "A text of {chars} characters was not spoken, because of {why}; the account {uid} asked.",
        "edge-agent say talks over nobody: neither over a person nor over the speaker itself. "
        "Nothing is kept for later.",
    ),
    "say.failed": Message(
        WARNING,
        "A text that was to be spoken could not be ({code}).",
        "edge-agent say. The CODE tells why: no voice, as espeak-ng is not installed; inaudible, "
        "as the volume is 0 or speech.sentences is off; too long, with more than 12 seconds; or "
        "it failed. The asker was told.",
    ),
    "usage.response": Message(
        INFO,
        "Tokens: {text_in} text and {audio_in} audio in, {text_out} text and {audio_out} audio "
        "out.",
        "What one answer used. CACHED_IN of the tokens that went in were known to the provider "
        "already, and cost less.",
    ),
    "usage.cost": Message(
        INFO,
        "This answer cost {usd} USD, today {today_usd} USD[ of {cap_usd}].",
        "Tokens times the prices in providers.toml; the provider's bill is what counts.",
    ),
    "usage.beside": Message(
        DEBUG,
        "The {who} cost {usd} USD, today {today_usd} USD[ of {cap_usd}].",
        "Beside the answers: the provider's transcriber, the text model of supervisor, or a "
        "question to the talking model that nobody hears (notes, a transcript). It counts in "
        "budget.daily_cap_usd like an answer.",
    ),
    "usage.unpriced": Message(
        WARNING,
        "The cost of {model} is not known: there is no price, or no figures came.",
        "Put the price into /etc/edge-agent/providers.toml. Until then a daily cap cannot count "
        "it, and status says so. Written once for each model until the next start.",
    ),
    "budget.warning": Message(
        WARNING,
        "{percent} % of today's budget are spent ({today_usd} of {cap_usd} USD).",
        "The household was told. See budget.daily_cap_usd and budget.warn_percent, and "
        "edge-agent usage.",
    ),
    "budget.spent": Message(
        WARNING,
        "Today's budget is spent ({today_usd} of {cap_usd} USD, {percent} %).",
        "Until midnight only a press of the button buys a turn, and the text model is not asked; "
        "the household was told. See budget.daily_cap_usd, and edge-agent usage.",
    ),
    "control.unavailable": Message(
        WARNING,
        "No control socket[ at {path}]: {why}.",
        "edge-agent status and edge-agent mute do not work; the speaker does. See control.path.",
    ),
    "control.refused": Message(
        NOTICE,
        "A control request was refused: {why}[; {more} before it were not noted].",
        "Somebody on this machine sent something that is not a request.",
    ),
    "link.audio_dropped": Message(
        WARNING,
        "{dropped_ms} ms of waiting sound were dropped, {silence_ms} ms of it silence.",
        "The network took less than was said; silence goes first, and the limit is "
        "realtime.outbox_max_s.",
    ),
    "link.audio_purged": Message(
        INFO,
        "{ms} ms of sound that waited for the network were dropped at the mute.",
        "They were said before the microphone was muted and had not left yet. What the socket's "
        "buffers in this program and in the kernel had taken already, half a second at most, "
        "cannot be called back.",
    ),
    "link.rolled_over": Message(
        INFO,
        "A fresh session[ with {provider}] took the place of the old one.",
        "Before the provider's time limit, or on the way back to the preferred provider. It was "
        "told of the talk so far; nothing of it was audible.",
    ),
    "link.roll_over_failed": Message(
        NOTICE,
        "No second session could be opened ({error}); the present one goes on.",
        "It is tried again. At worst the session ends at the provider's limit and is followed by "
        "another.",
    ),
    "link.healthy_cut": Message(
        NOTICE,
        "A session that had been given up answered after all[, {answered_s} s after it was asked].",
        "Its service is slow to answer pings, and not dead. The words of the turn were sent again "
        "to the next session. From now on this provider is waited for longer: 1.5 times its "
        "slowest answers, 15 s at most; `edge-agent status` shows how long. PROVIDER is whose "
        "session it was.",
    ),
    "link.pongs": Message(
        INFO,
        "{provider} answers pings within {p50_ms} ms as a rule, and 99 of 100 within {p99_ms} ms.",
        "As far as this speaker has seen. LIMIT_S is how many seconds of silence after a ping that "
        "was delivered end a session during a turn.",
    ),
    "link.provider_changed": Message(
        NOTICE,
        "Connected to the provider {provider} now.",
        "Another one than before: the order is that of the settings, and the first is tried "
        "again after a while.",
    ),
    "link.option_dropped": Message(
        NOTICE,
        "The provider does not know the option {option} ({error}); going on without it.",
        "Another model or provider than the settings were made for.",
    ),
    "link.options_back": Message(
        NOTICE,
        "The provider takes {options} again.",
        "It was refused before; what was refused is asked for again after six hours, and after a "
        "change of settings.",
    ),
    "link.options_ignored": Message(
        NOTICE,
        "The provider acknowledged the session, but not {options}: its own way is in force.",
        "The configuration that it answers with is another one than was asked for. A server of "
        "your own may not know the option, or the voice.",
    ),
    "link.no_side_questions": Message(
        WARNING,
        "The provider answers side questions as a part of the talk; none are asked any more.",
        "It does not know responses beside the conversation. No notes of the talk are made by it, "
        'and nothing is written down by it: set conversation.summarise to "text" or "off", and '
        "side_questions = false in its record of providers.toml.",
    ),
    "link.dialect_changed": Message(
        NOTICE,
        "The provider speaks the dialect {dialect} ({error}).",
        "An older or another server; the program follows it.",
    ),
    "link.key_changed": Message(
        NOTICE,
        "Another key stands in its file; it is used from the next quiet moment on.",
        "The session is opened anew with it, at once if nobody talks.",
    ),
    "link.sent": Message(
        DEBUG,
        "Sent: {type}.",
        "The kind of a message to the provider, without its content; not those of sound.",
    ),
    "link.received": Message(
        DEBUG,
        "Received: {type}.",
        "The kind of a message of the provider's, without its content; not those of sound.",
    ),
    "link.key_unreadable": Message(
        ERROR,
        "The key cannot be read ({error}).",
        "Its file has to be text that the service may read: sudo chgrp edge-agent "
        "/etc/edge-agent/openai_api_key && sudo chmod 640 /etc/edge-agent/openai_api_key. A "
        "restart and a reload mend its rights by themselves.",
    ),
    "network.unwatched": Message(
        NOTICE,
        "The kernel does not tell of network changes ({error}).",
        "After an outage the program comes back a little later, by its timers alone. In a "
        "container or a tight sandbox that is usual; the shipped unit allows AF_NETLINK.",
    ),
    "link.unknown_event": Message(
        DEBUG, "An unknown kind of event came: {type}.", "Newer than this program; it is skipped."
    ),
    "link.garbage": Message(
        WARNING,
        "An event of kind {type} made no sense.",
        "The server's slip; it is skipped. REASON is what could not be read.",
    ),
    "link.too_much": Message(
        WARNING,
        "The server sends too many {what}; the rest is left out.",
        "What a server can make us keep has a bound, far above what an honest one needs. It is "
        "noted once in a session.",
    ),
    "link.flood": Message(
        WARNING,
        "The server sends far more than there is to say; it is read no faster.",
        "So that it cannot have the processor to itself. It is noted once in a session.",
    ),
    "link.local_error": Message(
        WARNING,
        "The program was about to send something wrong: {error}",
        "It was left out. This should not happen; please report it with this line.",
    ),
    "link.internal_error": Message(
        ERROR,
        "A fault in the program in the connection: {error}.",
        "A session that ended by it is followed by a new one. This should not happen; please "
        "report it with this line.",
    ),
    # --- the sound device --------------------------------------------------------------
    "device.ready": Message(
        INFO,
        "Microphone and loudspeaker are open[: {capture}][ ({capture_why})][ and {render}]"
        "[ ({render_why})].",
        "Both could be opened. Whether frames move is watched from here on. The brackets say why "
        "it is these two; to have others, name them in [device] (names: edge-agent devices).",
    ),
    "device.muted": Message(
        INFO,
        "The loudspeaker is open[: {render}][ ({render_why})]; the microphone is muted and was not "
        "opened.",
        "Bells and sentences sound all the same. edge-agent mute off opens the microphone.",
    ),
    "device.deaf": Message(
        ERROR,
        "The microphone gives no sound ({code}).[ {message}][ {fix}]",
        "It was unmuted, opened for the second time, or gives only one value, and is not heard. "
        "The loudspeaker works and has said so, if it had not before. In a few seconds both are "
        "closed and looked for. Names: edge-agent devices.",
    ),
    "device.down": Message(
        ERROR,
        "No sound device ({code}); looking for it.[ {message}][ {fix}]",
        "The microphone or the loudspeaker is missing or was lost. The program opens it as soon "
        "as it is there. Names: edge-agent devices.",
    ),
    "audio.underrun": Message(
        WARNING,
        "Gaps in an answer, because the loudspeaker ran dry: {count}.",
        "The network or this machine was too slow; the answer had gaps.",
    ),
    "audio.fault": Message(
        ERROR,
        "{count} blocks for the loudspeaker could not be made; it was silent instead.",
        "A fault in the program. If none can be made any more, the watchdog restarts it.",
    ),
    "audio.dropped": Message(
        WARNING,
        "{ms} ms of sound were not played: too late, or too much waited for the loudspeaker.",
        "The model answered at far greater length than it was asked to, and its end was left out; "
        "or pieces came after the end.",
    ),
    "audio.clipped": Message(
        WARNING,
        "The microphone is too loud: it has clipped {count} times. Turn its gain down.",
        "Clipped sound is understood badly, and its echo cannot be cancelled. Lower the capture "
        "level, by alsamixer (F4) or `wpctl set-volume @DEFAULT_SOURCE@ 70%`, until nobody who "
        "speaks close to it makes this line come back. It comes once in six hours at most; "
        "edge-agent status counts.",
    ),
    "audio.mic_gone": Message(
        WARNING,
        "Once more, minutes after it was said aloud: {why}",
        "Only the light and edge-agent status tell of it this time: it comes and goes. An earlier "
        "line names the remedy.",
    ),
    "audio.mic_back": Message(
        INFO,
        "The microphone gives sound again, after {seconds} s.",
        "It had given one value alone, and somebody wanted to be heard.",
    ),
    "audio.faint": Message(
        WARNING,
        "The microphone is so faint that nobody is heard.",
        "Three times somebody called, and in all the time that it listened no sample was louder "
        "than -60 dBFS. Turn its gain up (alsamixer, F4), or put it where people speak. It has "
        "been said aloud.",
    ),
    "audio.dead_channel": Message(
        NOTICE,
        "{count} of {channels} channels of the microphone are dead; the others are used.",
        "For seconds not one sample moved in them while another channel had sound. A stereo card "
        "with one capsule has such a channel for good. To pick one: device.capture_channel.",
    ),
    "audio.mic_pace": Message(
        WARNING,
        "The microphone gives {percent} % of the samples that its rate says.",
        "Its sound is too high, too low or has holes, and words are not recognised. Set "
        "device.rate_hz to the card's own rate, or take another card.",
    ),
    "audio.speaker_pace": Message(
        WARNING,
        "The loudspeaker takes {percent} % of the samples that its rate says.",
        "We sound too high, too low or in pieces, and our echo cannot be cancelled. Set "
        "device.rate_hz to the card's own rate, or take another card.",
    ),
    "audio.mic_lost": Message(
        WARNING,
        "Holes in the microphone's sound, lost by the sound system: {count}.",
        "This machine was too busy, or its power is weak. Words may be missing; device.block_ms "
        "makes blocks longer, which spares it work.",
    ),
    "audio.underflow": Message(
        WARNING,
        "Holes in what was played, because the sound system had nothing: {count}.",
        "A short hole in what was heard: this machine was too busy. device.block_ms makes blocks "
        "longer, which spares it work.",
    ),
    "echo.unavailable": Message(
        ERROR,
        "Nobody is heard over the speaker's own voice[: {message}][ {fix}]",
        "Talking over the speaker is not safe to notice: wake word and button still interrupt, and "
        "our own voice is still taken out of what is heard.",
    ),
    "echo.found": Message(
        INFO,
        "The echo of our own voice was found; it is {erle_db} dB quieter now.",
        "Talking over the speaker interrupts it from now on. Below 10 dB look for a loudspeaker "
        "that distorts or a microphone that clips.",
    ),
    "echo.none": Message(
        INFO,
        "Our own voice does not reach the microphone.",
        "Headphones, a device that cancels echo by itself, or a loudspeaker far away: nothing has "
        "to be cancelled.",
    ),
    "echo.not_found": Message(
        WARNING,
        "The echo of our own voice was not found in {seconds} s of speaking.",
        "Until it is, mostly the wake word and the button interrupt. Microphone and loudspeaker "
        "may be on different machines or links (Bluetooth adds and changes delay), or one of "
        "them was chosen wrongly: see edge-agent devices.",
    ),
    "queue.overflow": Message(
        WARNING,
        "Queue {queue} was full; {count} entries were dropped.",
        "This machine could not keep up.",
    ),
    # --- tools -------------------------------------------------------------------------
    "tool.started": Message(
        INFO,
        "Tool {name} started[ (risk: {risk}, agreed: {agreed}, for: {who})].",
        "The model asked for it, and it might: AGREED is voice, button or none needed. WHO is "
        "household or guest; BECAUSE says where the risk comes from.",
    ),
    "tool.finished": Message(
        INFO,
        "Tool {name} finished[ in {ms} ms][ (ok: {ok})].",
        "Its result went back to the model. RISK, BECAUSE, WHO and AGREED are those of its start.",
    ),
    "tool.refused": Message(
        NOTICE,
        "Tool {name} was not run[ ({why})].",
        "The model was told so in words. RISK is low, medium or high, BECAUSE says where it comes "
        "from. WHO is household or guest. WHY: no, unclear: that was "
        "the household's answer; expired: nobody answered; unheard: the question could not be "
        "heard; too long, unspeakable: it could not be asked whole; no voice: espeak-ng is not "
        "installed; no button: there is none; guest: guest mode is on; interrupted, "
        "gone, connection lost: the question was withdrawn; too many: the household is asked about "
        "much already; asked already, refused before, runs "
        "already: it was the same call again; refused twice: the household did not agree to that "
        "tool twice since it last called; changed: the tool became more dangerous while it was "
        "asked about; no such tool: the model made it up, or its server has gone.",
    ),
    "consent.asked": Message(
        INFO,
        "The household has to agree to {name} (risk: {risk}, by {by}).",
        "A tool of medium risk needs a yes in words, one of high risk the button; "
        "BECAUSE says where the risk comes from. See consent in the settings.",
    ),
    "consent.given": Message(
        NOTICE,
        "The household agreed to {name} by {by}[ after {seconds} s] (risk: {risk}).",
        "Exactly the call that was asked about runs now. BECAUSE says where the risk comes from.",
    ),
    "consent.press_ignored": Message(
        NOTICE,
        "A press of the button came too early to agree to anything.",
        "Only a press that begins 0.4 s after the end of the question agrees to it, and only once "
        "the button is up again: what was pressed before meant something else. The household was "
        "told so.",
    ),
    "guest.on": Message(
        NOTICE,
        "Guest mode is on.",
        "Only what is harmless is done until it is off again, also after a restart: "
        "`edge-agent guest off`, or two quick presses of the talk button while it sleeps, unless "
        "guest.end_by_button is false.",
    ),
    "guest.off": Message(NOTICE, "Guest mode is off.", "Consent is asked for again where needed."),
    "transcript.replaced": Message(
        WARNING,
        "The provider does not write down what it hears ({code}); the model is asked to instead.",
        "realtime.transcription_model may be unknown there; on Azure it is the name of a "
        "deployment. Until the next session each turn is written down by a side question, which "
        "costs some tokens.",
    ),
    "transcript.failed": Message(
        DEBUG,
        "A turn could not be written down.",
        "A warning tells how many, once an hour at most.",
    ),
    "transcript.failing": Message(
        WARNING,
        "The model could not write down what was said: {count} turns since the last such line.",
        "The talk does not need it; the sound is remembered instead. This line comes once an hour "
        "at most, `edge-agent status` counts on. If it is always so, the provider answers no side "
        'questions: set realtime.transcription to "builtin" or "off".',
    ),
    # --- timers and alarms ---------------------------------------------------------------
    "alarm.ringing": Message(
        INFO,
        "A timer or an alarm rings[ ({count} at once)].",
        "It rings until the wake word, the button or the model stops it, five minutes at most; "
        "it needs no internet. What it is for is not written here.",
    ),
    "alarm.stopped": Message(
        INFO,
        "The ringing was stopped by {cause}.",
        "CAUSE is wake word, button, speech, tool, or nobody: then it was given up after five "
        "minutes.",
    ),
    "alarm.missed": Message(
        NOTICE,
        "A timer or an alarm was due {minutes} minutes ago, while this speaker was off.",
        "The household was told; it rings only if that is not long ago.",
    ),
    "timers.restored": Message(
        INFO, "{count} timers and alarms go on.", "They were set before the last restart."
    ),
    # --- the panel ---------------------------------------------------------------------
    "panel.ready": Message(
        INFO,
        "Button and light are there[ ({factory})].",
        "The GPIO lines are in use by this program now.",
    ),
    "panel.absent": Message(
        INFO,
        "No button and light[: {why}].[ {fix}]",
        "The speaker works without them. WHY is what was found: panel.enabled is off, there are no "
        "GPIO lines, the board is no Raspberry Pi and panel.chip is not set, or the lines cannot "
        "be used; FIX is what to do. `edge-agent config show` lists the [panel] settings.",
    ),
    "panel.button_faulty": Message(
        WARNING,
        "The {button} button does not work ({fault}); its presses do not count.",
        "FAULT: stuck: it is down for half a minute; closed at the start: it is down since then; "
        "bounces: ten presses in a second. Look for a jammed cap, a short circuit or a loose "
        "wire. One that is closed at rest wants panel.button_inverted = true, one to 3.3 V or a "
        "touch module panel.pull_up = false. If it had opened a muted microphone, that is shut "
        "again. It counts again once it has been up for 5 s.",
    ),
    "panel.button_works": Message(
        NOTICE, "The {button} button works again.", "It has been up for 5 s: its presses count."
    ),
    # --- the program -------------------------------------------------------------------
    "agent.start": Message(
        NOTICE,
        "edge-agent[ {version}] starts[ with provider {provider}].",
        "The first line of every run.",
    ),
    "agent.not_started": Message(
        ERROR,
        "There was no start: {why}[ {fix}]",
        "FIX says what helps. Systemd tries again every few seconds.",
    ),
    "agent.ready": Message(
        NOTICE,
        "Ready[ after {seconds} s].",
        "It listens. Being connected is not part of it: offline is not sick.",
    ),
    "agent.stopping": Message(NOTICE, "Stopping[ ({why})].", "In order, producers first."),
    "agent.stopped": Message(
        NOTICE, "Stopped[ after {seconds} s].", "The last line of a good run."
    ),
    "dialogue.state": Message(
        DEBUG,
        "Now {talk}; link {link}; microphone {microphone} ({cause}).",
        "CAUSE is the kind of event that did it.",
    ),
    "dialogue.gate": Message(
        DEBUG,
        "The gate is {gate} ({cause}).",
        "Open: sound of the room goes to the provider. CAUSE is the kind of event that did it.",
    ),
    "dialogue.done": Message(
        DEBUG,
        "{cause}: {commands}.",
        "What the dialogue had done about an event; sound and lines of this journal left out.",
    ),
    "dialogue.illegal_move": Message(
        ERROR,
        "A fault in the program: the talk is {state}, where there is no move '{cause}'.",
        "The talk stays as it is and goes on. Noted once for each kind until the next start. "
        "This should not happen; please report it with this line.",
    ),
    "dialogue.unknown_event": Message(
        WARNING,
        "A part of the program tells of {kind}, which the dialogue does not know.",
        "It is left out and the talk goes on. Noted once for each kind until the next start. Parts "
        "of two versions are mixed: run scripts/install.sh once more.",
    ),
    "agent.fault": Message(
        ERROR,
        "A fault in the program: {kind}[ at {place}].",
        "It was left out and the program goes on; one that comes again and again is noted once. "
        "This should not happen; please report it with this line. Nothing of what was said is in "
        "it.",
    ),
    "watchdog.stalled": Message(
        ERROR,
        "Nothing moves in {part}; letting systemd restart the program.",
        "Sound frames or the event loop stood still for longer than health.stall_s. A deaf "
        "speaker is worse than a restart.",
    ),
    "shutdown.timeout": Message(
        WARNING, "{part} did not stop in time.", "The stop goes on without it."
    ),
    # --- what is kept on this machine ------------------------------------------------
    "state.repaired": Message(
        WARNING,
        "The saved state could not be used ({why}); the old file is kept as {path}.",
        "The volume is at its default. Mute and guest mode are on where it could not be known, and "
        "stay on until somebody ends them.",
    ),
    "state.unwritable": Message(
        WARNING,
        "The state cannot be saved ({why}).",
        "Mute, guest mode and volume will not survive a reboot. The household is told so, and it "
        "is tried again until it is saved. See state.path in the settings.",
    ),
    "state.saved": Message(
        INFO,
        "The state could be saved again.",
        "Mute, guest mode and volume survive a reboot.",
    ),
    "usage.repaired": Message(
        WARNING,
        "The record of use could not be read ({why}); the old file is kept as {path}.",
        "Tokens and money are counted from zero again, also for a daily cap.",
    ),
    "usage.unwritable": Message(
        WARNING,
        "The record of use cannot be saved ({why}).",
        "Tokens and money of today will be forgotten at a restart. See state.path in the "
        "settings: the file is beside it.",
    ),
    "timers.repaired": Message(
        WARNING,
        "The timers and alarms could not be read ({why}); the old file is kept as {path}.",
        "None of them will ring: set them again.",
    ),
    "timers.unwritable": Message(
        WARNING,
        "The timers and alarms cannot be saved ({why}).",
        "They will ring, but will be forgotten at a restart. See state.path in the settings: the "
        "file is beside it.",
    ),
    "facts.repaired": Message(
        WARNING,
        "The facts could not be read ({why}); the old file is kept as {path}.",
        "What the household had asked to be remembered is in that file; the memory begins anew.",
    ),
    "facts.unusable": Message(
        WARNING,
        "The facts cannot be read or kept ({why}).",
        "The household is told so when it asks. Nothing is lost. The file is beside state.path.",
    ),
    "keepsakes.unwritable": Message(
        WARNING,
        "Transcripts or recordings cannot be kept ({why}).",
        "Talk goes on; what is said in the meantime is not kept. See privacy in the settings.",
    ),
    "keepsakes.dropped": Message(
        WARNING,
        "{count} turns were not kept: the disk is too slow.",
        "Nothing waits for the disk, least of all talk.",
    ),
    "keepsakes.deleted": Message(
        NOTICE,
        "Deleted {count} files of transcripts and recordings.",
        "They were older than privacy.keep_transcripts_days or keep_audio_days allow, or the "
        "recordings had grown beyond keep_audio_max_mb.",
    ),
    # --- tool servers ----------------------------------------------------------------
    "mcp.ready": Message(
        INFO,
        "The tool server {server} is connected; the model may use {count} of its tools.",
        "See mcp.servers in the settings for which these are. edge-agent mcp list shows all.",
    ),
    "mcp.down": Message(
        WARNING,
        "The tool server {server} cannot be used: {why}.",
        "It is tried again, for ever, at most a minute apart, and at once when the model asks for "
        "one of its tools. Said once for each reason. edge-agent mcp list tries it now, and shows "
        "what its program complains of.",
    ),
    "mcp.left_out": Message(
        NOTICE,
        "The tool {tool} of {server} is left out: {why}.",
        "The model is not told of it; the server's other tools can be used.",
    ),
    "mcp.absent": Message(
        NOTICE,
        "The tool server {server} has no tool {tool}, which the settings allow.",
        "It may be misspelt, or another version of the server calls it otherwise. "
        "edge-agent mcp list shows the names.",
    ),
    "persona.tool_off": Message(
        WARNING,
        "The persona's steps want the tool {tool}, which is switched off: they go without it "
        "({steps}).",
        "The speaker works; in these steps of the guided talk the model cannot call this tool. "
        "SETTING is what would switch it on; or take the tool out of the persona's file. "
        "edge-agent config check tells the same.",
    ),
    "mcp.flood": Message(
        WARNING,
        "The tool server {server} says more than there is to say; it is read no faster.",
        "So that it cannot have the processor to itself. It is noted once for each connection.",
    ),
    "mcp.changed": Message(
        WARNING,
        "The tool {tool} of {server} is described otherwise than when it was accepted.",
        "What it is for, or what it is given, is not what you allowed. Until you accept it anew it "
        "is done only after a press of the button, whatever the settings say. See the difference "
        "with: sudo edge-agent mcp accept SERVER TOOL",
    ),
    "echo.repaired": Message(
        WARNING,
        "How its own voice reaches the microphone could not be read ({why}); the old file is kept "
        "as {path}.",
        "It is learned again within the first seconds of the next answer, or by: edge-agent "
        "calibrate",
    ),
    "echo.unwritable": Message(
        WARNING,
        "How its own voice reaches the microphone cannot be kept ({why}).",
        "It will be learned again after a restart. See state.path in the settings: the file is "
        "beside it.",
    ),
    "pongs.repaired": Message(
        WARNING,
        "How late providers answer pings could not be read ({why}); the old file is kept as "
        "{path}.",
        "It is learnt again; a session with a slow provider may be given up once more before that.",
    ),
    "pongs.unwritable": Message(
        WARNING,
        "How late providers answer pings cannot be kept ({why}).",
        "It will be learnt again after a restart. See state.path in the settings: the file is "
        "beside it.",
    ),
    "tools.repaired": Message(
        WARNING,
        "How tools were accepted could not be read ({why}); the old file is kept as {path}.",
        "Every tool of a tool server is done only after a press of the button until you accept it: "
        "sudo edge-agent mcp accept SERVER",
    ),
    "tools.unwritable": Message(
        WARNING,
        "How tools are described cannot be kept ({why}).",
        "A change of them will not be noticed. See state.path in the settings: the file is beside "
        "it.",
    ),
    "mcp.missing": Message(
        WARNING,
        "Tool servers are configured, but the extra for them is not installed.",
        "Everything else runs. Run scripts/install.sh once more: it installs the extra when the "
        "settings name a tool server. In an environment of your own install edge-agent[mcp].",
    ),
    # --- the stronger model and what people left -------------------------------------
    "supervisor.answered": Message(
        INFO,
        "The stronger model answered after {seconds} s ({tokens_in} tokens in, {tokens_out} out).",
        "The voice had asked it by the tool answer. What it cost is in the day's costs.",
    ),
    "supervisor.failed": Message(
        WARNING,
        "The stronger model gave no answer: {message}[ {fix}] ({code})",
        "The household was told so. See supervisor in the settings. Nothing is tried again by "
        "itself; the next question is a new try, with the key as it is in its file then.",
    ),
    "messages.taken": Message(
        INFO,
        "Somebody left a message for the owner ({count} are kept).",
        "Read it: sudo edge-agent messages list.",
    ),
    "messages.sent": Message(
        INFO,
        "A message was sent[; {waiting} wait].",
        "The other side of messages.webhook_url has it.",
    ),
    "messages.undelivered": Message(
        WARNING,
        "{waiting} messages cannot be sent: {message}[ {fix}] ({code})",
        "They are kept, also over a restart, and tried again until they are taken: soon where "
        "that can help, every half to whole hour where only the owner can. Each is sent with an "
        "id of its own, so that one that arrives twice can be told.",
    ),
    "messages.deleted": Message(
        NOTICE, "{count} messages were deleted.", "Asked for by edge-agent messages delete."
    ),
    "messages.repaired": Message(
        WARNING,
        "The messages could not be read ({why}); the old file is kept as {path}.",
        "What people left is in that file; new messages begin a new one.",
    ),
    "messages.unwritable": Message(
        WARNING,
        "The messages cannot be saved ({why}).",
        "They will be sent if there is a webhook, but are forgotten at a restart; who left them "
        "was told so. See state.path in the settings: the file is beside it.",
    ),
    # --- settings, the journal itself, libraries -------------------------------------
    "voice.missing": Message(
        WARNING,
        "There is no voice to ask the household with: espeak-ng is not installed.",
        "Tools of medium and high risk are refused, because their questions are spoken by "
        "espeak-ng. Run: sudo apt-get install -y espeak-ng, then restart the service.",
    ),
    "settings.wrong": Message(
        ERROR,
        "The settings have a mistake:[ {where}:][ {setting}:] {why}[ {fix}]",
        "First stands where: the file and its line, or the environment. Correct it, see that "
        "edge-agent config check is content, and start or reload the service. Systemd does not "
        "start it again by itself after this.",
    ),
    "settings.kept": Message(
        NOTICE,
        "The settings were not read anew; the running ones stay.",
        "A reload takes all of them or none. The mistakes are in the lines before this one.",
    ),
    "settings.reloaded": Message(
        NOTICE,
        "Settings read anew[; in force: {live}][; in force when nobody talks: {later}]"
        "[; after a restart: {restart}].",
        "LIVE took effect at once, LATER does as soon as the talk is asleep, RESTART wants: sudo "
        "systemctl restart edge-agent. None of them: nothing has changed.",
    ),
    "settings.origin": Message(
        DEBUG, "Set: {setting} (from {where}).", "Everything else has its default."
    ),
    "settings.advice": Message(
        NOTICE, "Settings: {advice}.", "Allowed, but probably not what was wanted."
    ),
    "journal.level": Message(
        NOTICE,
        "Log level: {level}[ for {seconds} s].",
        "Asked for with edge-agent log-level, or changed in the settings and reloaded.",
    ),
    "journal.dropped": Message(
        WARNING,
        "{count} lines before this one were lost: the journal could not take them.",
        "The program never waits for the journal; a household waits for nobody's log.",
    ),
    "journal.left_out": Message(
        WARNING,
        "{count} lines about what others do were left out: there were too many in a minute.",
        "A server, a tool server or somebody at the control socket does the same thing over and "
        "over. Lines about the speaker itself are never left out for that.",
    ),
    "journal.repeated": Message(
        NOTICE,
        "The line before this one came {count} times more, and was left out.",
        "Something goes on and off, or fails again and again.",
    ),
    "journal.plain": Message(
        NOTICE,
        "Journal lines come without fields: {why}.",
        "They are still there to read, but cannot be filtered by EDGE_CODE or explained by "
        "journalctl -x. scripts/install.sh puts what is missing in place.",
    ),
    "library.complained": Message(
        WARNING,
        "{logger}: {template}",
        "A library underneath logged a warning; its arguments are left out.",
    ),
}
