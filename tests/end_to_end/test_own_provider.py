"""A provider that only the owner's table knows: chosen, dialled, kept within its limits, counted;
and a wrong name in the real program."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from program import environment, program
from whole_house import Answers, faults, play, ready, whole_turn

from edge_agent.demo.stage import Stage
from edge_agent.demo.surroundings import MEMORY_URL

APPEND_MAX_BYTES = 960
TABLE = f"""
[providers.kitchen]
url = "{MEMORY_URL}"
auth = "bearer-optional"
append_max_bytes = {APPEND_MAX_BYTES}
[providers.kitchen.models.pipeline]
ends = 2026-01-01
[providers.kitchen.models.pipeline.usd_per_million]
audio_in = 100
audio_cached = 100
audio_out = 100
text_in = 100
text_cached = 100
text_out = 100
"""
CONFIG = 78


def appended(event: dict[str, Any]) -> bytes:
    """The sound of an append, else nothing."""
    is_append = event.get("type") == "input_audio_buffer.append"
    return base64.b64decode(event["audio"]) if is_append else b""


def test_the_owners_own_record_end_to_end(tmp_path: Path) -> None:
    table = tmp_path / "providers.toml"
    table.write_text(TABLE)
    pieces: list[bytes] = []

    def watch(_side: str, event: dict[str, Any], _at: float) -> None:
        if sound := appended(event):
            pieces.append(sound)

    async def talk() -> None:
        service = {
            "provider": "kitchen",
            "url": "",
            "model": "pipeline",
            "providers_file": str(table),
        }
        async with Stage(
            brain=Answers("answer_tea"),
            settings={"realtime": service},
            server={"on_event": watch},
        ) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await whole_turn(stage, said, "answer_tea")
            assert stage.daemon.link.provider == "kitchen"
            status = stage.daemon.status.snapshot()
            assert (status.provider, status.unpriced) == ("kitchen", 0)
            assert status.cost_microusd > 0
            assert status.endings == (
                "the model pipeline has ended on 2026-01-01: choose another one",
            )
            assert not faults(stage)

    play(talk())
    assert sum(map(len, pieces)) > 24_000  # half a second at least
    assert max(map(len, pieces)) <= APPEND_MAX_BYTES


def test_a_provider_that_nobody_knows_ends_the_program_with_the_nearest(tmp_path: Path) -> None:
    table = tmp_path / "providers.toml"
    table.write_text(TABLE)
    env = environment(
        tmp_path,
        {
            "EDGE_AGENT_REALTIME__PROVIDER": "kitchn",
            "EDGE_AGENT_REALTIME__PROVIDERS_FILE": str(table),
        },
    )
    with program("run", env=env) as speaker:
        assert speaker.end(None) == CONFIG
        assert "realtime.provider: there is no provider 'kitchn'. Did you mean kitchen?" in (
            speaker.text
        )
    table.write_text("[providers.kitchen]\nurl = 'ws://nas.lan/'\n[providers.spare]\n")
    env["EDGE_AGENT_REALTIME__PROVIDER"] = "kitchen"
    with program("config", "check", env=env) as check:
        assert check.end(None) == CONFIG
        assert "unencrypted" in check.text
