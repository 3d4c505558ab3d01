"""`realtime.ca_file`: an authority of the owner's, trusted by all who dial besides the system's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from authority import Authority
from speech_service import KEY, SOUND, SpeechService
from text_service import TextService
from webhook_service import Hook

from edge_agent.app.world import real_dialer
from edge_agent.cli.voice.speech import speech_api
from edge_agent.contract.errors import AgentError, ConfigError
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.message_store import Message
from edge_agent.host.web.http_api import tls_context
from edge_agent.host.web.text_model import text_model
from edge_agent.host.web.webhook import send
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.server import RealtimeServer, listen

MESSAGE = Message("f00d", "2026-11-20T18:00:00+01:00", "It is done", "Anna", "normal")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that the system trusts."""
    return Authority(tmp_path_factory.mktemp("theirs"), name="the system's")


def trusting(authority: Authority | None, **sections: dict[str, str]) -> Settings:
    realtime = {"ca_file": str(authority.ca_file) if authority else "", "api_key": KEY}
    return Settings.model_validate({**sections, "realtime": realtime})


async def dial(settings: Settings, server: Authority) -> None:
    served = RealtimeServer(ParrotBrain())
    async with listen(served, "127.0.0.1", 0, ssl=server.server()) as at:
        wire = await real_dialer(settings)(
            f"wss://localhost:{at.port}/v1/realtime?model=m", {"Authorization": f"Bearer {KEY}"}
        )
        await wire.close()


def test_the_daemons_dialer_trusts_both(
    ours: Authority, theirs: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs.ca_file))
    for server in (ours, theirs):
        asyncio.run(dial(trusting(ours), server))
    with pytest.raises(AgentError) as caught:
        asyncio.run(dial(trusting(None), ours))
    assert caught.value.code == "link.tls"


def test_the_https_client_trusts_both(
    ours: Authority, theirs: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs.ca_file))
    for server in (ours, theirs):
        with Hook(tls=server.server()) as hook:
            send(hook.url, "", 5, MESSAGE, ca_file=str(ours.ca_file))
            assert len(hook.taken) == 1
    with Hook(tls=ours.server()) as hook:
        with pytest.raises(AgentError) as caught:
            send(hook.url, "", 5, MESSAGE)
        assert caught.value.code == "link.tls"
        assert hook.taken == []


def test_speech_and_the_text_model_are_given_it(ours: Authority, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    with SpeechService(tls=ours.server()) as service:
        api = speech_api(trusting(ours, speech={"api_url": service.base}))
        assert api.speech("Hello.", model="gpt-4o-mini-tts", voice="marin") == SOUND
    with TextService(tls=ours.server()) as model:
        desk = {"url": model.base, "model": "gpt-5", "api_key_file": str(key)}
        settings = trusting(ours, supervisor=desk)
        assert text_model(settings).answer("Be kind.", "Why?", max_output_tokens=100)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), ("no certificate", "it holds no certificate")],
)
def test_a_file_that_will_not_do_is_a_sentence(
    tmp_path: Path, content: str | None, why: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=f"{file} cannot be used: {why}") as caught:
        tls_context(str(file))
    assert "realtime.ca_file" in str(caught.value.fix)
