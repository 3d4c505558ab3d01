"""Responses: what the model's answers, calls and side answers mean.

Thread: the event loop's, but pure.  It must never raise on what a server sends, and never send.  A
part of `session`, which hands every message that it does not treat itself to `receive` and gets the
events back.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import singledispatchmethod

from edge_agent.contract import events as ev
from edge_agent.contract.foreign import code_of
from edge_agent.realtime.protocol import faults, shapes
from edge_agent.realtime.protocol.tracking import (
    TEXT_MAX_CHARS,
    Track,
    content_text,
    item_of,
    objects_of,
    outcome_of,
    tag_of,
    usage_of,
)

REMEMBERED = 256
"""Finished responses kept to recognise what comes late: it comes within a few events."""

UNDER_WAY_MAX = 16
"""Responses that have begun and are not over: one of the talk and a few side questions.  One more
ends the oldest."""


class Responses:
    """The responses under way and those that ended lately; oddities are added to `counts`, and
    `over` is told of what there was too much of."""

    def __init__(self, counts: Counter[str], over: Callable[[str], None]) -> None:
        self.counts = counts
        self._over = over
        self._events: list[ev.Event] = []
        """What the message in hand has meant so far."""
        self._at = 0.0
        self._tracks: dict[str, Track] = {}
        self.finished: OrderedDict[str, None] = OrderedDict()
        self.completed = 0
        """Responses of any kind that ended `completed`."""

    def receive(self, message: shapes.ServerMessage, at: float) -> list[ev.Event]:
        """What one message, received at loop time `at`, means."""
        self._at = at
        self._on(message)
        events, self._events = self._events, []
        return events

    @singledispatchmethod
    def _on(self, _message: shapes.ServerMessage) -> None:
        """Take one message; what a speaker need not act upon is counted."""
        self.counts["ignored"] += 1

    def _track(self, response: str | None) -> Track | None:
        """The response that an event belongs to; None if it is over.

        An event without id belongs to the only response under way.  One with an id never
        announced begins that response: some servers skip `response.created`.
        """
        if not response:
            return next(iter(self._tracks.values())) if len(self._tracks) == 1 else None
        track = self._tracks.get(response)
        if track is None and response not in self.finished:
            track = self._begin(response, None)
        return track

    def _begin(self, response: str, tag: str | None) -> Track:
        if len(self._tracks) >= UNDER_WAY_MAX:
            self._over("responses")
            self._is_over(next(iter(self._tracks)))
        track = self._tracks[response] = Track(response, tag, over=self._over)
        if tag is None:
            self._events.append(ev.ResponseStarted(at=self._at, response=response))
        return track

    def _is_over(self, response: str) -> None:
        del self._tracks[response]
        self.finished[response] = None
        while len(self.finished) > REMEMBERED:
            self.finished.popitem(last=False)

    def knows(self, response: str | None) -> bool:
        """Has this response begun before?  A server may announce it twice."""
        return response in self._tracks or response in self.finished

    def begin_aside(self, response: str, tag: str) -> None:
        """This response answers a side question, whatever it looks like: nothing of it is heard."""
        if not self.knows(response):
            self._begin(response, tag)

    @_on.register
    def _(self, message: shapes.ResponseCreated) -> None:
        response = message.response.id
        if response and not self.knows(response):
            self._begin(response, tag_of(message.response))

    @_on.register
    def _(self, message: shapes.AudioDelta) -> None:
        track = self._track(message.response_id)
        if track is None:
            self.counts["late_audio"] += 1
            return
        item = message.item_id or track.last_item or track.response
        if track.tag is not None or not message.delta or track.voiced.get(item):
            self.counts["unwanted_audio"] += 1
            return
        if not track.note_item(item):
            return
        track.voiced[item] = False
        self._events.append(
            ev.VoiceChunk(at=self._at, response=track.response, item=item, pcm24k=message.delta)
        )

    @_on.register
    def _(self, message: shapes.AudioDone) -> None:
        track = self._track(message.response_id)
        if track is not None:
            self._end_voice(track, message.item_id or track.last_item)

    def _end_voice(self, track: Track, item: str) -> None:
        if track.voiced.get(item) is False:
            track.voiced[item] = True
            self._events.append(ev.VoiceEnded(at=self._at, response=track.response, item=item))

    @_on.register(shapes.TranscriptDelta)
    @_on.register(shapes.TextDelta)
    def _(self, message: shapes.TranscriptDelta | shapes.TextDelta) -> None:
        track = self._track(message.response_id)
        if track is None or not message.delta or not track.takes_text(message.delta):
            return
        if track.tag is not None:
            track.text.append(message.delta)
            return
        item = message.item_id or track.last_item or track.response
        if not track.note_item(item):
            return
        self._events.append(
            ev.VoiceText(at=self._at, response=track.response, item=item, text=message.delta)
        )

    @_on.register
    def _(self, message: shapes.OutputItemAdded) -> None:
        track = self._track(message.response_id)
        if track is not None:
            track.note_item(message.item.id or "")
            track.note_call(message.item, at_done=False)

    @_on.register
    def _(self, message: shapes.OutputItemDone) -> None:
        track = self._track(message.response_id)
        if track is not None:
            track.note_item(message.item.id or "")
            track.note_call(message.item, at_done=True)
            self._end_voice(track, message.item.id or "")

    @_on.register
    def _(self, message: shapes.ArgumentsDone) -> None:
        track = self._track(message.response_id)
        if track is None:
            return
        track.note_item(message.item_id or "")
        item = shapes.Item(
            id=message.item_id,
            type="function_call",
            call_id=message.call_id,
            name=message.name,
            arguments=message.arguments,
        )
        track.note_call(item, at_done=True)

    @_on.register
    def _(self, message: shapes.ResponseDone) -> None:
        response = message.response
        if not response.id or response.id in self.finished:
            self.counts["duplicate_done"] += 1
            return
        track = self._tracks.get(response.id) or self._begin(response.id, tag_of(response))
        self._is_over(response.id)
        status, code, text = outcome_of(response)
        self.completed += status == "completed"
        usage = usage_of(response.usage) or usage_of(message.usage)
        final_text: list[str] = []
        for fields in objects_of(response.output):
            item = item_of(fields)
            track.note_item(item.id or "")
            track.note_call(item, at_done=True)
            if track.tag is not None and not track.text:
                final_text.append(content_text(item))
        if track.tag is not None:
            # The deltas are what was generated; the object repeats it, if the server bothers.
            answer = "".join(track.text) or "".join(final_text)[:TEXT_MAX_CHARS]
            ok = status == "completed"
            self._events.append(
                ev.SideAnswer(at=self._at, tag=track.tag, text=answer, ok=ok, usage=usage)
            )
            return
        for item_id in list(track.voiced):
            self._end_voice(track, item_id)
        self._events.append(
            ev.ResponseEnded(
                at=self._at,
                response=response.id,
                status=status,
                code=code_of(code),
                message=faults.in_short(text),
                retry_in_s=faults.again_in_s(text),
                calls=track.complete_calls(),
                items=tuple(track.items),
                usage=usage,
            )
        )
