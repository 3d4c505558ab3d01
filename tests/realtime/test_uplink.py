"""Uplink: sound in appends that are never larger than a provider takes (purpose).

Owner thread: none.  Must never need a server.
"""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.commands import SendAudio
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
