"""Troubles: what is wrong now, worst first, each with what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_agent.host.journal.reasons import REASONS
from edge_agent.host.service.status import Failure, Status
from edge_agent.host.service.troubles import IS_MENDED, NAMES, SIGNS, name_of, page, troubles

WELL = Status(link="ready", provider="openai", device_present=True, cap_microusd=1_000_000)


def test_a_speaker_that_is_well_has_none() -> None:
    assert troubles(WELL) == []
    assert [what for what, _ in page(WELL)].count("Trouble") == 0


@pytest.mark.parametrize(
    ("change", "code", "said", "fix"),
    [
        (
            {"device_present": False},
            "device.missing",
            "There is no sound device",
            "edge-agent devi",
        ),
        (
            {
                "device_present": False,
                "failure": Failure(code="device.busy", message="Held by mpd.", fix="End mpd."),
            },
            "device.busy",
            "Held by mpd.",
            "End mpd.",
        ),
        (
            {"link": "down", "link_code": "link.dns"},
            "link.dns",
            "There is no connection to openai.",
            "resolvectl",
        ),
        (
            {"link": "down", "link_code": "link.bad_key", "link_refused": True},
            "link.bad_key",
            "openai refuses this speaker.",
            "key",
        ),
        (
            {"sound_signs": ("device.switched_off",)},
            "device.switched_off",
            "only zeros",
            "mute key",
        ),
        ({"sound_signs": ("device.silent",)}, "device.silent", "one and the same", "its switch"),
        ({"sound_signs": ("audio.faint",)}, "audio.faint", "so faint", "Turn its gain up"),
        ({"sound_signs": ("audio.clipped",)}, "audio.clipped", "it clips", "capture level"),
        ({"sound_signs": ("audio.mic_pace",)}, "audio.mic_pace", "a wrong rate", "device.rate_hz"),
        ({"sound_signs": ("audio.speaker_pace",)}, "audio.speaker_pace", "rate", "device.rate_hz"),
        ({"sound_signs": ("audio.dead_channel",)}, "audio.dead_channel", "dead", "capture_channel"),
        ({"hears_badly": True}, "device.overruns", "loses sound", "USB port"),
        ({"cost_microusd": 1_000_000}, "budget.spent", "budget is spent", "daily_cap_usd"),
        ({"unsaved": True}, "state.unwritable", "cannot be saved", "Make room"),
        ({"endings": ("gpt-x ends on 2027-01-01",)}, "model.ends", "gpt-x ends", "realtime.model"),
        (
            {"faulty_buttons": ("talk: closed at the start",)},
            "panel.button_faulty",
            "The talk button has been down since the start; its presses do not count.",
            "panel.button_inverted",
        ),
        (
            {"faulty_buttons": ("mute: bounces",)},
            "panel.button_faulty",
            "The mute button is pressed faster than fingers can",
            "loose wire",
        ),
        ({"slips": 1}, "agent.fault", "faults in the program since its start: 1", "journalctl"),
    ],
)
def test_each_trouble_has_its_words_and_a_remedy(
    change: dict[str, Any], code: str, said: str, fix: str
) -> None:
    (trouble,) = troubles(replace(WELL, **change))
    assert trouble.code == code
    assert said in trouble.said
    assert fix in trouble.fix


def test_what_is_mended_is_no_reason_to_call_the_speaker_sick() -> None:
    found = troubles(replace(WELL, sound_signs=(*SIGNS, "audio.of_a_newer_program")))
    assert [trouble.code for trouble in found if not trouble.is_serious] == [
        code for code in SIGNS if code in IS_MENDED
    ]
    assert {trouble.code for trouble in found} == set(SIGNS)


def test_a_failure_of_something_else_lends_no_words() -> None:
    old = Failure(code="response.server_error", message="Sorry.", fix="Wait.")
    (trouble,) = troubles(replace(WELL, link="down", link_code="link.dns", failure=old))
    assert "Sorry" not in trouble.said + trouble.fix


def test_a_first_connection_is_no_trouble() -> None:
    assert troubles(replace(WELL, link="connecting")) == []


def test_the_worst_comes_first_and_what_it_does_before_all() -> None:
    ill = replace(WELL, unsaved=True, link="down", link_code="link.dns", device_present=False)
    assert [one.code for one in troubles(ill)] == ["device.missing", "link.dns", "state.unwritable"]
    assert [what for what, _ in page(ill)][:5] == ["Doing", *["Trouble"] * 3, "Microphone"]


def test_every_reason_why_a_line_is_down_that_a_person_can_mend_has_a_short_name() -> None:
    assert set(NAMES) <= set(REASONS)
    mended = {code for code, words in REASONS.items() if "once it is fixed" in words}
    assert {code for code in mended if code.startswith("link.")} <= set(NAMES)
    assert len(set(NAMES.values())) == len(NAMES)
    assert name_of("link.bad_key") == "wrong key"
    assert name_of("link.garbage") == "link.garbage"
