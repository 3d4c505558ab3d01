"""Prompt lint: what can be found wrong with a prompt by rule, without asking a model.

It must never change a prompt, and never call a taste a mistake: `error` is what makes a voice model
fail, `warning` what usually makes it worse.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from edge_agent.contract.persona import MOVE_TOOL, Persona, ToolPreamble
from edge_agent.dialogue.prompting.flow import flow_problems, offered, step_faults
from edge_agent.dialogue.prompting.prompt import (
    ADDITIONS,
    LANGUAGES,
    estimate_tokens,
    parts,
    pinned_language,
    with_stage,
)

TOKENS_WARN = 2000
"""About what a well-kept prompt of this kind needs; every token is paid for in every turn."""
TOKENS_MAX = 12_000
"""Instructions and tools together may have 16,384 tokens: leave the tools a quarter."""
SENTENCE_WORDS_MAX = 45
"""Beyond this a rule is several rules, and the last of them is not followed."""
CAPITALS_MAX = 3
"""Capitals stress a rule only while few rules have them."""
KNOWN_ACRONYMS = frozenset({"AI", "ID", "LED", "OK", "PIN", "TV", "USB"})
STRESSED = frozenset({"ALL", "AND", "ANY", "BUT", "DO", "FIRST", "IF", "NO", "NOT", "OR", "ONE"})
"""Short words that are shouted, not abbreviated."""

NEEDED = {
    "tone": ("personality", "length", "pacing", "variety"),
    "rules": ("alphanumerics", "unclear_audio"),
    "safety": (),
    "samples": (),
}
"""Sections and keys without which a voice model is known to fall back on habits of its own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong: `level` is `error` or `warning`, `where` a heading."""

    level: str
    code: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.text} [{self.code}]"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the rules look at."""

    persona: Persona
    parts: tuple[tuple[str, str], ...]
    """Heading and text, the steps of a guided talk as a part each."""
    tools: frozenset[str]
    language: str
    tokens: int
    """Estimate of the longest instructions that the model gets at once."""

    def sentences(self) -> Iterator[tuple[str, str]]:
        """`(heading, sentence)`, without list marks."""
        for heading, text in self.parts:
            for line in text.splitlines():
                plain = re.sub(r"^\s*(?:-|\d+\.)\s+", "", line)
                for sentence in re.split(r"(?<=[.!?;])\s+", plain):
                    if sentence.strip():
                        yield heading, sentence.strip()


def lint(
    persona: Persona,
    tools: Collection[str],
    *,
    language: str = "",
    additions: str = "",
    preambles: Iterable[ToolPreamble] = (),
) -> tuple[Finding, ...]:
    """Everything found in what `compose` makes of the same arguments, errors first."""
    common = tuple(parts(persona, language, additions, preambles))
    steps = []
    if persona.plan is not None and persona.plan.guided:
        for state in persona.plan.states.values():
            stage = with_stage("", state).strip().partition("\n")[2]
            steps.append((f"step {state.name}", stage))
    size = sum(estimate_tokens(f"# {heading}\n{text}\n\n") for heading, text in common)
    size += max((estimate_tokens(text) for _, text in steps), default=0)
    prompt = Prompt(persona, (*common, *steps), frozenset(tools), language, size)
    found = [finding for rule in RULES for finding in rule(prompt)]
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: finding.level != "error"))


# --- tools -----------------------------------------------------------------------------

_TOOL_NAME = re.compile(r"`([A-Za-z0-9_-]+)`|(?<![{<$\w])([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\b")

_CALLING = re.compile(r"\b(call|use|run|invoke|tools?|functions?)\b", re.I)


def tools_exist(prompt: Prompt) -> Iterator[Finding]:
    """Names that look like tools and are none; tools that no word is said about."""
    plan = prompt.persona.plan
    no_tools = set(plan.states) if plan is not None else set()
    if plan is not None and plan.guided:
        no_tools.add(MOVE_TOOL)
    named: set[str] = set()
    for heading, sentence in prompt.sentences():
        for match in _TOOL_NAME.finditer(sentence):
            name = match[1] or match[2]
            named.add(name)
            if name not in prompt.tools and name not in no_tools:
                # Without the marks of a tool's name it may be the name of a network.
                level = "error" if match[1] or _CALLING.search(sentence) else "warning"
                yield Finding(level, "tool.unknown", heading, f"there is no tool {name}.")
    sent = prompt.tools
    if plan is not None and plan.guided:
        sent = frozenset().union(*(offered(state, sent) for state in plan.states.values()))
    for name in sorted(sent - named):
        yield Finding("warning", "tool.unmentioned", "Tools", f"nothing is said about {name}.")


def flow_is_sound(prompt: Prompt) -> Iterator[Finding]:
    """What `flow_problems` says; steps and tools that do not fit; one condition for two ways."""
    source, plan = prompt.persona.source, prompt.persona.plan
    for text in flow_problems(prompt.persona, prompt.tools):
        yield Finding("error", "flow", "Conversation Flow", text)
    own = "\n".join(text for heading, text in prompt.parts if heading == ADDITIONS)
    for fault in step_faults(prompt.persona, prompt.tools, own):
        level = "error" if fault.is_error else "warning"
        yield Finding(level, "flow.tools", "Conversation Flow", f"{source}: {fault.text}")
    for state in plan.states.values() if plan is not None and plan.guided else ():
        if len(state.next) > 1 and not state.when:
            text = f'{source}: flow.states.{state.name}.next: write NAME = "when" for each way.'
            yield Finding("warning", "flow.when", "Conversation Flow", text)


# --- contradictions --------------------------------------------------------------------

_POLAR = re.compile(r"\b(always|never|do not|don['\u2019]t)\s+([^.,;:!?()\"]+)", re.I)
_FILLERS = frozenset(
    ["a", "an", "any", "at", "be", "ever", "in", "it", "of", "on", "the", "to", "your"]
)


def no_contradictions(prompt: Prompt) -> Iterator[Finding]:
    """The same thing told always and never."""
    told: dict[bool, list[tuple[str, tuple[str, ...]]]] = {True: [], False: []}
    for heading, sentence in prompt.sentences():
        for match in _POLAR.finditer(sentence):
            words = re.findall(r"\w+", match[2].lower())
            told[match[1].lower() == "always"].append(
                (heading, tuple(word for word in words if word not in _FILLERS))
            )
    for heading, always in told[True]:
        for other, never in told[False]:
            shorter = min(len(always), len(never))
            if not shorter or always[:shorter] != never[:shorter]:
                continue
            text = f'"always" and "never" (in {other}) about: {" ".join(always[:shorter])}.'
            if always == never:
                yield Finding("error", "contradiction", heading, text)
            elif shorter >= 2:
                yield Finding("warning", "contradiction", heading, text)


_NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
}
_N = rf"(\d{{1,3}}|{'|'.join(_NUMBERS)})"
_LENGTH = re.compile(
    rf"\b(at least|at most|up to|no more than|not more than|exactly|under)?\s*\b{_N}"
    rf"(?:\s*(?:to|or|and|-|\u2013)\s*{_N})?\s+(?:(?!sentence|word)\w+\s+){{0,2}}(sentence|word)s?\b",
    re.I,
)

_CONDITION = re.compile(r"\b(if|when|whenever|while|unless|except|for)\b", re.I)


def lengths_agree(prompt: Prompt) -> Iterator[Finding]:
    """Rules for the length of an answer that no answer can keep.  Steps have their own."""
    found: list[tuple[str, str, int, int, str, bool]] = []
    for heading, sentence in prompt.sentences():
        if heading.startswith("step ") or heading == "Conversation Flow":
            continue
        sometimes = _CONDITION.search(sentence) is not None
        for match in _LENGTH.finditer(sentence):
            low, high = _range((match[1] or "").lower(), match[2], match[3])
            unit = match[4].lower()
            for where, other_unit, other_low, other_high, words, seldom in found:
                if unit == other_unit and (low > other_high or other_low > high):
                    text = f'"{match[0].strip()}" cannot be kept beside "{words}" (in {where}).'
                    # What holds under a condition may be an exception that is meant.
                    level = "warning" if sometimes or seldom else "error"
                    yield Finding(level, "length", heading, text)
            found.append((heading, unit, low, high, match[0].strip(), sometimes))


def _range(limit: str, first: str, second: str | None) -> tuple[int, int]:
    low = _number(first)
    high = _number(second) if second else low
    if limit == "at least":
        return low, 1000
    if limit and limit != "exactly":
        return 0, high
    return min(low, high), max(low, high)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else _NUMBERS[text.lower()]


_CODES = {name.lower(): code for code, name in LANGUAGES.items()}
_PINS = re.compile(
    rf"\b(?:(?:only|always|exclusively)\s+(?:speak|answer|reply|respond|talk)\s+(?:only\s+)?(?:in\s+)?"
    rf"|(?:speak|answer|reply|respond|talk)\s+(?:only|always|exclusively)\s+(?:in\s+)?)"
    rf"({'|'.join(_CODES)})\b",
    re.I,
)


def one_language_is_pinned(prompt: Prompt) -> Iterator[Finding]:
    """The language told twice, and differently."""
    pinned = pinned_language(prompt.persona, prompt.language).partition("-")[0]
    origin = "the pinned language"
    for heading, sentence in prompt.sentences():
        for match in _PINS.finditer(sentence):
            code = _CODES[match[1].lower()]
            if pinned and code != pinned:
                text = f'"{match[0]}" is not {origin} ({LANGUAGES.get(pinned, pinned)}).'
                yield Finding("error", "language", heading, text)
            elif not pinned:
                pinned, origin = code, f"what {heading} says"


# --- terms and sections ----------------------------------------------------------------

_PLACEHOLDER = re.compile(
    r"\{\{?[A-Za-z_ ]+\}?\}|<[A-Za-z_ ]+>|\[[A-Z][A-Za-z_ ]*\](?!\()|\$[A-Z_]+"
)
_ACRONYM = re.compile(r"(?<![\w'-])[A-Z]{2,5}s?\b(?!')")
_STATE = re.compile(r"\b(?:state|step)\s+[\"'`\u201c]([\w -]+)[\"'`\u201d]", re.I)


def terms_are_defined(prompt: Prompt) -> Iterator[Finding]:
    """Blanks that nobody fills, letters that nobody explains, steps that do not exist."""
    whole = "\n".join(text for _, text in prompt.parts)
    words = Counter(re.findall(r"\b[A-Z]{4,}\b", whole))
    states = set(prompt.persona.plan.states) if prompt.persona.plan is not None else set()
    for heading, text in prompt.parts:
        for match in _PLACEHOLDER.finditer(text):
            problem = f"{match[0]} is a blank that nobody fills."
            yield Finding("error", "term.blank", heading, problem)
        for match in _ACRONYM.finditer(text):
            name = match[0].rstrip("s")
            explained = f"({name})" in whole or re.search(rf"\b{name} (?:\(|means|is)", whole)
            if name not in KNOWN_ACRONYMS | STRESSED and name not in words and not explained:
                problem = f"{name} is not explained."
                yield Finding("warning", "term.undefined", heading, problem)
        for match in _STATE.finditer(text) if states else ():
            if match[1].replace(" ", "_") not in states:
                problem = f'there is no step "{match[1]}".'
                yield Finding("error", "term.state", heading, problem)


def sections_are_there(prompt: Prompt) -> Iterator[Finding]:
    """What a prompt for a voice needs."""
    sections = prompt.persona.sections
    if not sections.get("role"):
        yield Finding("error", "section.missing", "role", "says nobody who it is.")
    for key, labels in NEEDED.items():
        entries = {entry.label for entry in sections.get(key, ())}
        if not entries:
            yield Finding("warning", "section.missing", key, "this section is missing.")
        for label in labels if entries else ():
            if label not in entries:
                yield Finding("warning", "section.missing", key, f"{label} is missing.")
    if prompt.tools and not sections.get("tools"):
        yield Finding("warning", "section.missing", "tools", "this section is missing.")


# --- manner ----------------------------------------------------------------------------


def capitals_are_few(prompt: Prompt) -> Iterator[Finding]:
    """What shouts everywhere stresses nothing."""
    shouted = [word for _, text in prompt.parts for word in re.findall(r"\b[A-Z]{4,}\b", text)]
    if len(shouted) > CAPITALS_MAX:
        text = f"{len(shouted)} words in capitals; keep them for {CAPITALS_MAX} at most."
        yield Finding("warning", "capitals", "everywhere", text)


_URL = re.compile(r"\b(?:https?://|www\.)\S+", re.I)
_MARKUP = re.compile(r"\*\*|```|__\w|\]\(|^\s*\|.*\|\s*$", re.M)
_FOR_EYES = re.compile(
    r"\b(markdown|bullet(?:ed)?(?: points?| lists?)?|emojis?|bold|italics?|hyperlinks?|tables?"
    r"|headings?|code blocks?|screenshots?)\b",
    re.I,
)
_NEGATION = re.compile(r"\b(no|not|never|without|avoid|neither|nor|don['\u2019]t|cannot)\b", re.I)
_FORMAT = re.compile(r"\b(use|format|write|show|display|include|add)\b", re.I)


def nothing_for_the_eye(prompt: Prompt) -> Iterator[Finding]:
    """A voice can show nothing."""
    for heading, text in prompt.parts:
        for match in _URL.finditer(text):
            yield Finding("error", "voice.url", heading, f"nobody can hear {match[0][:60]}.")
        if markup := _MARKUP.search(text):
            problem = f"{markup[0].strip()[:10]} is for the eye."
            yield Finding("error", "voice.markup", heading, problem)
        picture = next((char for char in text if _is_picture(char)), "")
        if picture:
            yield Finding("error", "voice.emoji", heading, f"nobody can hear {picture}.")
    for heading, sentence in prompt.sentences():
        shown = _FOR_EYES.search(sentence)
        if shown and _FORMAT.search(sentence) and not _NEGATION.search(sentence):
            problem = f"a voice has no {shown[0].lower()}."
            yield Finding("warning", "voice.format", heading, problem)


def _is_picture(char: str) -> bool:
    return ord(char) >= 0x1F000 or (ord(char) >= 0x2190 and unicodedata.category(char) == "So")


def nothing_is_too_long(prompt: Prompt) -> Iterator[Finding]:
    """Length costs in every turn, and buries what matters."""
    if prompt.tokens > TOKENS_WARN:
        level = "error" if prompt.tokens > TOKENS_MAX else "warning"
        limit = TOKENS_MAX if level == "error" else TOKENS_WARN
        text = f"about {prompt.tokens} tokens (an estimate); {limit} are enough."
        yield Finding(level, "long.prompt", "everywhere", text)
    seen: set[str] = set()
    for heading, sentence in prompt.sentences():
        words = sentence.split()
        if len(words) > SENTENCE_WORDS_MAX and not heading.startswith("step "):
            text = f'a sentence of {len(words)} words: "{" ".join(words[:6])} …".'
            yield Finding("warning", "long.sentence", heading, text)
        plain = " ".join(words).lower()
        if len(words) >= 4 and plain in seen and not heading.startswith("step "):
            text = f'said twice: "{" ".join(words[:8])}".'
            yield Finding("warning", "repeated", heading, text)
        seen.add(plain)


Rule = Callable[[Prompt], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    tools_exist,
    flow_is_sound,
    no_contradictions,
    lengths_agree,
    one_language_is_pinned,
    terms_are_defined,
    sections_are_there,
    capitals_are_few,
    nothing_for_the_eye,
    nothing_is_too_long,
)
