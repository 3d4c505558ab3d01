"""Settings said on the command line: the strongest layer, with origins and complaints."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.host.settings.load import Loaded, SettingsError, load

NOWHERE = Path("/nonexistent/edge-agent.toml")
SECRET = "sk-this-must-never-be-seen"


def said(*texts: str, **environ: str) -> Loaded:
    return load(default_path=NOWHERE, said=texts, environ=environ)


def test_it_is_stronger_than_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text('[realtime]\nvoice = "ash"\nmodel = "in-file"\n[listen]\nfollow_up_s = 1\n')
    loaded = load(
        file,
        said=["realtime.voice=cedar", "listen.follow_up_s=2", "listen.follow_up_s= 8 "],
        environ={"EDGE_AGENT_REALTIME__VOICE": "sage", "EDGE_AGENT_BARGE_IN__ENABLED": "no"},
    )
    settings = loaded.settings
    assert (settings.realtime.voice, settings.realtime.model) == ("cedar", "in-file")
    assert (settings.listen.follow_up_s, settings.barge_in.enabled) == (8.0, False)
    assert loaded.origin("realtime.voice") == "command line --set"
    assert loaded.origin("listen.follow_up_s") == "command line --set"
    assert loaded.origin("realtime.model") == f"{file} line 3"
    assert loaded.origin("barge_in.enabled") == "environment EDGE_AGENT_BARGE_IN__ENABLED"


def test_values_are_written_as_in_the_environment() -> None:
    settings = said(
        "listen.wake_words=alexa, hey_jarvis",
        "listen.wake_cutoffs=alexa=0.9",
        "realtime.instructions=Say a = b.",
        'mcp.servers={"clock": {"command": ["/usr/bin/clock"]}}',
    ).settings
    assert settings.listen.wake_words == ("alexa", "hey_jarvis")
    assert settings.listen.wake_cutoffs == {"alexa": 0.9}
    assert settings.realtime.instructions == "Say a = b."
    assert settings.mcp.servers["clock"].command == ("/usr/bin/clock",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("realtime.voise=x", "realtime.voise: there is no such key. Did you mean realtime.voice?"),
        ("realtme.voice=x", "realtme: there is no such section. Did you mean realtime?"),
        ("voice=x", "voice: there is no such section."),
        ("realtime.voice", "realtime.voice: has no value: write --set realtime.voice=VALUE"),
        ("barge_in.enabled=maybe", "barge_in.enabled: must be true or false (it is 'maybe')"),
        ("listen.follow_up_s=90", "listen.follow_up_s: must be at most 60.0 (it is 90.0)"),
        (f"realtime.api_key={SECRET}", "realtime.api_key: the key must not stand on a command"),
        (f"realtime.model={SECRET}" + "x" * 200, "realtime.model: "),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        said(text)
    [problem] = caught.value.problems
    assert f"{problem}".startswith(f"command line --set: {complaint}")
    assert SECRET not in str(caught.value)


def test_mistakes_of_all_layers_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        said("a.b=1", "listen.vad_mode=9", EDGE_AGENT_LISTEN__VAD_MODE="8", EDGE_AGENT_X__Y="1")
    places = [problem.where for problem in caught.value.problems]
    assert places == ["environment EDGE_AGENT_X__Y", "command line --set", "command line --set"]
