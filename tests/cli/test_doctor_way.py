"""The doctor on the way to a service: each thing that can stand in it, and whom it contacts."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from authority import LONG_AGO, Authority
from typer.testing import CliRunner

from edge_agent.cli import main as cli
from edge_agent.cli.doctor import before
from edge_agent.cli.doctor.findings import Finding, State, warn
from edge_agent.cli.doctor.network import goal_for, services
from edge_agent.cli.doctor.way import Goal, way

ENDED, NOT_BEGUN, FAR = "20210101000000Z", "20900101000000Z", "20990101000000Z"
Serve = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def server(serve: Serve) -> Iterator[int]:
    """A port at which callers are served, one after another."""

    def answer() -> None:
        with suppress(OSError):
            while True:
                client, _address = listening.accept()
                with client:
                    serve(client)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def secure(context: ssl.SSLContext) -> Serve:
    def serve(client: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(client, server_side=True) as wrapped:
            wrapped.recv(1)

    return serve


def plain(client: socket.socket) -> None:
    with suppress(OSError):
        client.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n")
        client.recv(4096)


def gone(port: int, ca_file: object = "", *, clock_is_wrong: bool = False) -> list[Finding]:
    goal = Goal("localhost", port, ca_file=str(ca_file))
    return list(way(goal, clock_is_wrong=clock_is_wrong))


def test_a_way_that_is_free_has_its_times_and_the_end_of_the_certificate(
    authority: Authority,
) -> None:
    with server(secure(authority.server())) as port:
        found = gone(port, authority.ca_file)
    assert [one.about for one in found] == ["Name", "Route", "TLS"]
    assert {one.state for one in found} == {State.OK}
    assert all(one.said.endswith(" ms)") for one in found)
    assert "until 2" in found[-1].said


@pytest.mark.parametrize(
    ("names", "dates", "trusted", "said", "fix"),
    [
        ("DNS:localhost", (LONG_AGO, ENDED), True, "expired", "timedatectl"),
        ("DNS:localhost", (NOT_BEGUN, FAR), True, "not valid yet", "timedatectl"),
        ("DNS:else.example", (LONG_AGO, FAR), True, "Hostname mismatch", "Another device"),
        ("DNS:localhost", (LONG_AGO, FAR), False, "self-signed", "ca-certificates"),
    ],
)
def test_a_certificate_that_does_not_hold(
    authority: Authority, names: str, dates: tuple[str, str], trusted: bool, said: str, fix: str
) -> None:
    context = authority.server(names, *dates)
    with server(secure(context)) as port:
        found = gone(port, authority.ca_file if trusted else "")
    assert found[-1].about == "TLS"
    assert found[-1].state is State.FAIL
    assert said in found[-1].said
    assert fix in found[-1].fix


def test_where_the_clock_is_wrong_it_is_the_clock_that_is_named(authority: Authority) -> None:
    with server(secure(authority.server(start=NOT_BEGUN, end=FAR))) as port:
        tls = gone(port, authority.ca_file, clock_is_wrong=True)[-1]
    assert tls.state is State.FAIL
    assert "this machine's time" in tls.said
    assert tls.fix.startswith("Set the clock first: sudo timedatectl")


def test_a_page_in_place_of_encryption_is_a_network_that_wants_a_sign_in() -> None:
    with server(plain) as port:
        tls = gone(port)[-1]
    assert "a plain answer came in place of encryption" in tls.said
    assert "captive portal" in tls.fix


def test_a_port_at_which_nobody_listens_and_a_name_that_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    route = gone(port)[-1]
    assert (route.about, route.state) == ("Route", State.FAIL)
    assert "Connection refused" in route.said
    assert "ip route" in route.fix

    def no_name(*_address: object, **_more: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", no_name)
    (name,) = gone(port)
    assert (name.about, name.state) == ("Name", State.FAIL)
    assert "resolvectl query localhost" in name.fix


def test_a_slow_step_is_a_flaw(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 100, 2))
    monkeypatch.setattr("edge_agent.cli.doctor.way.time.monotonic", lambda: float(next(times)))
    with server(plain) as port:
        name, route, _tls = gone(port)
    assert (name.state, route.state) == (State.WARN, State.WARN)
    assert "slow" in name.said


def test_a_proxy_is_called_in_place_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    url = "wss://api.openai.com/v1/realtime?model=x"
    assert goal_for(url, "") == ("", Goal("api.openai.com", 443))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.lan:3128")
    service, goal = goal_for(url, "")
    assert service == "api.openai.com"
    assert goal == Goal("proxy.lan", 3128, is_tls=False, via="the proxy")
    assert goal_for("ws://127.0.0.1:8080/", "") == ("", Goal("127.0.0.1", 8080, is_tls=False))


def test_a_fallback_out_of_reach_is_a_flaw_and_a_session_that_is_there_is_not_doubled() -> None:
    from edge_agent.app.endpoints import endpoints
    from edge_agent.host.price_list import load_providers
    from edge_agent.host.settings.root import Fallback, Realtime, Settings

    other = Fallback(provider="xai", model="grok-voice-latest")
    settings = Settings(realtime=Realtime(fallbacks=(other,)))

    async def dial(_url: str, _headers: object) -> object:
        raise AssertionError("nobody is dialled")

    def go(goal: Goal, *, clock_is_wrong: bool) -> list[Finding]:
        assert not clock_is_wrong
        is_first = goal.host == "api.openai.com"
        return [warn("Name", "slow", "")] if is_first else [Finding("Name", State.FAIL, "no", "x")]

    table = load_providers(Path("/nowhere"))
    found = list(services(endpoints(settings, table), dial, connected="a session", go=go))  # type: ignore[arg-type]
    assert [(one.about, one.state) for one in found] == [
        ("Name", State.WARN),
        ("Service", State.OK),
        ("Name", State.WARN),
    ]
    hidden = list(services(endpoints(settings, table), dial, key_is_hidden=True, go=go))  # type: ignore[arg-type]
    assert [one.state for one in hidden] == [State.WARN, State.NOT_SEEN, State.WARN]


def test_nobody_but_the_configured_host_is_contacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def named(host: Any, *more: Any, **others: Any) -> object:
        called.append(host)
        return look_up(host, *more, **others)

    def connected(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            called.append(address)
        connect(self, address)

    monkeypatch.setattr("socket.getaddrinfo", named)
    monkeypatch.setattr("socket.socket.connect", connected)
    monkeypatch.setattr("edge_agent.cli.doctor.verb.ROOT", tmp_path)
    monkeypatch.setattr("edge_agent.audio.device.portaudio_library.list_devices", list)
    with server(plain) as port:
        file = tmp_path / "edge-agent.toml"
        file.write_text(
            f'[realtime]\nprovider = "local"\nurl = "ws://127.0.0.1:{port}/v1/realtime"\n'
            f'[control]\npath = "{tmp_path}/c.sock"\n[state]\npath = "{tmp_path}/state.json"\n'
            '[mcp.servers.home]\nurl = "https://elsewhere.example/mcp"\n'
        )
        result = CliRunner().invoke(cli.app, ["doctor", "--json", "-c", str(file)])
    rows = {row["about"]: row for row in json.loads(result.output)}
    assert rows["Route"]["state"] == "ok"
    assert "HTTP 302" in rows["Service"]["said"]
    assert "sign in to this network" in rows["Service"]["fix"]
    hosts = {one[0] if isinstance(one, tuple) else one for one in called}
    assert hosts <= {"127.0.0.1", b"127.0.0.1"}
    assert hosts


def test_before_the_installation_the_host_is_that_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    assert before.host_of(file) == ("api.openai.com", 443, True)
    for text, host in (
        ('[realtime]\nurl = "ws://10.0.0.7:9000/x"\n', ("10.0.0.7", 9000, False)),
        ('[realtime]\nurl = "wss://box.lan/x"\n', ("box.lan", 443, True)),
        ('[realtime]\nurl = "wss://box.lan:no/x"\n', ("box.lan", 443, True)),
        ("not toml", ("api.openai.com", 443, True)),
    ):
        file.write_text(text)
        assert before.host_of(file) == host


def test_before_the_installation_missing_packages_are_named(tmp_path: Path) -> None:
    assert next(before.packages(tmp_path)).state is State.FAIL
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/apt-get").touch()
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: gcc\nStatus: install ok installed\n\n"
        "Package: espeak-ng\nStatus: deinstall ok config-files\n"
    )
    packages, systemd = before.packages(tmp_path)
    assert " gcc" not in packages.said
    assert "espeak-ng" in packages.said
    assert systemd.state is State.WARN
