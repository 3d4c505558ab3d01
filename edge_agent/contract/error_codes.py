"""Error codes: those of a server's errors that several rooms know, and what they are about.

Words of `events.ServerComplained`; no behaviour.
"""

from __future__ import annotations

CROSSED = "conversation_already_has_active_response"
"""Code of a complaint: the server was answering already when we asked for a response."""
COMMIT_EMPTY = "input_audio_buffer_commit_empty"
"""Code of a complaint: there was nothing in the buffer that we committed."""
SERVER_ERROR = "server_error"
"""Code of a complaint: the server has failed, and perhaps with it the answer that is awaited."""
ABOUT_REQUEST = "response.create"
"""What a complaint is about that answers a request for an answer …"""
ABOUT_COMMIT = "input_audio_buffer.commit"
"""… and the end of a turn.  The words are the first protocol's; nobody reads more into them."""
ABOUT_SIDE_QUESTION = "side question"
"""What a complaint is about that answers a side question, and so nothing in the talk."""
