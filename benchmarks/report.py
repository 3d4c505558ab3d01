"""Report: machine, results as JSON, the Markdown table.

Thread: main.  It must never name the host, a user or a path: the results are published.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

COLUMNS = ("figure", "n", "min", "median", "p95", "max", "target", "met?")
MISSING = "missing"


def machine() -> dict[str, object]:
    """What ran it: processor, cores, system, Python."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                model = value.strip()
                break
    return {
        "cpu": model or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def load_average() -> float:
    """Runnable threads over the last minute, as the kernel counts them."""
    return round(os.getloadavg()[0], 2)


def merge(path: Path, families: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """New families over those that an earlier run on the same machine left in the file."""
    here = machine()
    kept: dict[str, Any] = {}
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            if before["machine"] == here:
                kept = dict(before["families"])
        except (ValueError, KeyError, TypeError):
            kept = {}
    return {"machine": here, "families": {**kept, **families}}


def _number(value: object, unit: str) -> str:
    if not isinstance(value, int | float):
        return "-"
    digits = 0 if float(value).is_integer() else 1 if abs(value) >= 10 or unit == "ms" else 2
    return f"{value:.{digits}f}"


def _row(figure: Mapping[str, Any]) -> str:
    unit = str(figure["unit"])
    name = f"{figure['name']}, {unit}" if unit else str(figure["name"])
    cells = [name, str(figure["n"]) if figure["n"] else MISSING]
    if figure["failed"]:
        cells[1] += f" (+ {figure['failed']} failed)"
    cells += [_number(figure[key], unit) for key in ("min", "median", "p95", "max")]
    cells.append(str(figure["target"] or "-").replace("|", "\\|"))
    cells.append({True: "yes", False: "**no**", None: "-"}[figure["met"]])
    return "| " + " | ".join(cells) + " |"


def markdown(results: Mapping[str, Any], order: Iterable[str]) -> str:
    """The whole of `RESULTS.md`."""
    here = results["machine"]
    lines = [
        "# Benchmark results",
        "",
        f"{here['cpu']}, {here['cores']} cores, {here['system']}, Python {here['python']}. "
        "No real-time priority for anything that is measured.",
        "",
        "p95 is the nearest rank: with fewer than 20 values it is the maximum. A figure without "
        "values is *missing*; *failed* are trials that should have given a value and did not.",
    ]
    families = results["families"]
    for key in order:
        family = families.get(key)
        if family is None:
            lines += ["", f"## {key}", "", f"{MISSING}: this family was not run."]
            continue
        loads = family["load_average"]
        lines += [
            "",
            f"## {family['title']}",
            "",
            f"`{family['command']}`: {family['seconds']:.0f} s, "
            f"load average {loads[0]:g} → {loads[1]:g}. {family['setting']}",
            "",
            "| " + " | ".join(COLUMNS) + " |",
            "|" + "|".join("---" if i in (0, 6) else "--:" for i in range(len(COLUMNS))) + "|",
        ]
        lines += [_row(figure) for figure in family["figures"]]
        notes = [f for f in family["figures"] if f["note"]]
        if notes:
            lines.append("")
            lines += [f"* {f['name']}: {f['note']}" for f in notes]
        if family.get("trouble"):
            lines += ["", f"Trouble: {family['trouble']}"]
    return "\n".join(lines) + "\n"


def write(folder: Path, results: Mapping[str, Any], order: Iterable[str]) -> None:
    """Write `results.json` and `RESULTS.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    (folder / "RESULTS.md").write_text(markdown(results, order), encoding="utf-8")


README_MARKS = ("<!-- benchmarks -->", "<!-- /benchmarks -->")


def readme_block(results: Mapping[str, Any], order: Iterable[str]) -> str:
    """The figures that have a target, as one table, met or not."""
    here = results["machine"]
    lines = [
        f"`scripts/bench.sh` on {here['cpu']}, {here['cores']} cores, Python {here['python']}; "
        "all of it, with the settings: [benchmarks/RESULTS.md](benchmarks/RESULTS.md).",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "|".join("---" if i in (0, 6) else "--:" for i in range(len(COLUMNS))) + "|",
    ]
    for key in order:
        figures = results["families"].get(key, {}).get("figures", ())
        lines += [_row(figure) for figure in figures if figure["target"]]
    return "\n".join(lines)


def write_readme(readme: Path, results: Mapping[str, Any], order: Iterable[str]) -> None:
    """Put the table between the marks.  Raises `ValueError` where the marks are missing."""
    begin, end = README_MARKS
    head, _, rest = readme.read_text(encoding="utf-8").partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"{readme.name} lacks the marks {begin} and {end}")
    block = readme_block(results, order)
    readme.write_text(f"{head}{begin}\n{block}\n{end}{tail}", encoding="utf-8")
