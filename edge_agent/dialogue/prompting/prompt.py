"""Prompt: from a persona to the instructions that the model is given.

It must never read a file or judge what it composes (`prompt_lint` does).  The same persona gives
the same text, byte for byte: providers cache the beginning of a prompt, and a changed word costs
money in every turn.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from edge_agent.contract.persona import (
    MOVE_TOOL,
    SECTIONS,
    Entry,
    FlowPlan,
    FlowState,
    Persona,
    ToolPreamble,
)
from edge_agent.dialogue.prompting.manners import house_rules, language_lines

ADDITIONS = "The Household's Own Rules"
STAGE = "The Present Step"
LEFT_OUT = ("tools", "rules", "samples")
"""Sections in which a line that names an absent tool is left out."""
LANGUAGES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
    "pl": "Polish",
    "sv": "Swedish",
    "ja": "Japanese",
    "zh": "Chinese",
    "ko": "Korean",
}
"""Names beside the codes, because a model follows a name more surely than a code."""

ASCII_CHARS_PER_TOKEN = 4.0
"""English prose has about four characters to a token in the vocabularies of these models."""
OTHER_CHARS_PER_TOKEN = 1.5
"""Accents cost more than plain letters, an ideograph about one token: the middle."""
MUST_KEEP = "must_keep"
"""Key of the sample phrases that are not to be varied."""


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` is: a rough estimate, within a quarter for plain prose.

    No tokenizer runs here; what the provider counts stands in `usage` after each answer.
    """
    plain = sum(1 for char in text if char.isascii())
    tokens = plain / ASCII_CHARS_PER_TOKEN + (len(text) - plain) / OTHER_CHARS_PER_TOKEN
    return -int(-tokens // 1)


def compose(
    persona: Persona,
    *,
    language: str = "",
    additions: str = "",
    preambles: Iterable[ToolPreamble] = (),
) -> str:
    """The instructions: a heading per section, labelled lines below it.

    `language`: the household's code, used where the persona pins none.  `additions`: the owner's
    own words, told last, so that they win.  `preambles`: what is said before a call, told with the
    tools.  Of a guided plan only the rule for moving is told here; `with_stage` adds the present
    step.
    """
    return "\n\n".join(
        f"# {heading}\n{text}" for heading, text in parts(persona, language, additions, preambles)
    )


def parts(
    persona: Persona,
    language: str = "",
    additions: str = "",
    preambles: Iterable[ToolPreamble] = (),
) -> Iterator[tuple[str, str]]:
    """`(heading, text)` of every section that says something, in order."""
    code, before_calls = pinned_language(persona, language), tuple(preambles)
    for key, heading in headings(persona):
        entries = _in_language(persona.sections.get(key, ()), code)
        lines = list(_lines(entries))
        if key == "tone":
            lines += language_lines(code, LANGUAGES.get(code.partition("-")[0], ""))
        if key == "tools":
            lines += _preamble_lines(before_calls, code)
        if key == "rules":
            lines += house_rules(code, {preamble.tool for preamble in before_calls})
        if key == "samples" and lines:
            lines.insert(0, _how_to_use(entries))
        if key == "flow" and persona.plan is not None:
            lines += _guide() if persona.plan.guided else _steps(persona.plan)
        if lines:
            yield heading, "\n".join(lines)
    if additions.strip():
        yield ADDITIONS, additions.strip()


def headings(persona: Persona) -> Iterator[tuple[str, str]]:
    """`(key, heading)` of every section, in order: those of one's own before the safety rules, so
    that these are the persona's last word."""
    for key, heading in SECTIONS.items():
        if key == "safety":
            yield from ((own, _title(own)) for own in persona.sections if own not in SECTIONS)
        yield key, heading


def named_tools(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Which of these tools a text names: in marks, or bare where no word looks like it."""
    return tuple(name for name in sorted(known) if name in text and _is_named(name, text))


def _is_named(name: str, text: str) -> bool:
    bare = "_" in name and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
    return bool(bare) or f"`{name}`" in text


def without_tools(persona: Persona, absent: Collection[str]) -> Persona:
    """`persona` without what it says of tools that are not offered.

    That is their own lines, and lines of `LEFT_OUT` that name one.  What stands elsewhere stays: a
    rule for danger is not dropped for a word in it (`prompt_lint` tells of it).
    """

    def kept(entry: Entry) -> Iterator[Entry]:
        if entry.label.startswith("`"):
            if entry.label.strip("`") not in absent:
                yield entry
        elif lines := tuple(line for line in entry.lines if not named_tools(line, absent)):
            yield replace(entry, lines=lines)

    told = {
        key: tuple(one for entry in persona.sections[key] for one in kept(entry))
        for key in LEFT_OUT
        if key in persona.sections
    }
    return replace(persona, sections={**persona.sections, **told})


def pinned_language(persona: Persona, household: str) -> str:
    """The code of the language to speak, "" where that is left free."""
    return "" if persona.language == "free" else persona.language or household


def with_stage(instructions: str, state: FlowState) -> str:
    """The instructions together with the one step in which a guided talk stands."""
    lines = list(_step(state))
    if state.next:
        lines.append(f"- To go on, call `{MOVE_TOOL}`.")
    return f"{instructions}\n\n# {STAGE}\n" + "\n".join(lines)


def _lines(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        if not entry.label:
            yield from (f"- {line}" for line in entry.lines)
        elif len(entry.lines) == 1:
            yield f"- {_title(entry.label)}: {entry.lines[0]}"
        else:
            yield f"- {_title(entry.label)}:"
            yield from (f"  - {line}" for line in entry.lines)


def _title(label: str) -> str:
    # A tool's name has to stay as it is; a key of ours becomes words.
    return label if "`" in label else (label[:1].upper() + label[1:]).replace("_", " ")


def _in_language(entries: Iterable[Entry], code: str) -> tuple[Entry, ...]:
    """Of what a section tells in several languages, one: that of the talk, else the unmarked."""
    entries = tuple(entries)
    for wanted in dict.fromkeys((code, code.partition("-")[0])):
        if wanted and any(entry.language == wanted for entry in entries):
            return tuple(entry for entry in entries if entry.language == wanted)
    return tuple(entry for entry in entries if not entry.language)


def _how_to_use(samples: Iterable[Entry]) -> str:
    told = "Say these in the language of the talk, in changing words, and not every time."
    if any(entry.label == MUST_KEEP for entry in samples):
        told += f" {_title(MUST_KEEP)}: said as it stands."
    return told


def _preamble_lines(preambles: tuple[ToolPreamble, ...], code: str) -> Iterator[str]:
    if not preambles:
        return
    for preamble in preambles:
        said = preamble.translated.get(code.partition("-")[0], preamble.samples)
        phrases = " / ".join(f'"{phrase}"' for phrase in said)
        if preamble.asks:
            yield (
                f"- Before `{preamble.tool}`: say what you are about to do and wait for a yes. "
                f"For example: {phrases}"
            )
        else:
            yield (
                f"- Before `{preamble.tool}`: one short neutral sentence that promises nothing, "
                f"then call it in the same turn. For example: {phrases}"
            )
    yield "- Say these in the language of the talk, and not the same one twice in a row."
    yield "- Any other tool: call it at once; a word before it only if it takes long."


def _guide() -> list[str]:
    return [
        "- This talk has steps. You are told one at a time, and what may follow it.",
        "- Stay in a step until what ends it is true, also over a long silence. "
        "If a move is refused, stay and go on.",
        "- Do not speak of steps or of moving: the household hears a talk, not a form.",
    ]


def _steps(plan: FlowPlan) -> Iterator[str]:
    for number, state in enumerate(plan.states.values(), 1):
        first, *rest = _step(state)
        yield f"{number}. {first.removeprefix('- ')}"
        yield from (f"   {line}" for line in rest)


def _step(state: FlowState) -> Iterator[str]:
    yield f"- Step: {state.name.replace('_', ' ')}"
    yield f"- Goal: {state.goal}"
    if state.respond:
        yield f"- How to respond: {state.respond}"
    if state.samples:
        phrases = " / ".join(f'"{phrase}"' for phrase in state.samples)
        yield f"- For example, in changing words: {phrases}"
    if state.exit:
        yield f"- Ends when: {state.exit}"
    if state.next and not state.when:
        yield f"- May be followed by: {', '.join(state.next)}"
    for to, condition in state.when.items():
        yield f"- Go on to {to} when: {condition}"
