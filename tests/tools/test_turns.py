"""How tools behave: what is said before a call, how many run at once, and tools that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edge_agent.contract.errors import ConfigError
from edge_agent.contract.events import ToolFinished
from edge_agent.contract.persona import Entry, Persona, ToolPreamble
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.prompting.prompt import compose
from edge_agent.dialogue.prompting.prompt_lint import lint
from edge_agent.simulation.clock import run as run_virtual
from edge_agent.tools.registry import Behaviour, Registry, Tool, tool
from edge_agent.tools.runner import OUTPUT_LIMIT_BYTES, WAITING_MAX, ToolRunner


def play(*tools: Tool, script: Callable[[ToolRunner], Awaitable[None]]) -> dict[str, ToolFinished]:
    """Run `script` with a runner in virtual time; the one result of every call."""
    results: dict[str, ToolFinished] = {}

    def post(result: ToolFinished) -> None:
        assert result.call_id not in results
        results[result.call_id] = result

    async def main() -> None:
        runner = ToolRunner(Registry(tools), post)
        await script(runner)
        await runner.close()

    run_virtual(main())
    return results


# --- what is said before a call ----------------------------------------------------------


@tool(risk=Risk.LOW, behaviour=Behaviour.PREAMBLE, samples=["Let me look.", "One moment."])
async def look_up() -> str:
    """Look it up."""
    return "found"


@tool(risk=Risk.LOW, behaviour=Behaviour.CONFIRM, samples=["Shall I?"])
def send() -> None:
    """Send it."""


@tool(risk=Risk.LOW)
def plain() -> None:
    """Do it."""


def test_the_model_is_told_what_to_say_before_which_tool() -> None:
    preambles = Registry([look_up, send, plain]).preambles()
    assert preambles == (
        ToolPreamble("look_up", False, ("Let me look.", "One moment.")),
        ToolPreamble("send", True, ("Shall I?",)),
    )
    persona = Persona("x", sections={"tools": (Entry("", ("Use them.",)),)})
    lines = compose(persona, preambles=preambles).splitlines()
    assert lines[:2] == ["# Tools", "- Use them."]
    assert '"Let me look." / "One moment."' in lines[2]
    assert "call it in the same turn" in lines[2]
    assert "wait for a yes" in lines[3]
    assert '"Shall I?"' in lines[3]
    assert "`plain`" not in "".join(lines)
    assert compose(persona).startswith("# Tools\n- Use them.\n\n#")


def test_a_persona_that_says_nothing_of_tools_still_has_their_manners() -> None:
    text = compose(Persona("x"), preambles=Registry([send]).preambles())
    assert text.startswith("# Tools\n- Before `send`")


def test_a_tool_that_is_told_of_by_its_manners_is_not_unmentioned() -> None:
    found = lint(Persona("x"), {"send"}, preambles=Registry([send]).preambles())
    assert not [finding for finding in found if finding.code.startswith("tool.")]
    assert "tool.unmentioned" in {finding.code for finding in lint(Persona("x"), {"send"})}


def test_declarations_whose_behaviour_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="sample phrases"):
        tool(behaviour=Behaviour.PREAMBLE)(plain.function)
    with pytest.raises(ConfigError, match="sample phrases"):
        tool(samples=["Well."])(plain.function)
    with pytest.raises(ConfigError, match="asked about twice"):
        tool(risk=Risk.MEDIUM, behaviour=Behaviour.CONFIRM, samples=["Shall I?"])(plain.function)
    with pytest.raises(ConfigError, match="could never run"):
        tool(concurrency=0)(plain.function)
    assert not plain.cancellable  # a call that may be half done is let run to its end


# --- how many run at once ----------------------------------------------------------------


def slow(concurrency: int, order: list[str], *, takes_s: float = 1.0, limit_s: float = 10) -> Tool:
    @tool(risk=Risk.LOW, concurrency=concurrency, timeout_s=limit_s)
    async def work(name: str) -> str:
        """Work."""
        order.append(f"+{name}")
        await asyncio.sleep(takes_s)
        order.append(f"-{name}")
        return name

    return work


def test_further_calls_wait_for_their_turn_in_order() -> None:
    order: list[str] = []

    async def script(runner: ToolRunner) -> None:
        for name in "abc":
            runner.run(name, "work", f'{{"name":"{name}"}}')
        await asyncio.sleep(5)

    results = play(slow(1, order), script=script)
    assert order == ["+a", "-a", "+b", "-b", "+c", "-c"]
    assert [results[name].output for name in "abc"] == ["a", "b", "c"]
    order.clear()
    play(slow(2, order), script=script)
    assert order == ["+a", "+b", "-a", "-b", "+c", "-c"]


def test_one_tool_that_is_busy_does_not_hold_up_another() -> None:
    async def script(runner: ToolRunner) -> None:
        runner.run("1", "work", '{"name":"a"}')
        runner.run("2", "plain", "{}")
        await asyncio.sleep(0.01)
        assert runner.running == 1

    assert play(slow(1, []), plain, script=script)["2"].ok


def test_who_waits_longer_than_the_tools_limit_is_told_so() -> None:
    order: list[str] = []

    async def script(runner: ToolRunner) -> None:
        for name in "ab":
            runner.run(name, "work", f'{{"name":"{name}"}}')
        await asyncio.sleep(10)

    results = play(slow(1, order, takes_s=1.5, limit_s=2), script=script)
    assert results["a"].ok
    assert "within 2 seconds" in results["b"].output  # it had half a second left
    assert results["b"].at - results["a"].at == pytest.approx(0.5, abs=0.01)
    results = play(slow(1, [], takes_s=9, limit_s=2), script=script)
    assert [result.ok for result in results.values()] == [False, False]


def test_too_many_at_once_are_refused_in_words() -> None:
    async def script(runner: ToolRunner) -> None:
        for number in range(WAITING_MAX + 2):
            runner.run(str(number), "work", '{"name":"x"}')
        await asyncio.sleep(100)

    results = play(slow(1, [], limit_s=50), script=script)
    refused = [result for result in results.values() if not result.ok]
    assert [result.call_id for result in refused] == [str(WAITING_MAX + 1)]
    assert "Too many calls" in refused[0].output


def test_a_call_that_waits_can_be_cancelled_and_leaves_its_turn_to_the_next() -> None:
    order: list[str] = []

    async def script(runner: ToolRunner) -> None:
        for name in "abc":
            runner.run(name, "work", f'{{"name":"{name}"}}')
        await asyncio.sleep(0.5)
        runner.cancel("b")
        await asyncio.sleep(5)

    results = play(slow(1, order), script=script)
    assert order == ["+a", "-a", "+c", "-c"]
    assert [results[name].ok for name in "abc"] == [True, False, True]


def test_a_tool_that_will_not_stop_keeps_its_turn_until_it_has() -> None:
    running = 0
    most = 0

    @tool(timeout_s=1, concurrency=1)
    async def stubborn() -> None:
        """Refuse to stop."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(3)
        running -= 1

    async def script(runner: ToolRunner) -> None:
        runner.run("a", "stubborn", "{}")
        await asyncio.sleep(1.5)
        runner.run("b", "stubborn", "{}")
        await asyncio.sleep(1.5)
        assert runner.running == 0
        await asyncio.sleep(5)

    results = play(stubborn, script=script)
    assert most == 1
    assert "still busy with earlier calls" in results["b"].output


# --- tools that misbehave ----------------------------------------------------------------


def test_what_a_tool_prints_is_not_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    @tool()
    def chatty() -> str:
        """Print."""
        print('{"type":"session.update"}')  # noqa: T201
        return "done"

    async def script(runner: ToolRunner) -> None:
        runner.run("c", "chatty", "{}")
        await asyncio.sleep(0.1)

    assert play(chatty, script=script)["c"].output == "done"
    assert "session.update" in capsys.readouterr().out


def test_five_megabytes_are_cut_and_binary_is_refused() -> None:
    @tool()
    def flood() -> str:
        """Flood."""
        return "x" * 5_000_000

    @tool()
    def binary() -> dict[str, bytes]:
        """Give bytes."""
        return {"picture": b"\x89PNG\r\n"}

    @tool()
    def half_letters() -> str:
        """Give half of a pair of surrogates, which no JSON on the wire may hold."""
        return "a\ud800b"

    async def script(runner: ToolRunner) -> None:
        for name in ("flood", "binary", "half_letters"):
            runner.run(name, name, "{}")
        await asyncio.sleep(0.1)

    results = play(flood, binary, half_letters, script=script)
    assert len(results["flood"].output) < OUTPUT_LIMIT_BYTES + 60
    assert "more bytes" in results["flood"].output
    assert results["binary"].output == "The tool gave a result that can't be read."
    assert results["half_letters"].output == "a?b"


def test_a_call_id_again_after_its_end_is_another_call() -> None:
    """Within one session the dialogue lets no id pass twice; a new session may reuse them."""
    results: list[ToolFinished] = []

    async def main() -> None:
        runner = ToolRunner(Registry([plain]), results.append)
        for _ in range(2):
            runner.run("same", "plain", "{}")
            runner.run("same", "plain", "{}")
            await asyncio.sleep(0.1)
        await runner.close()

    run_virtual(main())
    assert [result.call_id for result in results] == ["same", "same"]
