"""Settings said on the command line: `--set SECTION.KEY=VALUE`, the strongest layer.

`CommandLine` is a source like those of `sources`; values are written as in the environment.

Thread: the main one, before anything else runs.  It must never take a key: everybody on a machine
can read its command lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from edge_agent.host.settings.complaints import shown, unknown
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.sources import API_KEY, Findings, all_keys, annotation, from_text
from edge_agent.host.settings.tables import cells, places
from edge_agent.host.settings.text import section_names

WHERE = "command line --set"


class CommandLine(PydanticBaseSettingsSource):
    """`said`: texts as `realtime.voice=cedar`; of one key that is said twice, the last."""

    def __init__(self, said: Iterable[str], findings: Findings) -> None:
        super().__init__(Settings)
        self._findings = findings
        self._values: dict[str, dict[str, Any]] = {}
        for text in said:
            self._take(text)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """One section."""
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """What was said, by section."""
        return self._values

    def _take(self, said: str) -> None:
        dotted, equals, text = said.partition("=")
        dotted = dotted.strip()
        section, _, key = dotted.partition(".")
        complain = self._findings.complain
        if dotted == API_KEY:  # whatever stands behind it
            complain(WHERE, dotted, "the key must not stand on a command line; it has its own file")
        elif section not in section_names():
            complain(WHERE, section, unknown(section, section_names(), "section"))
        elif dotted not in all_keys():
            complain(WHERE, dotted, unknown(dotted, all_keys(), "key"))
        elif not equals:
            complain(WHERE, dotted, f"has no value: write --set {dotted}=VALUE")
        else:
            kind = annotation(dotted)
            try:
                value = cells(kind, from_text(text, kind))
            except ValueError as problem:
                complain(WHERE, dotted, f"{problem} ({shown(dotted, text)})")
                return
            self._values.setdefault(section, {})[key] = value
            for place in (dotted, *places(dotted, kind, value)):
                self._findings.said[place] = WHERE
            self._findings.origins |= self._findings.said
