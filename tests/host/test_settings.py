"""Settings: defaults, the shipped file, every layer, and how mistakes are told."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from edge_agent.contract.errors import ConfigError
from edge_agent.host.settings import text as settings_text
from edge_agent.host.settings.load import Loaded, SettingsError, load, settled
from edge_agent.host.settings.root import Listen, Panel, Settings
from edge_agent.host.settings.sources import Findings, Services, all_keys, checked

SHIPPED = Path(__file__).parents[2] / "config" / "edge-agent.toml"
NOWHERE = Path("/nonexistent/edge-agent.toml")
SECRET = "sk-this-must-never-be-seen"


def read(tmp_path: Path, text: str, **environ: str) -> Loaded:
    file = tmp_path / "edge-agent.toml"
    file.write_text(text)
    return load(file, environ=environ)


def mistakes(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, **environ)
    assert SECRET not in str(caught.value)
    return [str(problem) for problem in caught.value.problems]


# --- the shipped file ------------------------------------------------------------------


def test_the_shipped_file_is_what_the_program_would_write() -> None:
    assert SHIPPED.read_text() == settings_text.default_file()


def test_the_shipped_file_holds_every_key_and_equals_the_defaults() -> None:
    tree = tomllib.loads(SHIPPED.read_text())
    assert Settings.model_validate(tree) == Settings()
    keys = {f"{section}.{key}" for section, keys in tree.items() for key in keys}
    # A secret is no key of the file, and a table of sections is shown as a comment.
    assert keys | {"realtime.api_key", "mcp.servers"} == set(all_keys())


def test_every_key_is_explained() -> None:
    texts = settings_text.documentation()
    for key in all_keys():
        section, name = key.split(".")
        assert len(texts[section].get(name, "")) > 10, key


# --- values ----------------------------------------------------------------------------


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.listen.mode = "always"
    with pytest.raises(ValidationError):
        settings.listen = Listen()


def test_settings_made_in_code_do_not_read_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LISTEN", '{"mode": "always"}')
    monkeypatch.setenv("EDGE_AGENT_LISTEN__MODE", "always")
    assert Settings().listen.mode == "wake"


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("device", "volume_percent", 101),
        ("device", "volume_percent", True),
        ("device", "volume_percent", "70"),
        ("listen", "pre_roll_ms", 599),
        ("listen", "wake_words", []),
        ("listen", "wake_words", ["okay_nabu", "okay_nabu"]),
        ("listen", "wake_words", ["computer"]),
        ("listen", "wake_cutoffs", {"okay_nabu": 1.5}),
        ("listen", "chime", 1),
        ("listen", "chime", "loud"),
        ("device", "volume_max_percent", 9),
        ("realtime", "voice", "id:"),
        ("realtime", "voice", "id:two words"),
        ("realtime", "voice", "a\nb"),
        ("realtime", "fallbacks", [{"provider": "xai", "model": "m", "voice": "id:"}]),
        ("listen", "vad_mode", 1.5),
        ("barge_in", "speech_frames", 11),
        ("realtime", "provider", "My Box"),
        ("realtime", "fallbacks", [{"provider": "", "model": "m"}]),
        ("realtime", "url", "https://example.org/"),
        ("realtime", "url", "ws://example.org/v1/realtime"),
        ("realtime", "url", "wss://name:word@example.org/"),
        ("realtime", "url", "wss://example.org:99999/"),
        ("realtime", "speed", float("nan")),
        ("realtime", "backoff_first_s", 10.1),
        ("realtime", "api_key", "two words"),
        ("realtime", "api_key_file", "key.txt"),
        ("panel", "led_pin", 17),
        ("panel", "led_pin", 28),
        ("panel", "chip", 256),
        ("panel", "rgb_pins", [1, 2]),
        ("panel", "rgb_pins", [1, 2, 2]),
        ("speech", "language", "English"),
    ],
)
def test_wrong_values_are_refused(section: str, key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({section: {key: value}})


@pytest.mark.parametrize(("old", "now"), [(True, "on_pause"), (False, "never")])
def test_a_chime_that_was_on_or_off_goes_on_as_it_was(old: bool, now: str) -> None:
    assert Settings.model_validate({"listen": {"chime": old}}).listen.chime == now


def test_an_unencrypted_address_in_the_house_can_be_allowed() -> None:
    url = "ws://192.168.1.5:8000/v1/realtime"
    settings = Settings.model_validate({"realtime": {"url": url, "allow_insecure_url": True}})
    assert settings.realtime.url == url


# --- layers ----------------------------------------------------------------------------


def test_without_any_layer_the_defaults_hold() -> None:
    loaded = load(environ={}, default_path=NOWHERE)
    assert loaded.settings == Settings()
    assert loaded.files == ()
    assert loaded.origin("realtime.url") == "default"


def test_each_layer_is_stronger_than_the_one_before(tmp_path: Path) -> None:
    drop_ins = tmp_path / "config.d"
    drop_ins.mkdir()
    (drop_ins / "20-late.toml").write_text("[device]\nvolume_percent = 20\nwarm_up_ms = 20\n")
    (drop_ins / "10-early.toml").write_text("[device]\nvolume_percent = 10\nblock_ms = 11\n")
    (drop_ins / "README").write_text("not toml")
    text = "[device]\nvolume_percent = 1\nblock_ms = 12\nwarm_up_ms = 1\ncapture_channel = 1\n"
    loaded = read(tmp_path, text, EDGE_AGENT_DEVICE__WARM_UP_MS="30")
    device = loaded.settings.device
    assert (device.capture_channel, device.block_ms) == (1, 11)
    assert (device.volume_percent, device.warm_up_ms) == (20, 30)
    assert loaded.origin("device.capture_channel") == f"{tmp_path}/edge-agent.toml line 5"
    assert loaded.origin("device.volume_percent") == f"{drop_ins}/20-late.toml line 2"
    assert loaded.origin("device.warm_up_ms") == "environment EDGE_AGENT_DEVICE__WARM_UP_MS"
    assert len(loaded.files) == 3


def test_the_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[device]\nvolume_percent = 33\n")
    loaded = load(environ={"EDGE_AGENT_CONFIG": str(file)}, default_path=NOWHERE)
    assert loaded.settings.device.volume_percent == 33


def test_the_default_file_is_used_when_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "default.toml"
    file.write_text("[device]\nvolume_percent = 34\n")
    assert load(environ={}, default_path=file).settings.device.volume_percent == 34


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DEVICE__RATE_HZ", "48000", ("device", "rate_hz", 48000)),
        ("REALTIME__SPEED", " 1.25 ", ("realtime", "speed", 1.25)),
        ("LISTEN__CHIME", "off", ("listen", "chime", "never")),
        ("LISTEN__CHIME", "True", ("listen", "chime", "on_pause")),
        ("LISTEN__CHIME", "always", ("listen", "chime", "always")),
        (
            "LISTEN__WAKE_WORDS",
            "alexa, okay_nabu",
            ("listen", "wake_words", ("alexa", "okay_nabu")),
        ),
        ("LISTEN__WAKE_WORDS", '["alexa"]', ("listen", "wake_words", ("alexa",))),
        ("LISTEN__WAKE_CUTOFFS", "alexa=0.5", ("listen", "wake_cutoffs", {"alexa": 0.5})),
        ("LISTEN__WAKE_CUTOFFS", '{"alexa": 0.5}', ("listen", "wake_cutoffs", {"alexa": 0.5})),
        ("PANEL__RGB_PINS", "5,6,13", ("panel", "rgb_pins", (5, 6, 13))),
        ("REALTIME__MODEL", "70", ("realtime", "model", "70")),
    ],
)
def test_environment_text_becomes_values(
    name: str, text: str, value: tuple[str, str, object]
) -> None:
    loaded = load(environ={f"EDGE_AGENT_{name}": text}, default_path=NOWHERE)
    section, key, wanted = value
    assert getattr(getattr(loaded.settings, section), key) == wanted


def test_a_variable_of_the_scripts_is_no_setting() -> None:
    assert load(environ={"EDGE_AGENT_VENV": "/x"}, default_path=NOWHERE).settings == Settings()


# --- the key ---------------------------------------------------------------------------


def key_of(loaded: Loaded) -> str:
    return loaded.settings.realtime.api_key.get_secret_value()


def test_the_key_comes_from_the_strongest_place(tmp_path: Path) -> None:
    (tmp_path / "openai_api_key").write_text("from-credential\n")
    key_file = tmp_path / "key"
    key_file.write_text("from-file\n")
    key_file.chmod(0o600)
    environ = {"OPENAI_API_KEY": "from-openai"}
    assert key_of(load(environ=environ, default_path=NOWHERE)) == "from-openai"
    environ["EDGE_AGENT_REALTIME__API_KEY_FILE"] = str(key_file)
    assert key_of(load(environ=environ, default_path=NOWHERE)) == "from-file"
    environ["EDGE_AGENT_REALTIME__API_KEY"] = "from-ours"
    assert key_of(load(environ=environ, default_path=NOWHERE)) == "from-ours"
    environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    loaded = load(environ=environ, default_path=NOWHERE)
    assert key_of(loaded) == "from-credential"
    assert loaded.origin("realtime.api_key") == "credential openai_api_key"
    assert "from-credential" not in repr(loaded)


def test_an_installed_speaker_reads_its_own_key_file_and_follows_it(tmp_path: Path) -> None:
    nobody = load(environ={}, default_path=tmp_path / "none" / "edge-agent.toml")
    assert nobody.settings.realtime.api_key_file == "", "not installed: nothing is followed"
    file, here = tmp_path / "openai_api_key", tmp_path / "edge-agent.toml"
    early = load(environ={}, default_path=here)
    assert key_of(early) == ""
    assert early.settings.realtime.api_key_file == str(file), "it may come later"
    file.write_text("from-its-file\n")
    file.chmod(0o600)
    loaded = load(environ={}, default_path=here)
    assert key_of(loaded) == "from-its-file"
    assert loaded.origin("realtime.api_key") == f"file {file}"
    assert not loaded.warnings
    file.chmod(0o644)
    [warning] = load(environ={}, default_path=here).warnings
    assert "can be read by others" in warning
    # What the owner has said is stronger.
    said = load(environ={"OPENAI_API_KEY": "from-openai"}, default_path=here)
    assert key_of(said) == "from-openai"
    assert said.settings.realtime.api_key_file == ""


def test_a_key_file_that_cannot_be_read_is_no_mistake_of_the_settings_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "openai_api_key"
    file.write_text("k")

    def refused(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edge_agent.host.settings.sources.read_text", refused)
    loaded = load(environ={}, default_path=tmp_path / "edge-agent.toml")
    assert key_of(loaded) == ""
    told = next(warning for warning in loaded.warnings if warning.startswith("no key"))
    assert f"{file} cannot be read: Permission denied; run: sudo chgrp edge-agent" in told


def test_an_empty_credential_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "openai_api_key").write_text("")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "EDGE_AGENT_REALTIME__API_KEY": "ours"}
    assert key_of(load(environ=environ, default_path=NOWHERE)) == "ours"
    del environ["EDGE_AGENT_REALTIME__API_KEY"]
    loaded = load(environ=environ, default_path=NOWHERE)
    assert key_of(loaded) == ""
    assert any("no key" in warning for warning in loaded.warnings)


def test_an_openai_key_is_not_shown_to_another_provider(tmp_path: Path) -> None:
    text = '[realtime]\nprovider = "local"\nurl = "ws://127.0.0.1:1/v1/realtime"\n'
    assert key_of(read(tmp_path, text, OPENAI_API_KEY="sk-x")) == ""


def test_a_readable_key_file_is_warned_about(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("k")
    key_file.chmod(0o644)
    loaded = load(
        environ={"EDGE_AGENT_REALTIME__API_KEY_FILE": str(key_file)}, default_path=NOWHERE
    )
    assert f"chmod 600 {key_file}" in " ".join(loaded.warnings)


# --- mistakes --------------------------------------------------------------------------


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        f"""
[listen]
mdoe = "wake"
mode = "wak"
voice = "cedar"
pre_roll_ms = 100
[realtim]
x = 1
[realtime]
api_key = "{SECRET}"
voice = ["{SECRET}"]
reasoning_effort = "hgih"
""",
        EDGE_AGENT_REALTIME_URL="x",
        EDGE_AGENT_PANEL__BUTTON_PIN="z",
        EDGE_AGENT_BARGE_IN__SPEECH_FRAMES="4",
    )
    file = tmp_path / "edge-agent.toml"
    for wanted in (
        f"{file} line 3: listen.mdoe: there is no such key. Did you mean listen.mode?",
        f"{file} line 4: listen.mode: must be one of wake, button, always. Did you mean wake?"
        " (it is 'wak')",
        f"{file} line 5: listen.voice: there is no such key. Did you mean realtime.voice?",
        f"{file} line 6: listen.pre_roll_ms: must be at least 600 (it is 100)",
        f"{file} line 7: [realtim]: there is no such section. Did you mean realtime?",
        "environment EDGE_AGENT_REALTIME_URL: there is no such setting."
        " Did you mean EDGE_AGENT_REALTIME__URL?",
        "environment EDGE_AGENT_PANEL__BUTTON_PIN: panel.button_pin: must be a number (it is 'z')",
        "environment EDGE_AGENT_BARGE_IN__SPEECH_FRAMES: barge_in: speech_frames must not be more"
        " than window_frames",
    ):
        assert wanted in found
    assert any(m.startswith(f"{file} line 10: realtime.api_key: the key must not") for m in found)
    assert any("realtime.voice: must be text in quotes (value not shown)" in m for m in found)
    assert len(found) == 11


OWN = """
[providers.kitchen]
url = "ws://127.0.0.1:9/v1/realtime"
auth = "none"
default_model = "pipeline-7"
[providers.cellar]
"""


def with_table(tmp_path: Path, table: str, text: str) -> str:
    path = tmp_path / "providers.toml"
    path.write_text(table)
    return text.replace("[realtime]", f'[realtime]\nproviders_file = "{path}"')


def test_a_provider_is_any_record_of_the_table(tmp_path: Path) -> None:
    text = '[realtime]\nprovider = "kitchen"\nfallbacks = [{ provider = "xai", model = "m" }]\n'
    loaded = read(tmp_path, with_table(tmp_path, OWN, text))
    assert loaded.settings.realtime.provider == "kitchen"
    assert loaded.settings.realtime.model == "pipeline-7"
    assert loaded.origin("realtime.model") == "the provider's record"
    assert not loaded.warnings  # it asks for no key
    chosen = read(tmp_path, with_table(tmp_path, OWN, text + 'model = "other"\n'))
    assert chosen.settings.realtime.model == "other"


@pytest.mark.parametrize(
    ("provider", "voice"),
    [
        ("openai", "marin"),
        ("xai", "eve"),
        ("speech-to-speech", ""),
        ("kitchen", "marin"),  # its record names none
    ],
)
def test_the_voice_is_the_providers_own(tmp_path: Path, provider: str, voice: str) -> None:
    text = f'[realtime]\nprovider = "{provider}"\nurl = "wss://nas.lan/v1/realtime"\n'
    loaded = read(tmp_path, with_table(tmp_path, OWN, text))
    assert loaded.settings.realtime.voice == voice
    is_usual = voice == "marin"
    assert (loaded.origin("realtime.voice") == "the provider's record") is not is_usual
    chosen = read(tmp_path, with_table(tmp_path, OWN, text + 'voice = "leo"\n'))
    assert chosen.settings.realtime.voice == "leo"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            'provider = "kitchn"',
            "{file} line 3: realtime.provider: there is no provider 'kitchn'."
            " Did you mean kitchen?",
        ),
        (
            'fallbacks = [{ provider = "xai", model = "m" }, { provider = "opnai", model = "m" }]',
            "{file} line 3: realtime.fallbacks[1].provider: there is no provider 'opnai'."
            " Did you mean openai?",
        ),
        (
            'provider = "cellar"',
            '{file} line 3: realtime.url: provider = "cellar" needs url',
        ),
        (
            'fallbacks = [{ provider = "azure", model = "m" }]',
            '{file} line 3: realtime.fallbacks[0].url: provider = "azure" needs url',
        ),
        ("provider = 7", "{file} line 3: realtime.provider: must be text in quotes (it is 7)"),
    ],
)
def test_a_provider_that_will_not_do_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    found = mistakes(tmp_path, with_table(tmp_path, OWN, f"[realtime]\n{text}\n"))
    assert found == [complaint.format(file=tmp_path / "edge-agent.toml")]


def test_a_provider_can_be_misspelt_in_the_environment(tmp_path: Path) -> None:
    [found] = mistakes(tmp_path, "", EDGE_AGENT_REALTIME__PROVIDER="opnai")
    assert found.startswith("environment EDGE_AGENT_REALTIME__PROVIDER: realtime.provider: ")
    assert found.endswith("Did you mean openai?")


def test_a_table_with_mistakes_is_told_with_those_of_the_settings(tmp_path: Path) -> None:
    table = '[providers.kitchen]\nulr = "ws://x/"\nsecret = "' + SECRET + '"\n'
    found = mistakes(tmp_path, with_table(tmp_path, table, "[realtime]\nspede = 1.2\n"))
    file = tmp_path / "providers.toml"
    assert len(found) == 3
    assert f"{file}: providers.kitchen.ulr: there is no such key" in found
    assert any(f.startswith(f"{file}: providers.kitchen.secret: a secret must") for f in found)
    assert any("realtime.speed" in f for f in found)
    missing = mistakes(tmp_path, '[realtime]\nproviders_file = "/nonexistent/table.toml"\n')
    assert missing[0].endswith("there is no file /nonexistent/table.toml")


def test_a_mistake_means_stop() -> None:
    assert issubclass(SettingsError, ConfigError)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[listen\n", "is not TOML: Expected ']' at the end of a table declaration (at line 1"),
        (b"[listen]\nmode = wake\n", "(at line 2, column 8)"),
        (b"\xff\xfe", "is not UTF-8 text (byte 0)"),
        (b"listen = 5\n", "listen: is a section; write [listen] and its keys below it"),
        (b"[device]\nvolume_percent = '5'\n", "must be a number, without quotes (it is '5')"),
        (b"[device]\nrate_hz = 44100.5\n", "must be a whole number (it is 44100.5)"),
        (b"[listen]\nwake_words = 'alexa'\n", 'must be a list, like ["a", "b"]'),
    ],
)
def test_a_broken_file_is_a_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load(file, environ={})
    assert str(file) in str(caught.value)
    assert reason in str(caught.value)


def test_a_mark_of_a_windows_editor_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "marked.toml"
    file.write_bytes(b"\xef\xbb\xbf[device]\r\nvolume_percent = 5\r\n")
    assert load(file, environ={}).settings.device.volume_percent == 5


def test_a_named_file_must_exist() -> None:
    calls: tuple[dict[str, Any], ...] = (
        {"path": NOWHERE, "environ": {}},
        {"environ": {"EDGE_AGENT_CONFIG": str(NOWHERE)}},
    )
    for kwargs in calls:
        with pytest.raises(SettingsError, match="there is no such file"):
            load(**kwargs)


def test_a_folder_as_file_and_a_missing_key_file_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder, not a file"):
        load(tmp_path, environ={})
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(
            environ={"EDGE_AGENT_REALTIME__API_KEY_FILE": "/nonexistent/key"}, default_path=NOWHERE
        )


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="\0"), min_size=1))
def test_a_key_of_any_form_never_reaches_an_error(text: str) -> None:
    key = f"{SECRET} {text}"
    with pytest.raises(SettingsError) as caught:
        load(environ={"EDGE_AGENT_REALTIME__API_KEY": f"{key} end"}, default_path=NOWHERE)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)
    assert caught.value.__suppress_context__


WORDS = st.text("abz09-. ", max_size=8)
VALUES = st.one_of(st.integers(), st.floats(), WORDS, st.booleans(), st.lists(WORDS, max_size=2))


@given(
    st.dictionaries(
        st.sampled_from(["listen", "device", "realtime", "nonsense", "a.b", ""]),
        st.one_of(
            VALUES,
            st.dictionaries(
                st.sampled_from([*(k.split(".")[1] for k in all_keys()), "x", ""]),
                VALUES,
                max_size=4,
            ),
        ),
        max_size=4,
    )
)
def test_any_tree_is_accepted_or_explained(tree: dict[str, object]) -> None:
    findings = Findings()
    file = InitSettingsSource(Settings, checked(tree, "file", {}, findings))
    with contextlib.suppress(SettingsError):
        assert settled((file, Services(findings)), findings).settings is not None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("daily_cap_usd = -1", "budget.daily_cap_usd: must be at least 0"),
        ("daily_cap_usd = nan", "budget.daily_cap_usd: must be a number"),
        ('daily_cap_usd = "2"', "budget.daily_cap_usd: must be a number, without quotes"),
        ("warn_percent = 0", "budget.warn_percent: must be at least 1"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text(f"[budget]\n{line}\n")
    with pytest.raises(SettingsError, match=words):
        load(file, environ={})


def test_a_number_where_a_table_belongs_is_told_by_example(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text("[listen]\nwake_cutoffs = 0\n")
    with pytest.raises(SettingsError, match=r"like \{ okay_nabu = 0\.8 \}"):
        load(file, environ={})


def test_lines_of_another_boards_chip_have_no_header_to_fit() -> None:
    assert Panel(chip=3, button_pin=133, led_pin=-1).button_pin == 133
    with pytest.raises(ValidationError, match=r"pin 133 is not on a Raspberry Pi's header"):
        Panel(button_pin=133)
