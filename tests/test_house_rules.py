"""The house keeps its rules, and each rule can still see (purpose).

Owner thread: none.  Must never import the package, except in a process of its own.  `BAD` holds
for each rule a file that breaks it, so that a rule which went blind fails here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import house_rules as r
import pytest
from house_rules import House, Rule, read_house

ROOT = Path(__file__).resolve().parents[1]

# Loading any of these before the device is open costs start time that the household waits for.
NOT_AT_START = [
    *("gpiozero", "livekit", "matplotlib", "openai", "psutil"),
    *("pyaudio", "pymicro_wakeword", "systemd", "webrtcvad"),
]


@pytest.fixture(scope="module")
def house() -> House:
    return read_house(ROOT)


def test_the_house_is_seen(house: House) -> None:
    assert {"contract", "dialogue", "realtime", "audio"} <= {m.room for m in house.modules}
    assert "pyproject.toml" in house.texts
    assert "tests/test_house_rules.py" in house.texts


@pytest.mark.parametrize("rule", r.RULES, ids=lambda rule: rule.__name__)
def test_house_keeps(rule: Rule, house: House) -> None:
    offences = list(rule(house))
    assert not offences, "\n" + "\n".join(offences)


GOOD = '"""A file (purpose).\n\nOwner thread: none.  Must never do harm.\n"""\n'

# rule, file, what is in it, words that the offence must contain
BAD: list[tuple[Rule, str, str, str]] = [
    (
        r.rooms_do_not_import_one_another,
        "edge_agent/audio/a.py",
        "import edge_agent.realtime.b",
        "realtime",
    ),
    (
        r.rooms_do_not_import_one_another,
        "edge_agent/audio/a.py",
        "from ..panel import gpio",
        "edge_agent.panel.gpio",
    ),
    (
        r.rooms_do_not_import_one_another,
        "edge_agent/audio/a.py",
        "from edge_agent import dialogue",
        "dialogue",
    ),
    (
        r.rooms_do_not_import_one_another,
        "edge_agent/contract/a.py",
        "from edge_agent.audio import b",
        "audio",
    ),
    (
        r.rooms_do_not_import_one_another,
        "edge_agent/agent.py",
        "from .realtime import b",
        "realtime",
    ),
    (
        r.rooms_do_not_import_one_another,
        "edge_agent/host/a.py",
        "from edge_agent import app",
        "app",
    ),
    (
        r.files_do_not_import_in_circles,
        "edge_agent/realtime/protocol/tracking.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .session import S",
        "a circle",
    ),
    (
        r.files_do_not_import_in_circles,
        "edge_agent/realtime/protocol/tracking.py",
        "def f():\n    from edge_agent.realtime.protocol import session",
        "session.py",
    ),
    (
        r.nobody_reads_anothers_underscore,
        "edge_agent/realtime/a.py",
        "def f(turn):\n    return turn._pcm",
        "turn._pcm",
    ),
    (
        r.nobody_reads_anothers_underscore,
        "edge_agent/realtime/a.py",
        "from edge_agent.realtime.protocol.session import _made",
        "_made",
    ),
    (
        r.dialogue_parts_do_not_inherit_from_one_another,
        "edge_agent/dialogue/a.py",
        "class A: ...\nclass B(A): ...",
        "inherits from A",
    ),
    (
        r.dialogue_parts_do_not_inherit_from_one_another,
        "edge_agent/dialogue/a.py",
        "from edge_agent.dialogue.b import Core as Base\nclass B(Base): ...",
        "inherits from Base",
    ),
    (
        r.dialogue_parts_do_not_inherit_from_one_another,
        "edge_agent/dialogue/a.py",
        "from edge_agent.dialogue import b\nclass B(b.Core): ...",
        "inherits from b.Core",
    ),
    (
        r.one_place_cuts_our_voice,
        "edge_agent/dialogue/a.py",
        "from edge_agent.contract import commands as c\nx = [c.CutPlayback()]",
        "fall_silent",
    ),
    (
        r.one_place_cuts_our_voice,
        "edge_agent/dialogue/moves.py",
        "from edge_agent.contract import commands as c\nx = c.CutPlayback()\ny = c.CutPlayback()",
        "fall_silent",
    ),
    *(
        (r.one_place_knows_keys_and_this_machine, "edge_agent/host/a.py", text, words)
        for text, words in (
            (r'x = r"\b(?:sk|ek|xai)[-_][\w-]{6,}"', "a key"),
            (r'x = r"\b(sk-|ek_|xai-)"', "a key"),
            (r'x = r"(?i:\bbearer\s+\S+)"', "a key"),
            ("def f(address):\n    return address.is_loopback", "the loopback"),
        )
    ),
    *(
        (r.one_table_of_network_faults, "edge_agent/host/a.py", text, words)
        for text, words in (
            ("def f(error):\n    return error.verify_code == 10", "verify_code"),
            ("from socket import gaierror", "gaierror"),
            ("import email.utils\nx = email.utils.parsedate_to_datetime('')", "parsedate"),
            ("QUOTA = ('insufficient_quota',)", "insufficient_quota"),
        )
    ),
    *(
        (r.one_table_of_providers, "edge_agent/realtime/a.py", text, words)
        for text, words in (
            ("URL = 'wss://api.openai.com/v1/realtime'", "knows a provider"),
            ("X = {'azure': 'wss://{resource}.openai.azure.com/'}", "knows a provider"),
            ("from edge_agent.realtime import providers\nX = providers.Provider('x')", "Provider"),
        )
    ),
    *(
        (r.one_reader_of_secret_files, "edge_agent/app/a.py", text, words)
        for text, words in (
            ("import stat\ndef f(mode):\n    return mode & stat.S_IRGRP", "who may read"),
            ("def f(settings):\n    return open(settings.api_key_file).read()", "reads a secret"),
            ("def f(token_path):\n    return token_path.read_text().strip()", "reads a secret"),
        )
    ),
    (r.pure_files_do_no_io, "edge_agent/dialogue/a.py", "import asyncio", "asyncio"),
    (
        r.pure_files_do_no_io,
        "edge_agent/panel/patterns.py",
        "from time import monotonic",
        "time",
    ),
    (
        r.pure_files_do_no_io,
        "edge_agent/realtime/protocol/session.py",
        "def f():\n    import logging",
        "logging",
    ),
    (r.pure_files_do_no_io, "edge_agent/contract/a.py", "x = open('f')", "open()"),
    (r.pure_files_do_no_io, "edge_agent/realtime/protocol/tracking.py", "import socket", "socket"),
    (r.heavy_libraries_have_one_owner, "edge_agent/host/a.py", "import numpy as np", "numpy"),
    (
        r.heavy_libraries_have_one_owner,
        "edge_agent/audio/device/portaudio_library.py",
        "import pyaudio",
        "for everybody",
    ),
    (
        r.heavy_libraries_have_one_owner,
        "edge_agent/app/daemon.py",
        "def f():\n    import openai",
        "openai",
    ),
    (
        r.heavy_libraries_have_one_owner,
        "edge_agent/realtime/a.py",
        "import websockets.asyncio",
        "websockets",
    ),
    (r.modules_say_what_they_are, "edge_agent/host/b.py", '"""Only a line."""', "owner thread"),
    (
        r.contract_is_documented,
        "edge_agent/contract/a.py",
        "class A:\n    '''A.'''\n    def f(self): ...",
        "f has no",
    ),
    (
        r.docstrings_name_what_there_is,
        "edge_agent/host/a.py",
        '"""See `pcm` and `old_pcm.play`."""',
        "`old_pcm.play`",
    ),
    (r.files_have_one_purpose, "edge_agent/host/a.py", "x = 1\n" * 460, "lines"),
    (r.files_have_one_purpose, min(r.TABLES), "def f() -> None: ...\n", "table"),
    (r.only_the_command_line_prints, "edge_agent/host/a.py", "print('hello')", "print"),
    (
        r.nothing_sleeps_or_reads_the_clock_in_async,
        "edge_agent/host/a.py",
        "import time\ntime.sleep(1)",
        "time.sleep",
    ),
    (
        r.nothing_sleeps_or_reads_the_clock_in_async,
        "edge_agent/host/a.py",
        "from time import sleep",
        "imports sleep",
    ),
    (
        r.nothing_sleeps_or_reads_the_clock_in_async,
        "edge_agent/host/a.py",
        "async def f():\n    return time.monotonic()",
        "ask the loop",
    ),
    (
        r.no_exception_is_swallowed,
        "edge_agent/host/a.py",
        "try: f()\nexcept Exception: pass",
        "swallows",
    ),
    (r.no_exception_is_swallowed, "edge_agent/host/a.py", "try: f()\nexcept: ...", "swallows"),
    (
        r.no_exception_is_swallowed,
        "edge_agent/host/a.py",
        "with suppress(Exception): f()",
        "suppresses",
    ),
    (r.nothing_of_one_machine, "scripts/a.sh", "cd /wo" + "rk/main", "one machine"),
    (
        r.nothing_of_one_machine,
        "requirements/a.txt",
        "--index-url https://py" + "pi.org/simple",
        "registry",
    ),
    (r.nothing_is_left_for_later, "config/a.toml", "# TO" + "DO: the rest", ":5"),
    (
        r.no_test_is_skipped,
        "tests/test_a.py",
        "import pytest\n@pytest.mark.skip\ndef test_a(): ...",
        "skip",
    ),
    (
        r.no_test_is_skipped,
        "tests/test_a.py",
        "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a(): ...",
        "xfail",
    ),
    (
        r.no_test_is_skipped,
        r.KNOWN_BREAKS,
        "import pytest\nMARK = pytest.mark.xfail(strict=True)\nLOOSE = pytest.mark.xfail()",
        ":7",
    ),
    (
        r.no_test_is_skipped,
        r.KNOWN_BREAKS,
        "import pytest\n@pytest.mark.skip\ndef test_a(): ...",
        "skip",
    ),
    (r.tests_can_fail, "tests/test_a.py", "def test_a():\n    int('1')", "test_a asserts nothing"),
    (
        r.tests_can_fail,
        "tests/test_a.py",
        "import asserting\ndef look(): ...\ndef test_a():\n    look()",
        "test_a asserts nothing",
    ),
    (
        r.everything_is_used,
        "edge_agent/audio/a.py",
        "class A:\n    def g(self): self.g()\nA()",
        "g is used by nobody",
    ),
]


@pytest.mark.parametrize(("rule", "path", "text", "words"), BAD)
def test_a_bad_house_is_told(rule: Rule, path: str, text: str, words: str, tmp_path: Path) -> None:
    good_house = {
        "edge_agent/contract/pcm.py": GOOD,
        "edge_agent/realtime/protocol/session.py": GOOD + "from .tracking import Track\n",
        "edge_agent/realtime/protocol/tracking.py": GOOD + "import msgspec\n",
        "tests/asserting.py": GOOD + "def check(x):\n    assert x\n",
        "tests/test_ok.py": GOOD + "from asserting import check\ndef test_a():\n    check(1)\n",
    }
    for name, source in good_house.items():
        good = tmp_path / name
        good.parent.mkdir(parents=True, exist_ok=True)
        good.write_text(source)
    assert [o for rule_ in r.RULES for o in rule_(read_house(tmp_path))] == [], (
        "the good house must be good"
    )
    bad = tmp_path / path
    bad.parent.mkdir(parents=True, exist_ok=True)
    bad.write_text(text if rule is r.modules_say_what_they_are else GOOD + text + "\n")
    offences = list(rule(read_house(tmp_path)))
    assert len(offences) == 1
    assert path in offences[0]
    assert words in offences[0]


def test_what_a_rule_excuses_is_there(house: House) -> None:
    defined = {
        node.name
        for module in house.modules
        for node in ast.walk(module.tree)
        if isinstance(node, r.DEFINITION)
    }
    assert r.ALIVE.keys() <= defined
    assert house.texts.keys() >= r.TABLES


def test_every_rule_has_a_bad_house() -> None:
    assert {rule for rule, *_ in BAD} == set(r.RULES)


def test_start_loads_nothing_heavy() -> None:
    """A library that is loaded lazily stays out of `sys.modules` until its feature is used."""
    package = ROOT / "edge_agent"
    entries = ["agent", "app/daemon", "cli/main"]
    entries += [
        f.relative_to(package).with_suffix("").as_posix()
        for f in (package / "dialogue").rglob("*.py")
    ]
    assert all((package / f"{entry}.py").exists() for entry in entries)
    names = ["edge_agent." + entry.replace("/", ".").removesuffix(".__init__") for entry in entries]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(*sorted(set({NOT_AT_START!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], f"importing {', '.join(names)} loads these"
