"""Personas: read from TOML files, checked, and every mistake told with file and key.

Thread: main, at start and in the command line.  It must never guess: an unknown section or key is a
slip of the owner's, and silence about it would be a manner that never comes.

The program's own stand beside this file in `persona_pack` (the same as `config/personas`).  An
owner's file in /etc/edge-agent/personas wins over one of the same name.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_agent.contract.errors import ConfigError
from edge_agent.contract.persona import (
    SECTIONS,
    VOLUME_LIMIT_MIN_PERCENT,
    Entry,
    FlowPlan,
    FlowState,
    Persona,
)
from edge_agent.contract.voices import SPEED_MAX, SPEED_MIN, voice_problem
from edge_agent.host.settings.files import UnreadableFile, read_bytes

BUILT_IN = Path(__file__).with_name("persona_pack")
OWNERS = Path("/etc/edge-agent/personas")
FILE_MAX_BYTES = 200_000
"""Ten times what any model takes as instructions: more is another file."""
STATES_MAX = 100
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?|free|")

TONE = ("personality", "tone", "length", "pacing", "language", "variety")
KEYS: Mapping[str, tuple[str, ...]] = {
    "role": ("role", "objective"),
    "tone": TONE,
    "rules": ("general", "alphanumerics", "unclear_audio"),
    "tools": ("general", "use"),
}
"""The keys of sections that have fixed ones; the others take any key of the owner's."""
SCALARS = ("language", "voice", "speed", "volume_max_percent")
"""The keys that stand above all sections."""
TOP = (*SCALARS, *SECTIONS)
HEADINGS = {**{key: key for key in TOP}, **{name.lower(): key for key, name in SECTIONS.items()}}
"""Names under which a section of ours may be looked for."""
OWN_NAME = re.compile(r"[^\W\d_][\w &'-]{0,39}")
OWN_LIKE_OURS = 0.75
"""So much alike (`difflib`) a name is a slip for one of ours: "sampels" is, "contact" is not."""
OWN_SECTIONS_MAX = 12
OWN_TEXTS_MAX = 40
OWN_TEXT_MAX_CHARS = 600
"""Together far more than a talk can bear, and little enough to find what is too much."""
STATE_KEYS = ("goal", "respond", "samples", "exit", "next", "tools", "final")


class PersonaError(ConfigError):
    """A persona's file is missing or wrong; all its mistakes at once, in `problems`."""

    code = "config.persona"

    def __init__(self, source: str, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n  ".join([f"The persona {source} cannot be used:", *self.problems]),
            fix="One to begin with: edge-agent prompt template",
        )


def built_in_names() -> tuple[str, ...]:
    """The personas that come with the program."""
    return tuple(sorted(path.stem for path in BUILT_IN.glob("*.toml")))


def persona_path(name: str, *, owners: Path = OWNERS) -> Path:
    """The file of a persona: a path is taken as it is, a name is looked for.

    Raises `PersonaError` when there is no such persona.
    """
    if "/" in name or name.endswith(".toml"):
        return Path(name)
    if not NAME.fullmatch(name):
        raise PersonaError(repr(name[:60]), ["that is neither a name nor the path of a file."])
    for folder in (owners, BUILT_IN):
        path = folder / f"{name}.toml"
        if path.is_file():
            return path
    known = sorted({*built_in_names(), *(path.stem for path in owners.glob("*.toml"))})
    raise PersonaError(name, [f"there is no such persona; there are: {', '.join(known)}."])


def load_persona(name: str, *, owners: Path = OWNERS) -> Persona:
    """The persona of that name or path.  Raises `PersonaError` with every mistake found."""
    path = persona_path(name, owners=owners)
    return parse_persona(_read(path), name=path.stem, source=str(path))


def parse_persona(text: str, *, name: str, source: str) -> Persona:
    """A persona from TOML text.  Raises `PersonaError` with every mistake found."""
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        reason = str(problem) if isinstance(problem, tomllib.TOMLDecodeError) else "nested too deep"
        raise PersonaError(source, [f"{source}: is not TOML: {reason}."]) from problem
    reader = _Reader(source)
    persona = reader.persona(name, tree)
    if reader.problems:
        raise PersonaError(source, reader.problems)
    return persona


def _read(path: Path) -> str:
    source = str(path)
    try:
        return read_bytes(path, FILE_MAX_BYTES).decode("utf-8-sig")
    except UnreadableFile as problem:
        raise PersonaError(source, [f"{source}: {problem}."]) from None
    except OSError as problem:
        why = problem.strerror or type(problem).__name__
        raise PersonaError(source, [f"{source}: cannot be read: {why}."]) from problem
    except UnicodeDecodeError as problem:
        raise PersonaError(source, [f"{source}: is not UTF-8 text."]) from problem


class _Reader:
    """Walks one file's tree and collects its mistakes."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[str] = []

    def complain(self, key: str, reason: str) -> None:
        self.problems.append(f"{self.source}: {key}: {reason}")

    def persona(self, name: str, tree: Mapping[str, Any]) -> Persona:
        own = {key: value for key, value in tree.items() if key not in TOP}
        language = tree.get("language", "")
        if not isinstance(language, str) or not LANGUAGE.fullmatch(language):
            self.complain("language", 'must be a code like en or pt-BR, "free", or empty.')
            language = ""
        sections = {
            key: self.section(key, tree[key]) for key in SECTIONS if key in tree and key != "flow"
        }
        sections |= self.own_sections(own)
        if "role" not in tree:
            self.complain("role", "is missing: say who the speaker is and what it is for.")
        return Persona(
            name,
            self.source,
            language,
            sections,
            self.plan(tree["flow"]) if "flow" in tree else None,
            voice=self.voice(tree),
            speed=self.number(tree, "speed", SPEED_MIN, SPEED_MAX, "1 is the voice's own speed"),
            volume_max_percent=self.loudest(tree),
        )

    def voice(self, tree: Mapping[str, Any]) -> str:
        value = tree.get("voice")
        if value is None:
            return ""
        if not isinstance(value, str):
            self.complain(
                "voice",
                'must be a text: the name of a voice, e.g. "sage", or "id:" and the id of one that '
                "was made for you.",
            )
            return ""
        if not value.strip():
            self.complain("voice", "must not be empty; leave it out to speak as realtime.voice.")
        elif problem := voice_problem(value):
            self.complain("voice", f"{problem}.")
        return value

    def number(
        self, tree: Mapping[str, Any], key: str, least: float, most: float, hint: str
    ) -> float | None:
        value = tree.get(key)
        if value is None:
            return None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            self.complain(key, f"must be a number from {least:g} to {most:g}, no text; {hint}.")
            return None
        return float(value)

    def loudest(self, tree: Mapping[str, Any]) -> int | None:
        key, least = "volume_max_percent", VOLUME_LIMIT_MIN_PERCENT
        found = self.number(tree, key, least, 100, "the loudest that it may get")
        if found is not None and not found.is_integer():
            self.complain(key, "must be a whole number.")
        return None if found is None else int(found)

    # --- sections ----------------------------------------------------------------------

    def own_sections(self, tree: Mapping[str, object]) -> dict[str, tuple[Entry, ...]]:
        """Sections of the owner's own, under their titles."""
        found: dict[str, tuple[Entry, ...]] = {}
        for key, value in tree.items():
            if self.is_own(key, value, found):
                found[key] = self.section(key, value)
                self.check_size(key, found[key])
        if len(found) > OWN_SECTIONS_MAX:
            self.complain(
                list(found)[OWN_SECTIONS_MAX],
                f"is one section of your own too many; {OWN_SECTIONS_MAX} at most.",
            )
        return found

    def is_own(self, key: str, value: object, others: Iterable[str]) -> bool:
        near = difflib.get_close_matches(key.lower(), HEADINGS, 1, OWN_LIKE_OURS)
        meant = HEADINGS[near[0]] if near else ""
        if not isinstance(value, dict):
            self.complain(
                key,
                f"there is no such key. Did you mean {meant}?"
                if meant
                else f"there is no such key. There are: {', '.join(SCALARS)}. A section of your "
                f"own is a table: write [{key}] and its texts below it.",
            )
        elif meant:
            self.complain(
                key,
                f"there is no such section. Did you mean {meant}? One of your own needs a name "
                "that is less like it.",
            )
        elif not OWN_NAME.fullmatch(key):
            self.complain(
                key[:60],
                "a section's name begins with a letter and has 40 letters, digits, spaces, _ and - "
                "at most.",
            )
        elif key.replace("_", " ").lower() in {x.replace("_", " ").lower() for x in others}:
            self.complain(key, "there is a section of that title already; put them together.")
        elif not value:
            self.complain(key, "holds nothing; write its texts below it, or leave it out.")
        else:
            return True
        return False

    def check_size(self, key: str, entries: tuple[Entry, ...]) -> None:
        texts = [text for entry in entries for text in entry.lines]
        if len(texts) > OWN_TEXTS_MAX:
            self.complain(key, f"holds {len(texts)} texts; {OWN_TEXTS_MAX} at most.")
        for entry in entries:
            if any(len(text) > OWN_TEXT_MAX_CHARS for text in entry.lines):
                label = f"{key}.{entry.label}" if entry.label else f"{key}.general"
                self.complain(
                    label, f"is longer than {OWN_TEXT_MAX_CHARS} characters; make it several texts."
                )

    def section(self, key: str, tree: object) -> tuple[Entry, ...]:
        if not isinstance(tree, dict):
            self.complain(key, f"is a section; write [{key}] and its keys below it.")
            return ()
        known = KEYS.get(key)
        entries = []
        for label, value in tree.items():
            dotted = f"{key}.{label}"
            if known is not None and label not in known:
                self.complain(dotted, _unknown(label, known, "key") + _place(label))
            elif dotted == "tools.use":
                entries += self.uses(value)
            elif key == "samples" and isinstance(value, dict):
                entries += self.samples_in(label, value)
            else:
                shown = "" if label == "general" else f'Say "{label}" as'
                plain = key != "pronunciations"
                lines = self.lines(dotted, value)
                entries.append(Entry(label if plain and shown else shown, lines))
        return tuple(entries)

    def samples_in(self, language: str, tree: Mapping[str, Any]) -> list[Entry]:
        """[samples.de]: what is told in place of the others where German is spoken."""
        key = f"samples.{language}"
        if language in ("", "free") or not LANGUAGE.fullmatch(language):
            self.complain(
                key, "is no language; write phrases, or [samples.CODE] like [samples.de]."
            )
        return [
            Entry(label, self.lines(f"{key}.{label}", value), language)
            for label, value in tree.items()
        ]

    def uses(self, tree: object) -> list[Entry]:
        if not isinstance(tree, dict):
            self.complain("tools.use", 'is a table; write [tools.use] and name = "when" below.')
            return []
        return [
            Entry(f"`{name}`", self.lines(f"tools.use.{name}", value))
            for name, value in tree.items()
        ]

    def lines(self, key: str, value: object) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        texts = [" ".join(item.split()) for item in values if isinstance(item, str)]
        if not values or len(texts) != len(values):
            label = key.rpartition(".")[2]
            self.complain(key, f"must be a text or a list of texts.{_place(label)}")
        elif not all(texts):
            self.complain(key, "must not be empty; leave it out instead.")
        return tuple(texts)

    # --- the flow ----------------------------------------------------------------------

    def plan(self, tree: object) -> FlowPlan | None:
        if not isinstance(tree, dict):
            self.complain("flow", "is a section; write [flow] and its keys below it.")
            return None
        for key in tree:
            if key not in ("start", "guided", "states"):
                self.complain(f"flow.{key}", _unknown(key, ("start", "guided", "states"), "key"))
        guided = tree.get("guided", False)
        if not isinstance(guided, bool):
            self.complain("flow.guided", "must be true or false.")
        given = tree.get("states")
        if not isinstance(given, dict) or not given or len(given) > STATES_MAX:
            self.complain("flow.states", f"needs one to {STATES_MAX} tables [flow.states.NAME].")
            return None
        states = {name: self.state(name, state) for name, state in given.items()}
        start = tree.get("start", next(iter(states)))
        if not isinstance(start, str):
            self.complain("flow.start", "must be the name of a state.")
            return None
        return FlowPlan(start, states, guided is True)

    def state(self, name: str, tree: object) -> FlowState:
        key = f"flow.states.{name}"
        if not NAME.fullmatch(name):
            self.complain(key, "a state's name is small letters, digits, _ and -.")
        if not isinstance(tree, dict):
            self.complain(key, f"is a table; write [{key}] and its keys below it.")
            return FlowState(name, "")
        for found in tree:
            if found not in STATE_KEYS:
                self.complain(f"{key}.{found}", _unknown(found, STATE_KEYS, "key"))
        if "goal" not in tree:
            self.complain(f"{key}.goal", "is missing: say what this state is for.")
        final = tree.get("final", False)
        if not isinstance(final, bool):
            self.complain(f"{key}.final", "must be true or false.")
        ways, when = self.ways(key, tree)
        return FlowState(
            name,
            goal=self.text(key, tree, "goal"),
            respond=self.text(key, tree, "respond"),
            samples=self.many(key, tree, "samples"),
            exit=self.text(key, tree, "exit"),
            next=ways,
            when=when,
            tools=self.many(key, tree, "tools") if "tools" in tree else None,
            final=final is True,
        )

    def ways(self, key: str, tree: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, str]]:
        """The steps that may follow: `next = { NAME = "when" }`, or names under one `exit`."""
        value = tree.get("next", [])
        if isinstance(value, dict):
            when = {name: self.text(f"{key}.next", value, name) for name in value}
            return tuple(when), when
        if not isinstance(value, list):
            wanted = 'must be a table of NAME = "when", or a list of names.'
            self.complain(f"{key}.next", wanted)
            return (), {}
        return self.many(key, tree, "next"), {}

    def text(self, key: str, tree: Mapping[str, Any], name: str) -> str:
        if name not in tree:
            return ""
        if not isinstance(tree[name], str):
            self.complain(f"{key}.{name}", "must be a text.")
            return ""
        return " ".join(self.lines(f"{key}.{name}", tree[name]))

    def many(self, key: str, tree: Mapping[str, Any], name: str) -> tuple[str, ...]:
        value = tree.get(name, [])
        if not isinstance(value, list):
            self.complain(f"{key}.{name}", "must be a list of texts.")
            return ()
        return self.lines(f"{key}.{name}", value) if value else ()


def _place(key: str) -> str:
    """Where a key belongs that has slipped into a section."""
    if key not in SCALARS:
        return ""
    return f" The key {key} of a persona stands at the top, before the first [section]."


def _unknown(key: str, known: Iterable[str], kind: str) -> str:
    near = difflib.get_close_matches(key, list(known), 1)
    hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(known)}."
    return f"there is no such {kind}.{hint}"
