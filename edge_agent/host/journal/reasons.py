"""Reasons: why a line is down, a device is missing or an answer failed, for the journal.

It must never hold anything but the explanation of a code.

`link.down` with EDGE_REASON_CODE=link.dns gets the message id of `link.dns`, so that
`journalctl -x` explains this very cause; EDGE_CODE stays `link.down` for those who filter.
"""

from __future__ import annotations

_ALONE = "The program keeps trying and comes back by itself."
_PERSON = "The program keeps trying at long intervals and recovers by itself once it is fixed."
_KEY = "/etc/edge-agent/openai_api_key"
_BILL = f"Look at the account's billing page and limits. {_PERSON}"

REASONS: dict[str, str] = {
    # --- the network -------------------------------------------------------------------
    "link.dns": f"The provider's name could not be looked up. Try: resolvectl query NAME. {_ALONE}",
    "link.unreachable": "Nobody could be reached at the provider's address: no route, or the port "
    f"is closed. See the router and any firewall. {_ALONE}",
    "link.timeout": "The connection was not made within realtime.dial_timeout_s. Usually a bad "
    f"Wi-Fi signal. {_ALONE}",
    "link.lost": f"The connection broke, or could not be made. {_ALONE}",
    "link.closed": f"The other side closed the connection in a usual way. {_ALONE}",
    "link.dead": "Pings were not delivered within realtime.ping_timeout_active_s or _idle_s, or "
    "not answered within the time that `edge-agent status` shows: the line was dead without saying "
    "so. A server of your own on a busy box may just be late: give it pong_active_s in "
    f"providers.toml. {_ALONE}",
    "link.no_answer": f"The server was reached but does not answer what it is told. {_ALONE}",
    "link.garbage": f"The server sends what is not the protocol. Is realtime.url right? {_ALONE}",
    "link.protocol": f"One side did not understand a frame of the other. {_ALONE}",
    "link.frame_too_big": f"A frame was larger than 8 MiB, or than the server takes. {_ALONE}",
    "link.error": f"Trouble with the connection that has no better name. {_ALONE}",
    "link.internal": "A fault in this program ended the session; please report it with the lines "
    "around this one. A new session is opened.",
    "link.reopened": "The program dropped the session itself, because nothing came of it any "
    "more. A fresh one is opened.",
    "link.connecting": "It was not connected yet. Nothing is wrong unless it stays so.",
    "link.captive_portal": "A web page came instead of the service: the network wants a sign-in. "
    f"Open any page from another device of the house. {_ALONE}",
    "link.clock": "The certificate is not valid at the time of this machine's clock. See: "
    f"timedatectl. {_ALONE}",
    "link.tls": "The certificate of the other side is not to be trusted: another network device "
    f"answers, or the system's certificates are old (package ca-certificates). {_PERSON}",
    "link.proxy": "The proxy of HTTPS_PROXY refuses. Correct it, its password, or list the host "
    f"in NO_PROXY (systemctl edit edge-agent). {_PERSON}",
    # --- the provider ------------------------------------------------------------------
    "link.busy": f"The provider asked to come back later (429, 5xx or close 1013). {_ALONE}",
    "link.session_expired": "A session has a longest life (OpenAI: 60 minutes). A new one is "
    "opened and told the conversation so far.",
    "link.refused": f"The provider ended the session for good. See the account. {_PERSON}",
    "link.bad_key": f"The key is wrong or was taken back. Put a valid one into {_KEY} "
    f"(root:edge-agent, mode 640); it is taken up within 10 s. {_PERSON}",
    "link.no_key": f"There is no key. Put it into {_KEY} (root:edge-agent, mode 640); it "
    "is taken up within 10 s.",
    "link.key_unreadable": f"The service may not read {_KEY}, or it is no text: sudo chgrp "
    f"edge-agent {_KEY} && sudo chmod 640 {_KEY}. A restart and a reload mend its rights.",
    "link.no_quota": f"The account has no credit left, or reached its limit. {_BILL}",
    "link.no_model": "The account may not use realtime.model, or there is no such model. "
    f"{_PERSON}",
    "link.dialect": "The server speaks a protocol that this program does not. See "
    f"realtime.provider and realtime.url. {_PERSON}",
    "link.bad_url": f"There is no Realtime service at realtime.url. {_PERSON}",
    # --- an answer ---------------------------------------------------------------------
    "response.insufficient_quota": f"The account's credit is used up. {_BILL}",
    "response.quota_exceeded": f"The account's credit is used up. {_BILL}",
    "response.credit_balance_exhausted": f"The account's credit is used up. {_BILL}",
    "response.billing_hard_limit_reached": f"The account's own limit is reached. {_BILL}",
    "response.billing_not_active": f"The account cannot pay. {_BILL}",
    "response.account_deactivated": "The provider has closed the account. Ask its support.",
    "response.invalid_api_key": f"The key was taken back. Put a valid one into {_KEY}.",
    "response.rate_limit_exceeded": "More was asked in a minute than the account may. It passes "
    "by itself; the account's tier sets the limit.",
    "response.content_filter": "The provider's filter stopped the answer.",
    "response.max_output_tokens": "The answer reached its longest length: "
    "realtime.max_output_tokens, or the model's own.",
    "response.server_error": "A fault at the provider's. It passes by itself.",
    "response.session_expired": "The session reached its longest life within the answer.",
    "response.model_not_found": f"There is no realtime.model for this account. {_PERSON}",
    "response.empty": "The model answered with nothing. Once is nothing; often means that "
    "realtime.instructions or realtime.model do not suit.",
    # --- the sound device --------------------------------------------------------------
    "device.missing": "No device of the name in device.capture_device or device.render_device. "
    "Names: edge-agent devices.",
    "device.no_microphone": "No microphone, or none named device.capture_device. Plug it in; "
    "names: edge-agent devices.",
    "device.no_speaker": "No loudspeaker, or none named device.render_device. Plug it in; names: "
    "edge-agent devices.",
    "device.lost": "It was there and stopped: unplugged, suspended or without current. It is "
    "opened again as soon as it is back.",
    "device.overruns": "Sound of the microphone was lost several times a second. It is opened "
    "again in longer blocks, which spares the machine work.",
    "device.silent": "The microphone could be opened and gives no sound. Check its cable and its "
    "switch.",
    "device.switched_off": "The microphone gives nothing but zeros. Switch it on at the "
    "device: its mute key, or its capture switch (alsamixer, F4).",
    "device.speaker_stalled": "The loudspeaker stopped while the microphone went on. It is opened "
    "again; check its cable and its power, or name another card.",
    "device.busy": "Another program holds the sound device; where the line has only its process, "
    "`edge-agent status` names it. Close it, or have a desktop leave the card alone: "
    "scripts/install.sh --card.",
    "device.format_refused": "The device does not take the rate or the format. Set device.rate_hz "
    "to 0.",
    "device.error": "The device cannot be used. See: edge-agent devices.",
}
"""Error code → what it means and what helps."""
SAME_AS: dict[str, str] = {
    "response.incorrect_api_key": "response.invalid_api_key",
    "response.missing_api_key": "response.invalid_api_key",
    "response.authentication_error": "response.invalid_api_key",
    "response.too_many_requests": "response.rate_limit_exceeded",
    "response.server_overloaded": "response.server_error",
    "response.session_limit_reached": "response.server_error",
    "response.model_not_available": "response.model_not_found",
    "response.model_access_denied": "response.model_not_found",
    "response.beta_api_shape_disabled": "link.dialect",
}
"""Other words of providers for the same thing."""
REASON_NOTES = frozenset(
    {"link.down", "link.refused", "device.down", "device.deaf", "response.failed"}
)
"""The lines whose field `code` is the code of an error."""


def reason_of(code: str, fields: dict[str, str]) -> str:
    """The code that explains this line best: its reason's if that is known, else its own.

    A provider's own word (`insufficient_quota`) is looked up as `response.…`.
    """
    if code in REASON_NOTES:
        reason = fields.get("code", "")
        for word in (reason, f"response.{reason}"):
            name = SAME_AS.get(word, word)
            if name in REASONS:
                return name
    return code
