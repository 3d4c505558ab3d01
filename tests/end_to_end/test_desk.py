"""The desk with real threads: what hangs is given up or left behind, and holds up nobody."""

from __future__ import annotations

import asyncio
import random
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from speech_service import KEY
from text_service import ANSWER, TextService
from waiting import until
from webhook_service import Hook

from edge_agent.app.tools.desk import Desk
from edge_agent.app.tools.toolbox import IO_THREADS
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import ToolFinished
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.web import webhook
from edge_agent.host.web.text_model import text_model
from edge_agent.tools.desk_tools import LEFT, PARTS_LEFT_OUT
from edge_agent.tools.registry import Registry
from edge_agent.tools.runner import CANCELLED, ToolRunner


class House:
    """A desk with real threads, and the tools in front of it."""

    def __init__(self, folder: Path, **sections: dict[str, object]) -> None:
        raw: dict[str, Any] = {"state": {"path": str(folder / "state.json")}, **sections}
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.faults: list[BaseException] = []
        self.disk = Worker("disk", threads=True, on_fault=self.faults.append)
        self.io_pool = Worker("io", threads=True, on_fault=self.faults.append, size=IO_THREADS)
        self.desk = Desk(
            Settings(**raw),
            disk=self.disk,
            io_pool=self.io_pool,
            note=lambda code, /, **fields: self.notes.append((code, fields)),
            time=asyncio.get_running_loop().time,
            now=lambda: datetime.now().astimezone(),
            rng=random.Random(1),
        )
        self.results: asyncio.Queue[ToolFinished] = asyncio.Queue()
        self.hands = ToolRunner(Registry(self.desk.tools), self.results.put_nowait)

    async def close(self) -> None:
        await self.hands.close()
        self.io_pool.close()
        await self.disk.drain()
        self.disk.close()
        assert not self.faults


def keyed(text_service: TextService, folder: Path) -> dict[str, object]:
    key = folder / "key"
    key.write_text(KEY)
    return {"model": "gpt-5", "url": text_service.base, "api_key_file": str(key)}


def test_a_cancelled_question_is_not_waited_for_and_the_next_one_is_answered(
    text_service: TextService, tmp_path: Path
) -> None:
    text_service.answers = [lambda _h: text_service.gate.wait(5)]

    async def main() -> None:
        house = House(tmp_path, supervisor=keyed(text_service, tmp_path))
        house.hands.run("hangs", "answer", '{"question": "long"}')
        await until(lambda: text_service.requests)
        house.hands.cancel("hangs")
        result = await asyncio.wait_for(house.results.get(), 2)
        assert (result.call_id, result.output) == ("hangs", CANCELLED)
        house.hands.run("next", "answer", '{"question": "short"}')
        result = await asyncio.wait_for(house.results.get(), 2)
        assert result.call_id == "next"
        assert ANSWER.splitlines()[0] in result.output
        text_service.gate.set()
        await house.close()

    asyncio.run(main())


def test_a_shared_key_that_is_put_right_works_at_once(
    text_service: TextService, tmp_path: Path
) -> None:
    file = tmp_path / "keys/shared"
    file.parent.mkdir()
    file.write_text("sk-wrong")
    realtime: dict[str, object] = {"api_key": "sk-wrong", "api_key_file": str(file)}
    realtime["url"] = text_service.base.replace("http", "ws") + "/realtime"

    async def main() -> None:
        house = House(tmp_path, supervisor={"model": "gpt-5"}, realtime=realtime)

        async def asked() -> bool:
            house.hands.run("c", "answer", '{"question": "why"}')
            return ANSWER.splitlines()[0] in (await house.results.get()).output

        assert not await asked()
        file.write_text(KEY)
        assert await asked()
        file.write_bytes(b"\xff\xfe")
        assert not await asked()
        file.unlink()
        assert not await asked()
        file.parent.rmdir()
        file.parent.write_text("a file in the place of a folder")
        assert not await asked()
        codes = [fields["code"] for code, fields in house.notes if code == "supervisor.failed"]
        assert codes == ["link.bad_key", "link.bad_key", "link.no_key", "link.key_unreadable"]
        await house.close()

    asyncio.run(main())


def test_a_model_that_hangs_is_told_in_words(
    text_service: TextService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is the settings'; here it is made short behind their back."""
    text_service.answers = [lambda _h: text_service.gate.wait(5)]

    def hasty(settings: Settings, **options: Any) -> Any:
        return text_model(settings, max_seconds=0.05, **options)

    monkeypatch.setattr("edge_agent.app.tools.desk.text_model", hasty)

    async def main() -> None:
        house = House(tmp_path, supervisor={"model": "gpt-5", "url": text_service.base})
        house.hands.run("c", "answer", '{"question": "long"}')
        result = await asyncio.wait_for(house.results.get(), 4)
        assert "took too long" in result.output
        assert [fields["code"] for _, fields in house.notes] == ["link.timeout"]
        text_service.gate.set()
        await house.close()

    asyncio.run(main())


def test_two_questions_run_at_once_and_beside_the_loop(
    text_service: TextService, tmp_path: Path
) -> None:
    both = threading.Barrier(2, timeout=5)

    def together(handler: Any) -> None:
        both.wait()  # breaks, and the answer with it, if they came one after the other
        handler.answer()

    text_service.answers = [together, together]

    async def main() -> None:
        house = House(tmp_path, supervisor=keyed(text_service, tmp_path))
        for name in "ab":
            house.hands.run(name, "answer", '{"question": "x"}')
        results = [await asyncio.wait_for(house.results.get(), 5) for _ in "ab"]
        assert all(ANSWER.splitlines()[0] in result.output for result in results)
        await house.close()

    asyncio.run(main())


def test_a_hook_that_hangs_does_not_hold_up_the_person(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answers = [lambda _h: hook.gate.wait(5)]
    monkeypatch.setattr("edge_agent.app.tools.desk.SENT_WAIT_S", 0.05)

    async def main() -> None:
        house = House(tmp_path, messages={"webhook_url": hook.url})
        sending = asyncio.create_task(house.desk.run())
        house.hands.run("c", "leave_message", '{"text": "  come \\n home "}')
        result = await asyncio.wait_for(house.results.get(), 4)
        assert result.output == LEFT["stored"]
        assert [message.text for message in house.desk.box.unsent] == ["come home"]
        sending.cancel()
        await asyncio.wait({sending})
        hook.gate.set()
        await house.close()

    asyncio.run(main())
    # What was in doubt is sent again, under the same id.
    asyncio.run(delivered(tmp_path, hook))
    ids = {request["headers"]["Idempotency-Key"] for request in hook.requests}
    assert len(ids) == 1
    assert len(hook.taken) == 1


async def delivered(folder: Path, hook: Hook) -> None:
    house = House(folder, messages={"webhook_url": hook.url})
    sending = asyncio.create_task(house.desk.run())
    await until(lambda: not house.desk.box.unsent)
    sending.cancel()
    await asyncio.wait({sending})
    await house.close()


def test_a_sender_that_has_nothing_to_do_rests(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, messages={"webhook_url": "http://127.0.0.1:1/x"})
        sending = asyncio.create_task(house.desk.run())
        await asyncio.sleep(0.02)
        assert not sending.done()
        assert house.notes == []
        sending.cancel()
        await asyncio.wait({sending})
        await house.close()

    asyncio.run(main())


def test_tries_come_slower_and_the_trouble_is_told_once(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answers = [lambda h: h.send(500, b"")] * 3
    pauses: list[float] = []

    class Quick(webhook.Pauses):
        def next_s(self, error: AgentError) -> float:
            pauses.append(super().next_s(error))
            return 0.01

    monkeypatch.setattr(webhook, "Pauses", Quick)

    async def main() -> None:
        house = House(tmp_path, messages={"webhook_url": hook.url})
        sending = asyncio.create_task(house.desk.run())
        assert await house.desk.leave("x", "", "normal") == ("stored", False)
        await until(lambda: not house.desk.box.unsent)
        codes = [code for code, _ in house.notes]
        assert codes.count("messages.undelivered") == 1
        assert codes[-1] == "messages.sent"
        sending.cancel()
        await asyncio.wait({sending})
        await house.close()

    asyncio.run(main())
    assert len(pauses) == 3
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, (5, 10, 20), strict=True))


def test_the_owner_deletes_over_the_socket_by_id_only(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        for text in ("one", "two"):
            assert await house.desk.leave(text, "", "normal") == ("kept", False)
        first = house.desk.box.messages[0]
        assert house.desk.forget({"ids": [first.id, "unknown"]}) == {"deleted": 1}
        assert house.desk.forget({"ids": []}) == {"deleted": 0}
        for wrong in ({}, {"ids": "all"}, {"ids": [1]}):
            with pytest.raises(AgentError, match="Which messages"):
                house.desk.forget(wrong)
        await house.disk.drain()
        again = House(tmp_path)
        assert [message.text for message in again.desk.box.messages] == ["two"]
        await house.close()
        await again.close()

    asyncio.run(main())


def test_what_the_owner_wants_taken_out_is(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, messages={"redact": True}, privacy={"redact_names": ["Anna"]})
        arguments = '{"text": "Call Anna at 030 1234567", "sender": "Anna"}'
        house.hands.run("c", "leave_message", arguments)
        result = await asyncio.wait_for(house.results.get(), 4)
        assert result.output == LEFT["kept"] + PARTS_LEFT_OUT
        [message] = house.desk.box.messages
        assert message.text == "Call [name] at [number]"
        assert message.sender == "[name]"
        await house.close()

    asyncio.run(main())
