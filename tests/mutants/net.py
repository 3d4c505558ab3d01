"""The net: which tests every mutant meets, cheap ones first.

It must never hold a test whose outcome depends on the machine.  `CHECKS` take about 80 s of one
core and stop at the first that fails; `REFEREE`, about 50 s, is always run to its end for a chosen
mutant, so that it can be told which of the rules notice it.  What is slow is represented by a part
that says the same.
"""

from __future__ import annotations

from pathlib import Path

CHAOS = "tests/chaos/test_chaos.py"
HOUSE = "tests/end_to_end/test_household"
REFEREE = (
    "tests/dialogue/test_dialogue_properties.py",
    "tests/dialogue/test_talks.py::test_mute_at_any_moment_stops_the_stream_and_nothing_wakes",
    f"{CHAOS}::test_without_a_fault_every_phase_is_reached_and_nothing_is_wrong",
    f"{CHAOS}::test_every_fault_at_every_phase[doubled events]",
    f"{CHAOS}::test_every_fault_at_every_phase[dies in the answer]",
    f"{CHAOS}::test_every_fault_at_every_phase[black hole]",
    f"{CHAOS}::test_random_schedules[1]",
    f"{HOUSE}_talks.py::test_every_cause_cuts_the_answer_and_tells_the_model_what_was_heard[speech-0.35]",
    f"{HOUSE}_outages.py::test_a_turn_survives_the_loss_of_the_line[black hole-speaking]",
    f"{HOUSE}_outages.py::test_a_turn_survives_the_loss_of_the_line[unplugged-listening]",
    f"{HOUSE}_consent.py::test_a_spoken_yes_buys[off]",
    f"{HOUSE}_consent.py::test_the_button_agrees_to_either_risk[Risk.HIGH]",
    f"{HOUSE}_consent.py::test_guests_buy_nothing_also_after_a_restart[button]",
    f"{HOUSE}_consent.py::test_our_own_voice_saying_yes_is_nobodys_answer",
    f"{HOUSE}_desk.py::test_too_many_messages_are_refused_in_words",
    f"{HOUSE}_rooms.py::test_muted_nothing_is_heard_and_nothing_leaves_also_after_a_restart"
    "[long press]",
    f"{HOUSE}_rooms.py::test_a_lost_device_comes_back_and_no_stale_answer_is_played[unplug]",
    "tests/demo/test_refereed.py",
)
"""Runs that the referee judges: its rules are weighed against one another by these alone."""

CHECKS = (
    "tests/dialogue/test_dialogue_parts.py",
    "tests/dialogue/test_journeys.py",
    "tests/dialogue/test_labels.py",
    "tests/dialogue/test_talks.py",
    "tests/dialogue/test_link_talks.py",
    "tests/dialogue/test_tool_talks.py",
    "tests/dialogue/test_consent_talks.py",
    "tests/dialogue/test_consent.py",
    "tests/dialogue/test_yes_no.py",
    "tests/dialogue/test_yes_no_generated.py",
    "tests/dialogue/test_memory.py",
    "tests/dialogue/test_budget.py",
    "tests/dialogue/test_spending.py",
    "tests/dialogue/test_flow.py",
    "tests/host/test_state.py",
    "tests/end_to_end/test_speaker_api.py",
    "tests/host/test_journal.py",
    "tests/host/test_http_bounds.py",
    "tests/panel/test_patterns.py",
    "tests/tools/test_tools.py",
    "tests/tools/test_mcp_bounds.py",
    "tests/audio/test_playout.py",
    "tests/audio/test_alignment.py",
    "tests/audio/test_echo_drift.py",
    "tests/audio/test_supervisor.py",
    "tests/realtime/test_outbox.py",
    "tests/realtime/test_uplink.py",
    "tests/realtime/test_session.py",
    "tests/realtime/test_messages.py",
    "tests/realtime/test_feed.py",
    "tests/realtime/test_redial.py",
    "tests/contract/test_foreign.py",
    "tests/hostile/test_hostile_session.py",
    "tests/known_breaks/test_breaks_bounds.py",
    "tests/known_breaks/test_breaks_services.py",
    "tests/dialogue/test_ringing.py",
    "tests/dialogue/test_flow_talks.py",
    "tests/dialogue/test_tools_changed.py",
    "tests/dialogue/test_transcribing.py",
    "tests/dialogue/test_bad_buttons.py",
    "tests/dialogue/test_consent_properties.py",
    "tests/realtime/test_fallbacks.py",
    "tests/realtime/test_liveness.py",
    "tests/realtime/test_standby.py",
    "tests/realtime/test_link_talk.py",
    "tests/realtime/test_turn_cuts.py::test_a_cut_at_every_point_of_a_turn[closed 1011]",
    "tests/realtime/test_turn_cuts.py::test_a_roll_over_in_every_phase_of_a_turn[1]",
)
"""Everything else."""

NET = (*CHECKS, *REFEREE)


def checks_for(file: str) -> tuple[str, ...]:
    """`CHECKS` for a defect in `file`, its own room first: the first failure ends a run."""
    room = f"tests/{Path(file).parts[1]}/"
    return tuple(sorted(CHECKS, key=lambda test: not test.startswith(room)))


def is_referees(test: str) -> bool:
    """Is this test, by its pytest id, one that the referee judges?"""
    return test.startswith(REFEREE)
