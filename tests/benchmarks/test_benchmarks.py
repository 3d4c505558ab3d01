"""The benchmarks themselves: honest distributions, targets, and results that can be read.

It must never judge this machine's speed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import report, wire_cost
from benchmarks.figures import Figure, Target, median, nearest_rank
from benchmarks.proxy import Proxy
from benchmarks.run import FAMILIES, main
from edge_agent.contract.commands import SendAudio

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


@given(numbers)
def test_percentile_is_a_measured_value_that_enough_others_do_not_exceed(
    values: list[float],
) -> None:
    p95 = nearest_rank(values, 0.95)
    assert p95 in values
    assert sum(v <= p95 for v in values) >= 0.95 * len(values) - 1e-9
    below = [v for v in values if v < p95]
    assert len(below) < 0.95 * len(values)


@given(numbers)
def test_median_is_the_usual_one(values: list[float]) -> None:
    assert median(values) == pytest.approx(statistics.median(values))


def test_nothing_measured_is_missing_and_meets_nothing() -> None:
    figure = Figure("x", "a thing", "ms", Target("median", "≤", 10))
    assert figure.met is None
    row = figure.as_json()
    assert (row["n"], row["median"], row["met"]) == (0, None, None)
    assert math.isnan(median([]))
    assert report.MISSING in report.markdown(
        {"machine": report.machine(), "families": {"f": _family(figure)}}, ["f"]
    )


def _family(figure: Figure) -> dict[str, object]:
    return {
        "title": "t",
        "setting": "s",
        "command": "c",
        "seconds": 1.0,
        "load_average": [0.0, 0.0],
        "figures": [figure.as_json()],
    }


@pytest.mark.parametrize(
    ("target", "values", "met"),
    [
        (Target("median", "≤", 10), [1, 10, 100], True),
        (Target("median", "≤", 10), [1, 10.5, 11], False),
        (Target("max", "<", 10), [1, 10], False),
        (Target("worst", "≤", 10), [-11, 3], False),
        (Target("min", "=", 1), [1, 1], True),
        (Target("max", "=", 1), [0, 1], False),
        (Target("min", "≥", 2), [2, 3], True),
    ],
)
def test_target(target: Target, values: list[float], met: bool) -> None:
    figure = Figure("x", "a thing", "ms", target, values)
    assert figure.met is met
    assert str(f"{target.limit:g}") in target.text("ms")


def test_a_failed_trial_breaks_every_target() -> None:
    figure = Figure("x", "a thing", "ms", Target("median", "≤", 10), [1.0], trials_failed=1)
    assert figure.met is False


def test_proxy_delays_each_direction_and_swallows_what_stands() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server, Proxy(0.02) as proxy:
            port = server.sockets[0].getsockname()[1]
            proxy.target = lambda: f"ws://127.0.0.1:{port}"
            ours = int(proxy.url.split(":")[2].split("/")[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", ours)
            begin = loop.time()
            for piece in (b"ab", b"cd"):
                writer.write(piece)
                await asyncio.sleep(0)
            assert await reader.readexactly(4) == b"abcd"
            assert loop.time() - begin >= 0.04  # a lower bound holds on any machine
            proxy.black_hole()
            writer.write(b"lost")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.05)
            fresh_reader, fresh_writer = await asyncio.open_connection("127.0.0.1", ours)
            fresh_writer.write(b"ok")
            assert await fresh_reader.readexactly(2) == b"ok"
            for end in (writer, fresh_writer):
                end.close()

    asyncio.run(run())


def test_a_small_run_writes_results_that_name_no_place(tmp_path: Path) -> None:
    arguments = ["--only", "imports", "--only", "microphone", "--n", "2", "--out", str(tmp_path)]
    assert main(arguments) == 0
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    families = json.loads(text)["families"]
    assert list(families) == ["microphone", "imports"]
    (click,) = families["microphone"]["figures"]
    assert click["n"] == 2
    assert 0 < click["min"] <= click["median"] <= click["p95"] <= click["max"]
    assert all(f["n"] == 2 and f["min"] > 0 for f in families["imports"]["figures"])
    table = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in text + table
    assert table.count(f"{report.MISSING}: this family was not run") == len(FAMILIES) - 2


def test_the_cost_of_the_wire_is_that_of_whole_sound(tmp_path: Path) -> None:
    session = wire_cost.opened()
    [append] = session.command(SendAudio(b"ab" * 2400))
    assert base64.b64decode(json.loads(append)["audio"]) == b"ab" * 2400
    assert wire_cost.heard_ms(session, wire_cost.delta_frame(b"ab" * 2400)) == 100
    assert main(["--only", "wire_cost", "--n", "2", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    rows = {row["key"]: row for row in json.loads(text)["families"]["wire_cost"]["figures"]}
    assert len(rows) == 8
    assert all(row["n"] == 2 and row["min"] >= 0 for row in rows.values())
    took, share = rows["wire_cost.up_10"]["values"], rows["wire_cost.up_10_share"]["values"]
    assert share == pytest.approx([us / 10_000 * 100 for us in took], abs=1e-3)


def test_a_later_run_keeps_what_an_earlier_one_measured(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    old = {"machine": report.machine(), "families": {"a": {"figures": []}, "b": {"old": True}}}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert report.merge(path, {"b": {"old": False}})["families"] == {
        "a": {"figures": []},
        "b": {"old": False},
    }
    old["machine"] = {"cpu": "another"}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert list(report.merge(path, {"b": {}})["families"]) == ["b"]


def test_every_family_names_distinct_figures_and_their_setting() -> None:
    keys: list[str] = []
    for family in FAMILIES:
        module = family.load()
        assert module.TITLE
        assert module.SETTING
        keys += [figure.key for figure in module.figures()]
    assert len(keys) == len(set(keys))


def test_the_readme_shows_what_has_a_target(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n")
    figure = {
        "name": "a figure", "unit": "ms", "n": 3, "failed": 0, "min": 1.0, "median": 2.0,
        "p95": 3.0, "max": 3.0, "target": "median ≤ 2 ms", "met": True, "note": "",
    }  # fmt: skip
    results = {
        "machine": report.machine(),
        "families": {"one": {"figures": [figure, {**figure, "name": "free", "target": None}]}},
    }
    report.write_readme(readme, results, ["one"])
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| a figure, ms | 3 |" in text
    assert "old" not in text
    assert "free" not in text
