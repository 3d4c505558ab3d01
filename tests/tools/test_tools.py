"""Tools: declared from types, run once, one result whatever happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from edge_agent.app.tools.offer import offer
from edge_agent.contract.errors import ConfigError, ToolError
from edge_agent.contract.events import ToolFinished
from edge_agent.contract.persona import SILENCE_TOOL
from edge_agent.contract.risk import Risk
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.talk import Conversation
from edge_agent.simulation.clock import run as run_virtual
from edge_agent.tools.builtin import builtin_tools
from edge_agent.tools.catalogue import shipped_tools
from edge_agent.tools.registry import Registry, Tool, tool
from edge_agent.tools.runner import OUTPUT_LIMIT_BYTES, ToolRunner


@tool(risk=Risk.LOW, timeout_s=2.0)
async def echo(word: str, times: Annotated[int, Field(ge=1, le=5)] = 1) -> str:
    """Say a word again."""
    await asyncio.sleep(0.1)
    return " ".join([word] * times)


@tool()
def order(title: str, kind: Literal["small", "big"] = "small") -> None:
    """Order something."""


def play(
    *tools: Tool, script: Callable[[ToolRunner], Awaitable[None]]
) -> tuple[list[ToolFinished], ToolRunner]:
    """Run `script` with a runner in virtual time; the results, after a clean close."""
    results: list[ToolFinished] = []
    runners: list[ToolRunner] = []

    async def main() -> None:
        runner = ToolRunner(Registry(tools), results.append)
        runners.append(runner)
        await script(runner)
        await runner.close()

    run_virtual(main())
    return results, runners[0]


def call_once(declared: Tool, arguments: str = "{}", wait_s: float = 30.0) -> ToolFinished:
    async def script(runner: ToolRunner) -> None:
        runner.run("c", declared.name, arguments)
        await asyncio.sleep(wait_s)

    (result,), _ = play(declared, script=script)
    assert result.call_id == "c"
    return result


# --- declaring ------------------------------------------------------------------------------


def test_schema_has_types_limits_and_defaults_but_no_titles() -> None:
    assert echo.schema() == {
        "type": "function",
        "name": "echo",
        "description": "Say a word again.",
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "word": {"type": "string"},
                "times": {"type": "integer", "minimum": 1, "maximum": 5, "default": 1},
            },
            "required": ["word"],
        },
    }


def test_a_parameter_called_title_survives() -> None:
    properties = order.schema()["parameters"]["properties"]
    assert properties["title"] == {"type": "string"}
    assert properties["kind"]["enum"] == ["small", "big"]


def test_a_tool_without_words_about_its_risk_is_high() -> None:
    registry = Registry([echo, order])
    assert registry.risks() == {"echo": Risk.LOW, "order": Risk.HIGH}
    assert [schema["name"] for schema in registry.schemas()] == ["echo", "order"]
    assert order.speakable == "order"


def test_declarations_that_cannot_work_are_refused() -> None:
    def no_words(x: int) -> None: ...

    def no_type(x) -> None:  # type: ignore[no-untyped-def]
        """Words."""

    def anything(*x: int) -> None:
        """Words."""

    def unknowable(x: Callable[[], asyncio.Future[Any]]) -> None:
        """Words."""

    for function in (no_words, no_type, anything, unknowable):
        with pytest.raises(ConfigError):
            tool()(function)
    with pytest.raises(ConfigError):
        tool(name="two words")(order.function)
    with pytest.raises(ConfigError):
        tool(timeout_s=0)(order.function)
    with pytest.raises(ConfigError):
        Registry([echo, echo])


# --- running --------------------------------------------------------------------------------


def test_result_of_a_good_call() -> None:
    result = call_once(echo, '{"word":"hi","times":2}')
    assert (result.output, result.ok, result.finish) == ("hi hi", True, False)
    assert result.at == pytest.approx(1000.1, abs=0.01)  # virtual time begins at 1000


def test_no_arguments_at_all_means_none() -> None:
    @tool(risk=Risk.LOW)
    def plain() -> list[int]:
        """Plain."""
        return [1, 2]

    assert call_once(plain, "").output == "[1,2]"


@pytest.mark.parametrize(
    "arguments",
    ["{", "[]", "null", '"x"', "{}", '{"word":1}', '{"word":"a","times":9}', '{"word":"a","b":1}'],
)
def test_arguments_that_do_not_fit_are_explained_to_the_model(arguments: str) -> None:
    result = call_once(echo, arguments)
    assert not result.ok
    assert result.output.startswith("The arguments do not fit")


def test_complaint_does_not_repeat_the_values() -> None:
    result = call_once(echo, '{"word":"a","times":"secret-number"}')
    assert "times" in result.output
    assert "secret" not in result.output


def test_unknown_tool() -> None:
    async def script(runner: ToolRunner) -> None:
        runner.run("c", "nothing", "{}")
        await asyncio.sleep(1)

    (result,), _ = play(echo, script=script)
    assert (result.ok, result.output) == (False, "There is no such tool.")


def test_failures_tell_the_kind_but_not_the_text_of_an_exception() -> None:
    @tool()
    def broken() -> None:
        """Break."""
        raise ValueError("password is hunter2")

    @tool()
    async def honest() -> None:
        """Break honestly."""
        raise ToolError("The shop is closed.")

    assert call_once(broken).output == "The tool failed (ValueError)."
    result = call_once(honest)
    assert (result.ok, result.output) == (False, "The shop is closed.")


def test_time_limit_holds_even_for_a_tool_that_will_not_stop() -> None:
    @tool(timeout_s=3.0)
    async def stubborn() -> str:
        """Refuse to stop."""
        for _ in range(5):
            try:
                await asyncio.sleep(4)
            except asyncio.CancelledError:
                continue
        return "late"

    result = call_once(stubborn)
    assert not result.ok
    assert "3 seconds" in result.output
    assert result.at == pytest.approx(1003.0, abs=0.01)


def test_a_tool_that_cancels_itself_still_has_a_result() -> None:
    @tool()
    async def quits() -> None:
        """Quit."""
        raise asyncio.CancelledError

    assert call_once(quits).ok is False


@pytest.mark.parametrize("value", [b"\x00\xff", float("nan"), {1, 2}])
def test_results_that_are_no_json_are_not_passed_on(value: object) -> None:
    @tool()
    def odd() -> object:
        """Be odd."""
        return value

    result = call_once(odd)
    assert (result.ok, result.output) == (False, "The tool gave a result that can't be read.")


def test_nothing_is_a_result_too() -> None:
    assert call_once(order, '{"title":"x"}').output == "Done."


@settings(max_examples=30)
@given(letter=st.sampled_from(["x", "ä", "€", "😀"]), extra=st.integers(-3, 60))
def test_long_output_is_cut_at_a_letter_with_a_note(letter: str, extra: int) -> None:
    size = OUTPUT_LIMIT_BYTES // len(letter.encode()) + extra

    @tool()
    def flood() -> str:
        """Flood."""
        return letter * size

    output = call_once(flood).output
    raw = len((letter * size).encode())
    if raw <= OUTPUT_LIMIT_BYTES:
        assert output == letter * size
    else:
        kept, _, note = output.partition("\n")
        assert set(kept) == {letter}
        assert len(kept.encode()) <= OUTPUT_LIMIT_BYTES
        assert note == f"[Cut here: {raw - OUTPUT_LIMIT_BYTES} more bytes.]"


def test_cancel_gives_one_result_and_a_second_cancel_none() -> None:
    async def script(runner: ToolRunner) -> None:
        runner.run("before it begins", "echo", '{"word":"a"}')
        runner.cancel("before it begins")
        runner.run("c", "echo", '{"word":"a"}')
        await asyncio.sleep(0.05)
        runner.cancel("c")
        runner.cancel("c")
        runner.cancel("unknown")
        await asyncio.sleep(1)
        runner.cancel("c")

    results, runner = play(echo, script=script)
    assert sorted((r.call_id, r.ok) for r in results) == [("before it begins", False), ("c", False)]
    assert runner.running == 0


def test_calls_run_side_by_side_and_one_id_only_once() -> None:
    async def script(runner: ToolRunner) -> None:
        for call_id in ("a", "b", "a"):
            runner.run(call_id, "echo", '{"word":"a"}')
        await asyncio.sleep(0.15)

    results, _ = play(echo, script=script)
    assert [r.call_id for r in results] == ["a", "b"]
    assert all(r.ok for r in results)


def test_close_ends_all_calls_in_bounded_time_and_refuses_new_ones() -> None:
    @tool(timeout_s=60)
    async def stubborn() -> None:
        """Refuse to stop."""
        for _ in range(3):
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                await asyncio.sleep(5)

    results: list[ToolFinished] = []

    async def main() -> float:
        runner = ToolRunner(Registry([echo, stubborn]), results.append)
        runner.run("a", "echo", '{"word":"a"}')
        runner.run("b", "stubborn", "{}")
        await asyncio.sleep(0.01)
        before = asyncio.get_running_loop().time()
        await runner.close()
        took = asyncio.get_running_loop().time() - before
        await runner.close()
        runner.run("late", "echo", '{"word":"a"}')
        await asyncio.sleep(0.01)
        await asyncio.sleep(200)  # let the stubborn one end, so that nothing leaks
        return took

    assert run_virtual(main()) <= 2.5
    assert sorted(r.call_id for r in results) == ["a", "b", "late"]
    assert not any(r.ok for r in results)


# --- built in ---------------------------------------------------------------------------------


class Speaker:
    """A speaker that remembers what was done to it."""

    percent = 40
    most = 100
    muted = False

    def volume(self) -> int:
        return self.percent

    def volume_max(self) -> int:
        return self.most

    def set_volume(self, percent: int) -> None:
        self.percent = min(percent, self.most)

    def mute(self) -> None:
        self.muted = True

    def status(self) -> str:
        return "All is well."


def use(speaker: Speaker, name: str, arguments: str = "{}", now: datetime | None = None) -> Any:
    moment = now or datetime(2026, 3, 1, 7, 5, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    tools = {declared.name: declared for declared in builtin_tools(speaker, lambda: moment)}
    return call_once(tools[name], arguments)


def test_current_time_names_day_and_zone() -> None:
    assert json.loads(use(Speaker(), "current_time").output) == {
        "time": "7 05 in the morning",
        "seconds": 9,
        "weekday": "Sunday",
        "date": "the 1st of March 2026",
        "timezone": "Europe/Berlin, 1 hour ahead of UTC",
    }


def test_volume() -> None:
    speaker = Speaker()
    result = use(speaker, "set_volume", '{"percent":70}')
    assert result.output == "The volume is 70 percent now; it was 40."
    assert use(speaker, "get_volume").output == "The volume is 70 percent."
    assert not use(speaker, "set_volume", '{"percent":101}').ok
    assert speaker.percent == 70


def test_a_volume_beyond_the_limit_is_answered_in_a_sentence() -> None:
    speaker = Speaker()
    speaker.most = 60
    output = use(speaker, "set_volume", '{"percent":80}').output
    assert output == "The loudest allowed is 60 percent; it is 60 now."
    allowed = use(speaker, "set_volume", '{"percent":60}').output
    assert allowed == "The volume is 60 percent now; it was 60."


def test_mute_status_and_goodbye() -> None:
    speaker = Speaker()
    assert "button" in use(speaker, "mute_microphone").output
    assert speaker.muted
    assert use(speaker, "device_status").output == "All is well."
    result = use(speaker, "finish_session")
    assert result.finish
    assert result.ok


@pytest.mark.parametrize("wanted", [True, False])
def test_silence_is_offered_unless_it_is_switched_off(wanted: bool) -> None:
    settings = Settings(conversation=Conversation(stay_silent=wanted))
    assert (SILENCE_TOOL in offer(settings).names) is wanted
    assert SILENCE_TOOL not in {one.tool for one in shipped_tools().preambles()}


def test_builtin_tools_are_all_of_low_risk_and_have_schemas() -> None:
    now = datetime(2026, 3, 1, tzinfo=ZoneInfo("UTC"))
    registry = Registry(builtin_tools(Speaker(), lambda: now))
    assert set(registry.risks().values()) == {Risk.LOW}
    for schema in registry.schemas():
        assert schema["parameters"]["type"] == "object"
        assert "properties" in schema["parameters"]
