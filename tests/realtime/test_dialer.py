"""The real dialer against servers that answer wrongly, over TCP and TLS (purpose).

Owner thread: the test's.  Must never reach beyond this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator

import pytest
from authority import Authority
from house_config import household_dialer
from real_sockets import (
    Handler,
    answers,
    free_port,
    hangs,
    raw_server,
    resets,
    says,
)
from websockets.asyncio.server import ServerConnection, serve

from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused, WireClosed
from edge_agent.realtime.link.liveness import ProbedWire
from edge_agent.realtime.protocol.messages import FRAME_MAX_BYTES
from edge_agent.realtime.providers import SecretHeaders

KEY = "sk-test-0123456789"
HEADERS = SecretHeaders({"Authorization": f"Bearer {KEY}"})
HTML = "<html><body>Welcome to the hotel</body></html>"


def dial_error(handler: Handler, *, open_s: float = 5.0) -> LinkError:
    async def main() -> LinkError:
        async with raw_server(handler) as port:
            dial = household_dialer(open_s=open_s)
            with pytest.raises(LinkError) as caught:
                await dial(f"ws://127.0.0.1:{port}/v1/realtime", HEADERS)
            return caught.value

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("handler", "kind", "code"),
    [
        (answers("401 Unauthorized"), LinkRefused, "link.bad_key"),
        (answers("403 Forbidden"), LinkRefused, "link.refused"),
        (answers("404 Not Found"), LinkRefused, "link.bad_url"),
        (answers("426 Upgrade Required"), LinkRefused, "link.bad_url"),
        (answers("429 Too Many Requests"), LinkBusy, "link.busy"),
        (answers("503 Unavailable", body=HTML), LinkBusy, "link.busy"),
        (answers("502 Bad Gateway"), LinkBusy, "link.busy"),
        (
            answers("429 Too Many", body='{"error":{"code":"insufficient_quota"}}'),
            LinkRefused,
            "link.no_quota",
        ),
        (answers("200 OK", "Content-Type: text/html", body=HTML), LinkLost, "link.captive_portal"),
        (answers("511 Network Authentication"), LinkLost, "link.captive_portal"),
        (
            answers("302 Found", "Location: http://login.example/"),
            LinkLost,
            "link.captive_portal",
        ),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), LinkRefused, "link.bad_url"),
        (says(b"\x00\xff" * 100 + b"\r\n\r\n"), LinkRefused, "link.bad_url"),
        (says(b""), LinkLost, "link.lost"),
        (resets, LinkLost, "link.lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_wrong_answer_has_its_code(handler: Handler, kind: type, code: str) -> None:
    error = dial_error(handler)
    assert type(error) is kind
    assert error.code == code
    assert KEY not in str(error)


def test_retry_after_is_taken_over() -> None:
    error = dial_error(answers("429 Too Many Requests", "Retry-After: 17"))
    assert isinstance(error, LinkBusy)
    assert error.retry_after_s == 17


def test_a_silent_server_times_out() -> None:
    assert dial_error(hangs, open_s=0.2).code == "link.timeout"


def test_a_redirect_is_not_followed_with_the_key() -> None:
    async def main() -> list[bytes]:
        seen: list[bytes] = []

        async def thief(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))

        async with raw_server(thief) as theirs:
            location = f"Location: ws://127.0.0.1:{theirs}/"
            async with raw_server(answers("307 Temporary Redirect", location)) as ours:
                with pytest.raises(LinkLost):
                    await household_dialer()(f"ws://127.0.0.1:{ours}/", {"api-key": KEY})
        return seen

    assert asyncio.run(main()) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ws://127.0.0.1:{port}/", "link.unreachable"),
        ("ws://no-such-host.invalid/", "link.dns"),
        ("ftp://127.0.0.1/", "link.bad_url"),
    ],
)
def test_where_nobody_answers(url: str, code: str) -> None:
    async def main() -> None:
        with pytest.raises(LinkError) as caught:
            await household_dialer()(url.format(port=free_port()), HEADERS)
        assert caught.value.code == code

    asyncio.run(main())


@pytest.mark.parametrize(
    ("proxy", "code"),
    [("http://127.0.0.1:{port}", "link.proxy"), ("gopher://127.0.0.1", "link.proxy")],
)
def test_a_bad_proxy(proxy: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with raw_server(answers("407 Proxy Authentication Required")) as port:
            monkeypatch.setenv("https_proxy", proxy.format(port=port))
            with pytest.raises(LinkError) as caught:
                await household_dialer()("wss://provider.invalid/", HEADERS)
            assert caught.value.code == code

    asyncio.run(main())


# --- TLS ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize(
    ("start", "end"),
    [("20000101000000Z", "20010101000000Z"), ("20480101000000Z", "20490101000000Z")],
    ids=["expired", "not yet valid"],
)
def test_a_wrong_clock_is_told_apart_and_tried_again(
    authority: Authority, start: str, end: str
) -> None:
    error = tls_error(authority.server(start=start, end=end), ca_file=str(authority.ca_file))
    assert type(error) is LinkLost
    assert error.code == "link.clock"
    assert "clock" in error.message


def test_an_authority_that_nobody_knows(authority: Authority) -> None:
    error = tls_error(authority.server(), ca_file="")
    assert type(error) is LinkRefused
    assert error.code == "link.tls"


def test_a_file_of_authorities_that_is_not_there(authority: Authority) -> None:
    error = tls_error(authority.server(), ca_file="no-such-file.pem")
    assert error.code == "link.tls"
    assert "no-such-file.pem" in error.message


def test_plain_http_on_the_tls_port() -> None:
    async def main() -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()

        async with raw_server(plain) as port:
            with pytest.raises(LinkRefused) as caught:
                await household_dialer()(f"wss://127.0.0.1:{port}/", HEADERS)
            assert caught.value.code == "link.tls"

    asyncio.run(main())


def tls_error(tls: ssl.SSLContext, ca_file: str) -> LinkError:
    async def main() -> LinkError:
        async with raw_server(hangs, tls) as port:
            with pytest.raises(LinkError) as caught:
                await household_dialer(ca_file=ca_file)(f"wss://localhost:{port}/", HEADERS)
            return caught.value

    return asyncio.run(main())


def test_a_talk_over_tls_with_an_authority_of_ones_own(authority: Authority) -> None:
    async def main() -> None:
        async with echo(authority.server()) as port:
            dial = household_dialer(ca_file=str(authority.ca_file))
            wire = await dial(f"wss://localhost:{port}/", HEADERS)
            await wire.send("hello")
            assert await wire.receive() == "hello"
            await wire.close()

    asyncio.run(main())


# --- an open wire ------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def echo(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Echoes; `close CODE` closes, `big BYTES` sends a frame of that size, `cut` resets."""

    async def talk(connection: ServerConnection) -> None:
        async for text in connection:
            assert isinstance(text, str)
            word, _, number = text.partition(" ")
            if word == "close":
                await connection.close(int(number), "bye")
            elif word == "cut":
                connection.transport.abort()
            elif word == "big":
                await connection.send("x" * int(number))
            else:
                await connection.send(text)

    async with serve(talk, "127.0.0.1", 0, ssl=tls, max_size=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@pytest.mark.parametrize(
    ("say", "code"),
    [
        ("close 1000", 1000),
        ("close 1001", 1001),
        ("close 4000", 4000),
        ("cut", 1006),
        (f"big {FRAME_MAX_BYTES + 1}", 1009),
    ],
)
def test_the_end_of_a_wire_is_never_silent(say: str, code: int) -> None:
    async def main() -> None:
        async with echo() as port:
            wire = await household_dialer()(f"ws://127.0.0.1:{port}/", HEADERS)
            await wire.send(say)
            with pytest.raises(WireClosed) as caught:
                await wire.receive()
            assert caught.value.close_code == code
            with pytest.raises(WireClosed):
                await wire.send("anybody?")
            await wire.close()
            await wire.close()

    asyncio.run(main())


def test_a_frame_of_two_minutes_of_sound_passes() -> None:
    async def main() -> None:
        async with echo() as port:
            wire = await household_dialer()(f"ws://127.0.0.1:{port}/", HEADERS)
            await wire.send(f"big {FRAME_MAX_BYTES}")
            assert len(await wire.receive()) == FRAME_MAX_BYTES
            await wire.close()

    asyncio.run(main())


def test_a_real_wire_can_be_probed() -> None:
    async def main() -> None:
        async with echo() as port:
            wire = await household_dialer()(f"ws://127.0.0.1:{port}/", HEADERS)
            assert isinstance(wire, ProbedWire)
            await wire.ping()
            assert wire.quiet_s() is None  # nothing waits
            await wire.close()
            with pytest.raises(WireClosed):
                await wire.ping()

    asyncio.run(main())


def test_a_full_uplink_is_told_from_an_empty_one() -> None:
    async def main() -> None:
        async def upgrades(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from websockets.server import ServerProtocol

            protocol = ServerProtocol()
            protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
            (request,) = protocol.events_received()
            protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
            writer.write(b"".join(protocol.data_to_send()))
            await asyncio.sleep(30)  # and reads no more

        async with raw_server(upgrades) as port:
            wire = await household_dialer()(f"ws://127.0.0.1:{port}/", HEADERS)

            async def flood() -> None:
                while True:
                    await wire.send("x" * 100_000)

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(flood(), 0.3)
            assert isinstance(wire, ProbedWire)
            ping = asyncio.ensure_future(wire.ping())
            await asyncio.sleep(0.05)
            assert wire.quiet_s() is not None
            ping.cancel()
            wire.abort()  # type: ignore[attr-defined]

    asyncio.run(main())


def test_who_takes_everything_and_says_nothing_is_not_slow() -> None:
    """A box on the way that swallows: its kernel takes our sound for ever."""

    async def main() -> None:
        async def swallows(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from websockets.server import ServerProtocol

            protocol = ServerProtocol()
            protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
            (request,) = protocol.events_received()
            protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
            writer.write(b"".join(protocol.data_to_send()))
            while await reader.read(65_536):
                pass

        async with raw_server(swallows) as port:
            wire = await household_dialer()(f"ws://127.0.0.1:{port}/", HEADERS)
            assert isinstance(wire, ProbedWire)
            await wire.send("x" * 1000)
            ping = asyncio.ensure_future(wire.ping())
            await asyncio.sleep(0.01)
            async with asyncio.timeout(30):
                while wire.quiet_s() is not None:  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.01)
            for _ in range(200):
                await wire.send("x" * 700)
                assert wire.quiet_s() is None  # although these bytes are still on their way
            assert not ping.done()
            ping.cancel()
            wire.abort()  # type: ignore[attr-defined]

    asyncio.run(main())


def test_the_log_of_the_library_stays_empty(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.client").setLevel(logging.DEBUG)

    async def main() -> None:
        async with echo() as port:
            wire = await household_dialer()(f"ws://127.0.0.1:{port}/", HEADERS)
            await wire.send("secret words")
            await wire.receive()
            await wire.close()

    asyncio.run(main())
    logging.getLogger("websockets.client").setLevel(logging.NOTSET)
    # The server of this test lives in the same process and may log what it likes.
    ours = [r for r in caplog.records if r.name not in ("websockets.server", "asyncio")]
    assert not ours
