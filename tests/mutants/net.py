"""The net: which tests every mutant meets, cheap ones first.

Owner thread: none, data.  Must never hold a test whose outcome depends on the machine.  All of it
takes less than a minute of one core: what is slow is represented by a part that says the same.
"""

from __future__ import annotations

REFEREE = ("tests/dialogue/test_dialogue_properties.py",)
"""Runs that the referee judges: its rules are weighed against one another by these alone."""

CHECKS = (
    "tests/dialogue/test_dialogue_parts.py",
    "tests/dialogue/test_consent.py",
    "tests/dialogue/test_yes_no.py",
    "tests/dialogue/test_memory.py",
    "tests/dialogue/test_budget.py",
    "tests/dialogue/test_spending.py",
    "tests/dialogue/test_flow.py",
    "tests/host/test_state.py",
    "tests/host/test_journal.py",
    "tests/panel/test_patterns.py",
    "tests/tools/test_tools.py",
    "tests/audio/test_playout.py",
    "tests/realtime/test_outbox.py",
    "tests/realtime/test_uplink.py",
    "tests/realtime/test_session.py",
    "tests/realtime/test_messages.py",
    "tests/realtime/test_redial.py",
    "tests/contract/test_foreign.py",
    "tests/hostile/test_hostile_session.py",
    "tests/known_breaks/test_breaks_bounds.py",
    "tests/dialogue/test_talks.py",
    "tests/dialogue/test_link_talks.py",
    "tests/dialogue/test_tool_talks.py",
    "tests/dialogue/test_consent_talks.py",
    "tests/dialogue/test_ringing.py",
    "tests/dialogue/test_flow_talks.py",
    "tests/dialogue/test_tools_changed.py",
    "tests/dialogue/test_transcribing.py",
    "tests/dialogue/test_consent_properties.py",
    "tests/realtime/test_fallbacks.py",
    "tests/realtime/test_liveness.py",
    "tests/realtime/test_link_talk.py",
    "tests/realtime/test_turn_cuts.py::test_a_cut_at_every_point_of_a_turn[closed 1011]",
    "tests/realtime/test_turn_cuts.py::test_a_roll_over_in_every_phase_of_a_turn[1]",
    "tests/chaos/test_chaos.py::test_random_schedules[1]",
)
"""Everything else."""

NET = (*CHECKS, *REFEREE)


def is_referees(test: str) -> bool:
    """Is this test, by its pytest id, one that the referee judges?"""
    return test.startswith(REFEREE)
