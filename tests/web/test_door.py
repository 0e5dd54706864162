"""The batcher: one part a batch, in order, bounded, drained, and never an answer that the engine did not give."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from interlock.domain.commands import CloseOrder
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import DatabaseUnavailable
from interlock.domain.values import OrderId, SystemId, part_of
from interlock.engine.ids import new_message_id
from interlock.web.door import Batcher, Busy
from tests.web.conftest import KEYS, Serve, order


class FakeDoor:
    """Answers everything, notes its batches, and waits at the gate before each."""

    def __init__(self) -> None:
        self.batches: list[list[Arrival]] = []
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.gate.set()
        self.error: Exception | None = None

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        self.entered.release()
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.batches.append(list(arrivals))
        return [Outcome(message_id=a.message_id, outcome="processed") for a in arrivals]

    accept = process

    def open_keys(self, requests: Sequence[tuple[SystemId, str, bytes]]) -> list[bool]:
        return [key != "used" for _, key, _ in requests]


def arrival(order_id: str, ref: str = "") -> Arrival:
    return Arrival(
        message_id=new_message_id(),
        system=SystemId("webshop"),
        received_at=datetime.now(UTC),
        body=b"{}",
        content_type="application/json",
        command=CloseOrder(order_id=OrderId(order_id), ref=ref),
    )


def run(door: FakeDoor, story: Callable[[Batcher], Awaitable[None]], **settings: int) -> None:
    async def main() -> None:
        batcher = Batcher(door, **settings)
        batcher.start()
        try:
            await asyncio.wait_for(story(batcher), 20)
        finally:
            door.gate.set()
            await batcher.close()

    asyncio.run(main())


def test_what_gathers_while_the_engine_is_busy_goes_in_batches_of_one_part_in_order() -> None:
    door = FakeDoor()
    door.gate.clear()
    sent = [arrival(f"webshop:{n % 3}", str(n)) for n in range(90)]

    async def story(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.process(arrival("webshop:first")))
        await asyncio.to_thread(door.entered.acquire)
        waiting = [asyncio.ensure_future(batcher.process(each)) for each in sent]
        await asyncio.sleep(0)
        door.gate.set()
        outcomes = await asyncio.gather(*waiting)
        await first
        assert [o.message_id for o in outcomes] == [a.message_id for a in sent]

    run(door, story, threads=1)

    assert [len(batch) for batch in door.batches] == [1, 30, 30, 30]
    for batch in door.batches:
        assert len({part_of(a.command.subject) for a in batch if a.command}) == 1
        assert [a.message_id for a in batch] == sorted(a.message_id for a in batch)


def test_a_batch_is_no_larger_than_its_limit_and_the_other_parts_come_between() -> None:
    door = FakeDoor()
    door.gate.clear()

    async def story(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.process(arrival("webshop:first")))
        await asyncio.to_thread(door.entered.acquire)
        waiting = [asyncio.ensure_future(batcher.process(arrival("webshop:a", str(n)))) for n in range(10)]
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(batcher.process(arrival("webshop:b"))))
        await asyncio.sleep(0)
        door.gate.set()
        await asyncio.gather(first, *waiting)

    run(door, story, threads=1, batch_commands_max=4)

    assert [len(batch) for batch in door.batches] == [1, 4, 1, 4, 2]


def test_one_part_is_never_in_two_batches_at_a_time() -> None:
    door = FakeDoor()
    door.gate.clear()

    async def story(batcher: Batcher) -> None:
        waiting = [asyncio.ensure_future(batcher.process(arrival("webshop:a", str(n)))) for n in range(5)]
        await asyncio.to_thread(door.entered.acquire)
        assert not await asyncio.to_thread(door.entered.acquire, timeout=0.2)
        other = asyncio.ensure_future(batcher.process(arrival("webshop:b")))
        assert await asyncio.to_thread(door.entered.acquire, timeout=5)
        door.gate.set()
        await asyncio.gather(other, *waiting)

    run(door, story, threads=3)


def test_beyond_the_limit_a_request_is_told_to_come_again_and_room_lets_bulk_wait() -> None:
    door = FakeDoor()
    door.gate.clear()

    async def story(batcher: Batcher) -> None:
        waiting = [asyncio.ensure_future(batcher.process(arrival(f"webshop:{n}"))) for n in range(3)]
        await asyncio.sleep(0)
        assert batcher.in_hand == 3
        with pytest.raises(Busy):
            await batcher.process(arrival("webshop:4"))
        room = asyncio.ensure_future(batcher.room(2))
        await asyncio.sleep(0.01)
        assert not room.done()
        door.gate.set()
        await asyncio.gather(room, *waiting)
        await batcher.room(1000)
        assert (await batcher.process(arrival("webshop:4"))).outcome == "processed"

    run(door, story, waiting_max=3)


def test_closing_finishes_what_waits_and_takes_nothing_new() -> None:
    door = FakeDoor()
    door.gate.clear()

    async def story(batcher: Batcher) -> None:
        waiting = [asyncio.ensure_future(batcher.process(arrival(f"webshop:{n}"))) for n in range(20)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await batcher.process(arrival("webshop:late"))
        door.gate.set()
        await closing
        assert [(await each).outcome for each in waiting] == ["processed"] * 20

    run(door, story)


def test_an_error_of_the_engine_reaches_every_request_of_its_batch_and_the_next_goes_on() -> None:
    door = FakeDoor()

    async def story(batcher: Batcher) -> None:
        door.error = DatabaseUnavailable("gone")
        failed = await asyncio.gather(
            *(batcher.process(arrival("webshop:a", str(n))) for n in range(3)), return_exceptions=True
        )
        assert [type(each) for each in failed] == [DatabaseUnavailable] * 3
        assert batcher.in_hand == 0
        door.error = None
        assert (await batcher.process(arrival("webshop:a"))).outcome == "processed"

    run(door, story)


def test_a_client_that_went_away_harms_nobody() -> None:
    door = FakeDoor()
    door.gate.clear()

    async def story(batcher: Batcher) -> None:
        gone = asyncio.ensure_future(batcher.process(arrival("webshop:a")))
        await asyncio.to_thread(door.entered.acquire)
        gone.cancel()
        other = asyncio.ensure_future(batcher.process(arrival("webshop:a", "2")))
        await asyncio.sleep(0)
        door.gate.set()
        assert (await other).outcome == "processed"

    run(door, story)


@pytest.mark.parametrize(
    ("error", "status", "reason", "retry_after"),
    [
        (DatabaseUnavailable("gone"), 503, "database_unavailable", "5"),
        (Busy("5000 requests wait already"), 503, "busy", "1"),
        (RuntimeError("secret detail"), 500, "internal", None),
    ],
)
def test_no_answer_is_invented_when_the_engine_fails(
    serve_door: Serve, error: Exception, status: int, reason: str, retry_after: str | None
) -> None:
    door = FakeDoor()
    door.error = error

    answer = httpx.post(
        f"{serve_door(door)}/v1/orders", json=order(), headers={"X-API-Key": KEYS["webshop"]}, trust_env=False
    )

    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers.get("retry-after") == retry_after
    assert "secret" not in answer.text


def test_stopping_the_server_answers_what_was_begun(serve_door: Serve) -> None:
    """The engine is held while the server is told to stop: the request still gets its answer."""
    door = FakeDoor()
    url = serve_door(door)
    door.gate.clear()
    answers: list[httpx.Response] = []

    def ask() -> None:
        headers = {"X-API-Key": KEYS["webshop"]}
        answers.append(httpx.post(f"{url}/v1/orders", json=order(), headers=headers, trust_env=False, timeout=20))

    asking = threading.Thread(target=ask)
    asking.start()
    assert door.entered.acquire(timeout=10)
    serve_door.stop()
    threading.Timer(0.5, door.gate.set).start()
    asking.join(timeout=20)

    assert [answer.status_code for answer in answers] == [201]
    assert msgspec.json.decode(answers[0].content)["outcome"] == "processed"
