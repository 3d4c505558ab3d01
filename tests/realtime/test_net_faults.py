"""The table of network faults: each row from a real socket, and the same answer at both users.

The Realtime dialer and the HTTPS client of the speech service are sent to one and the same bad
server, proxy or address on this machine.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

import pytest
from authority import Authority
from house_config import household_dialer
from hypothesis import given
from hypothesis import strategies as st
from real_sockets import Handler, answers, free_port, hangs, raw_server, resets, says

from edge_agent.contract import net_faults as nf
from edge_agent.contract.errors import AgentError, LinkBusy, LinkError
from edge_agent.contract.net_faults import Fault, Peer
from edge_agent.host.voice.sentences import SENTENCE_FOR_CODE
from edge_agent.host.web.http_faults import refused_inside
from edge_agent.host.web.speech_http import PEER, SpeechApi
from edge_agent.realtime.link.dialer import translated
from edge_agent.realtime.protocol.faults import PROVIDER
from edge_agent.simulation.server import Refusal
from edge_agent.simulation.wire import SERVER, translated_refusal

KEY = "sk-test-0123456789"
HTML = "<html><body>Welcome to the hotel</body></html>"


class Told(NamedTuple):
    """What came out at one user."""

    error: AgentError
    user: str


async def both(url: str, *, ca_file: str = "", patience_s: float = 5.0) -> list[Told]:
    """The errors of both users at this address, which begins like `wss://` or `ws://`."""
    found = []
    try:
        await household_dialer(ca_file=ca_file, open_s=patience_s)(url, {"api-key": KEY})
    except AgentError as error:
        found.append(Told(error, "dialer"))
    api = SpeechApi(
        url.replace("ws", "http", 1),
        KEY,
        ca_file=ca_file,
        silence_timeout_s=patience_s,
        call_timeout_s=patience_s,
    )
    try:
        await asyncio.to_thread(api.speech, "the words", model="m", voice="v")
    except AgentError as error:
        found.append(Told(error, "https"))
    return found


def both_at(handler: Handler, *, tls: object = None, **options: object) -> list[Told]:
    """As `both`, at a server of this machine that does what `handler` does."""

    async def main() -> list[Told]:
        async with raw_server(handler, tls) as port:  # type: ignore[arg-type]
            scheme = "wss" if tls or options.pop("encrypted", False) else "ws"
            return await both(f"{scheme}://localhost:{port}/v1", **options)  # type: ignore[arg-type]

    return asyncio.run(main())


def judge(told: list[Told], row: Fault) -> None:
    """Both were told the row, in sentences that hold neither key nor words."""
    assert [one.user for one in told] == ["dialer", "https"]
    for error, user in told:
        assert type(error) is row.kind, user
        assert error.code == row.code, user
        assert error.message.startswith(row.message[: row.message.find("{")].rstrip(".")), user
        assert "{" not in str(error)
        for secret in (KEY, "Secret", "the words"):
            assert secret not in f"{error} {error!r}"
        # The daemon dials again by itself; a person at the command line is told to.
        assert error.fix or (user == "dialer" and row.again)
    assert row.code in SENTENCE_FOR_CODE


def said(status: str, code: str) -> Handler:
    body = json.dumps({"error": {"message": "Secret words", "code": code}})
    return answers(status, "Content-Type: application/json", body=body)


STATUSES: list[tuple[Handler, Fault]] = [
    (answers("401 Unauthorized"), nf.BAD_KEY),
    (said("400 Bad Request", "invalid_api_key"), nf.BAD_KEY),
    (said("429 Too Many Requests", "insufficient_quota"), nf.NO_QUOTA),
    (said("403 Forbidden", "quota_exceeded"), nf.NO_QUOTA),
    (answers("403 Forbidden"), nf.REFUSED),
    (said("403 Forbidden", "unsupported_country_region_territory"), nf.REFUSED),
    (said("403 Forbidden", "model_not_found"), nf.NO_MODEL),
    (said("404 Not Found", "model_not_found"), nf.NO_MODEL),
    (said("400 Bad Request", "beta_api_shape_disabled"), nf.DIALECT),
    (answers("404 Not Found"), nf.NOT_THERE),
    (answers("404 Not Found", "Content-Type: text/html", body=HTML), nf.NOT_THERE),
    (answers("405 Method Not Allowed"), nf.NOT_THERE),
    (answers("407 Proxy Authentication Required"), nf.PROXY_LOGIN),
    (answers("408 Request Timeout"), nf.LATER),
    (answers("425 Too Early"), nf.LATER),
    (answers("429 Too Many Requests"), nf.TOO_MUCH),
    (said("429 Too Many Requests", "rate_limit_exceeded"), nf.TOO_MUCH),
    (answers("500 Internal Server Error"), nf.LATER),
    (answers("503 Unavailable", "Content-Type: text/html", body=HTML), nf.LATER),
    (answers("511 Network Authentication Required"), nf.PORTAL),
    (answers("200 OK", "Content-Type: text/html", body=HTML), nf.PORTAL),
    (answers("302 Found", "Location: http://login.example/"), nf.PORTAL),
    (answers("307 Temporary Redirect", "Location: http://login.example/"), nf.PORTAL),
]


@pytest.mark.parametrize(("handler", "row"), STATUSES)
def test_an_http_answer_means_the_same_at_both(handler: Handler, row: Fault) -> None:
    judge(both_at(handler), row)


@pytest.mark.parametrize(
    ("handler", "row"),
    [
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), nf.NOT_THERE),
        (says(b""), nf.CUT),
        (resets, nf.CUT),
    ],
)
def test_what_is_no_http_means_the_same_at_both(handler: Handler, row: Fault) -> None:
    judge(both_at(handler), row)


def test_silence_means_the_same_at_both() -> None:
    judge(both_at(hangs, patience_s=0.2), nf.TIMEOUT)


def test_nobody_there_means_the_same_at_both() -> None:
    judge(asyncio.run(both(f"ws://127.0.0.1:{free_port()}/v1")), nf.UNREACHABLE)


def test_no_such_name_means_the_same_at_both() -> None:
    judge(asyncio.run(both("ws://no-such-host.invalid/v1")), nf.NO_NAME)


# --- encryption --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("20000101000000Z", "20010101000000Z", "expired"),
        ("20480101000000Z", "20490101000000Z", "not valid yet"),
    ],
)
def test_a_wrong_clock_means_the_same_at_both(
    authority: Authority, start: str, end: str, words: str
) -> None:
    tls = authority.server(start=start, end=end)
    told = both_at(hangs, tls=tls, ca_file=str(authority.ca_file))
    judge(told, nf.CLOCK)
    for error, user in told:
        assert words in error.message, user
        assert "clock" in error.message, user


def test_an_authority_that_nobody_knows_means_the_same_at_both(authority: Authority) -> None:
    judge(both_at(hangs, tls=authority.server()), nf.UNTRUSTED)


def test_another_hosts_certificate_means_the_same_at_both(authority: Authority) -> None:
    tls = authority.server("DNS:elsewhere.example")
    judge(both_at(hangs, tls=tls, ca_file=str(authority.ca_file)), nf.UNTRUSTED)


async def _plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


def test_no_encryption_there_means_the_same_at_both() -> None:
    judge(both_at(_plain, encrypted=True), nf.NO_TLS)


async def _hangs_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


def test_a_cut_within_the_encryptions_handshake_means_the_same_at_both() -> None:
    judge(both_at(_hangs_up, encrypted=True), nf.CUT)


# --- proxies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "row"),
    [
        ("407 Proxy Authentication Required", nf.PROXY_LOGIN),
        ("403 Forbidden", nf.PROXY_TUNNEL),
        ("502 Bad Gateway", nf.PROXY_TUNNEL),
    ],
)
def test_a_proxys_refusal_means_the_same_at_both(
    status: str, row: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[Told]:
        async with raw_server(answers(status)) as port:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            return await both("wss://provider.invalid/v1")

    judge(asyncio.run(main()), row)


# --- the table itself --------------------------------------------------------------------


ROWS = [value for value in vars(nf).values() if isinstance(value, Fault)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.message)
@pytest.mark.parametrize("peer", [PROVIDER, PEER, SERVER], ids=lambda peer: peer.name)
def test_every_row_makes_a_sentence_and_a_remedy(row: Fault, peer: Peer) -> None:
    error = nf.error_for(row, peer, "HTTP 999")
    assert type(error) is row.kind
    assert "(HTTP 999)." in error.message
    assert not set("{}") & set(str(error))
    assert ".." not in str(error).replace("a ...", "")


def test_every_row_has_a_sentence_of_the_voice() -> None:
    assert {row.code for row in ROWS} - set(SENTENCE_FOR_CODE) == set()


def test_every_word_finds_its_own_row() -> None:
    for row, words in nf.WORDS:
        for word in words:
            assert nf.of_word(word) is row
            assert nf.of_word(f"invalid_request_error.{word}") is row
    assert nf.of_word("session.created") is None


def test_a_failure_within_a_good_answer_has_the_rows_of_the_table() -> None:
    assert refused_inside(PEER, "insufficient_quota").code == nf.NO_QUOTA.code
    assert isinstance(refused_inside(PEER, "rate_limit_exceeded"), LinkBusy)
    assert isinstance(refused_inside(PEER, "server_error"), LinkBusy)
    assert refused_inside(PEER, "unheard_of").code == "speech.refused"


@given(
    st.integers(100, 599),
    st.sampled_from(["", "model_not_found", "insufficient_quota", "invalid_api_key", "x"]),
)
def test_a_server_in_memory_answers_as_one_on_a_socket(status: int, code: str) -> None:
    found = translated_refusal(Refusal(status, f'{{"code": "{code}"}}', {"Retry-After": "7"}))
    row = nf.of_status(status, code) or nf.NOT_THERE
    assert (type(found), found.code) == (row.kind, row.code)
    if isinstance(found, LinkBusy):
        assert found.retry_after_s == 7.0


@given(st.integers(0, 10**6), st.text(), st.booleans())
def test_every_http_answer_has_a_row_or_is_about_the_request(
    status: int, text: str, html: bool
) -> None:
    row = nf.of_status(status, text, html=html)
    assert row in (None, *ROWS)
    assert row is not None or 200 <= status < 300 or status < 200 or status >= 400


@pytest.mark.parametrize(
    "error", [RuntimeError("sk-x"), ValueError(), OSError(), TimeoutError(), EOFError()]
)
def test_no_exception_of_a_library_gets_out(error: Exception) -> None:
    fault = translated(error)
    assert isinstance(fault, LinkError)
    assert "sk-x" not in str(fault)


# --- when to come back -------------------------------------------------------------------

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOON.timestamp() + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7.5 ", 7.5),
        ("0", 0.0),
        (at(90), 90.0),
        (at(-90), 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-5", None),
        ("1_000", None),
        ("", None),
        (None, None),
    ],
)
def test_when_a_service_wants_to_be_asked_again(header: str | None, seconds: float | None) -> None:
    assert nf.retry_after_s(header, NOON.timestamp()) == seconds


@given(st.text())
def test_a_retry_after_of_any_text(text: str) -> None:
    assert (nf.retry_after_s(text, NOON.timestamp()) or 0.0) >= 0.0


@pytest.mark.parametrize("header", ["Retry-After: 17", "retry-after: 17"])
def test_both_say_when_to_come_back(header: str) -> None:
    for status in ("429 Too Many Requests", "503 Unavailable"):
        for error, user in both_at(answers(status, header)):
            assert isinstance(error, LinkBusy), user
            assert error.retry_after_s == 17, user
            assert ("in 17 s" in error.fix) is (user == "https")
