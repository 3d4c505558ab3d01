"""Who reads aloud for the hearing benchmark, and what: synthetic voices and texts, by part.

`texts` of a part, then `speak` with one of `VOICES`.

Thread: the caller's.  It must never let a voice, a text or a person come into two parts.

Texts come from the documentation that Python carries, voices from whatever of espeak-ng, flite,
festival and hibari-tts is installed.  What is missing gives nothing.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.hearing.places import RATE_HZ, Sound
from benchmarks.hearing.sources import read
from edge_agent.simulation.sound.acoustics import resample


@dataclass(frozen=True)
class Voice:
    """A synthetic voice, and what it may be used for."""

    engine: str
    name: str
    part: str
    far: bool = True
    near: bool = False


VOICES = (
    Voice("espeak", "en-us", "train", near=True),
    Voice("espeak", "en-us+f2", "train", near=True),
    Voice("espeak", "en-gb+m3", "train", near=True),
    Voice("espeak", "de+f5", "train"),
    Voice("espeak", "en-us+belinda", "train", far=False, near=True),
    Voice("espeak", "en-gb-x-rp+boris", "train", far=False, near=True),
    Voice("espeak", "fr+linda", "train", far=False, near=True),
    Voice("espeak", "en-us+Andy", "train", far=False, near=True),
    Voice("flite", "awb", "train", near=True),
    Voice("flite", "rms", "train", near=True),
    Voice("festival", "kal_diphone", "train"),
    Voice("espeak", "en-gb-scotland+f4", "tune", near=True),
    Voice("flite", "kal16", "tune", near=True),
    Voice("flite", "slt", "report"),
    Voice("festival", "cmu_us_slt_arctic_hts", "report"),
    Voice("festival", "ked_diphone", "report"),
    Voice("hibari", "heart", "report"),
    Voice("espeak", "en-gb-x-gbclan+m7", "report", near=True),
    Voice("espeak", "en-us+m5", "train"),
    Voice("espeak", "it+f1", "train"),
    Voice("espeak", "sv+klatt4", "train"),
    Voice("festival", "lp_diphone", "train"),
    Voice("festival", "suo_fi_lj_diphone", "train"),
    Voice("espeak", "pl+f3", "tune"),
    Voice("festival", "hy_fi_mv_diphone", "tune"),
    Voice("espeak", "pt+m4", "report"),
    Voice("festival", "pc_diphone", "report"),
)

MODULES = {
    "tune": ("statistics", "difflib", "random", "calendar", "heapq", "shutil", "textwrap"),
    "report": ("turtle", "_pydecimal", "subprocess", "tarfile", "doctest", "string", "fractions"),
}
"""Of Python's library, whose descriptions are read aloud in the other two parts."""


def _sentences(text: str) -> list[str]:
    plain = re.sub(r"\s+", " ", text)
    form = re.compile(r"[A-Z][A-Za-z ,;'()-]{30,240}[.!?]")
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", plain) if form.fullmatch(sentence)]


def texts(part: str) -> list[str]:
    """Sentences of one part, each once: the language reference, or descriptions of modules."""
    from pydoc_data.topics import topics

    learned = [sentence for _, text in sorted(topics.items()) for sentence in _sentences(text)]
    if part == "train":
        return list(dict.fromkeys(learned))
    found: list[str] = []
    for name in MODULES[part]:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                    found += _sentences(paragraph)
    return [sentence for sentence in dict.fromkeys(found) if sentence not in learned]


def speak(voice: Voice, lines: list[str]) -> Iterator[Sound]:
    """Sentences by a synthetic voice; nothing where the engine is not installed."""
    if voice.engine == "hibari":
        try:
            from hibari import SAMPLE_RATE, Hibari
        except ImportError:
            return
        model = Hibari(voice.name)
        for line in lines:
            yield resample(np.asarray(model(line), np.float32), SAMPLE_RATE, RATE_HZ)
        return
    program = {"espeak": "espeak-ng", "flite": "flite", "festival": "text2wave"}[voice.engine]
    if shutil.which(program) is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.wav"
        for line in lines:
            if voice.engine == "espeak":
                order = [program, "-v", voice.name, "-s", "160", "-w", str(out), line]
            elif voice.engine == "flite":
                order = [program, "-voice", voice.name, "-t", line, "-o", str(out)]
            else:
                order = [program, "-o", str(out), "-eval", f"(voice_{voice.name})"]
            given = line.encode() if voice.engine == "festival" else None
            subprocess.run(order, input=given, capture_output=True, check=False)
            if out.is_file():
                yield read(out)
                out.unlink()
