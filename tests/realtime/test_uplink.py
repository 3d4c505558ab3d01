"""Uplink: sound in appends that are never larger than a provider takes.

It must never need a server.
"""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.commands import AddToolCall, AddToolOutput, SendAudio
from edge_agent.realtime.protocol.uplink import APPEND_LIMIT_BYTES, Uplink


@given(
    pcm=st.integers(0, 60_000).map(lambda count: bytes(n * 7 % 256 for n in range(count * 2))),
    limit=st.integers(480, 3 * APPEND_LIMIT_BYTES),
)
def test_the_same_sound_in_pieces_that_are_taken(pcm: bytes, limit: int) -> None:
    texts = Uplink("ga", iter(map(str, range(10_000))).__next__, limit).write(SendAudio(pcm))
    pieces = [base64.b64decode(json.loads(text)["audio"]) for text in texts]
    assert b"".join(pieces) == pcm
    assert all(0 < len(piece) <= min(limit, APPEND_LIMIT_BYTES) for piece in pieces)
    assert all(len(piece) % 2 == 0 for piece in pieces)
    # No more of them than needed: every one costs a frame and an id.
    assert len(pieces) <= -(-len(pcm) // (min(limit, APPEND_LIMIT_BYTES) // 2 * 2))


LONG = "call-af8ed632-5a0c-4b2f-9b57-3f2a1c9d8e70-0"


def call_ids(uplink: Uplink, *commands: AddToolCall | AddToolOutput) -> list[str]:
    return [json.loads(uplink.write(command)[0])["item"]["call_id"] for command in commands]


def test_a_long_call_id_of_another_session_is_short_everywhere_and_the_servers_own_is_kept() -> (
    None
):
    uplink, other = (Uplink("ga", iter(map(str, range(99))).__next__) for _ in range(2))
    assert call_ids(uplink, AddToolOutput(LONG, "done")) == [LONG]
    call = AddToolCall("item", LONG, "unlock", "{}")
    told, output = call_ids(uplink, call, AddToolOutput(LONG, "done"))
    assert told == output != LONG
    assert uplink.call_of(told) == LONG
    assert call_ids(other, call) == [told]
    assert call_ids(other, AddToolOutput("call_1", "done")) == ["call_1"]
