"""The small parts of the simulated estate: its HTTP, its fates, its bulk calls, its files."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from interlock.simulation.estate_program.chance import PROFILES, fate_of, share
from interlock.simulation.estate_program.files import drop, drop_torn
from interlock.simulation.estate_program.floor import Work
from interlock.simulation.estate_program.http import HttpClient, HttpFailed, HttpServer, Response
from interlock.simulation.estate_program.interlock_api import Bulk, Caller
from interlock.simulation.estate_program.journal import Journal
from tests.simulation.test_estate_program import free_port


def test_fates_follow_from_the_seed_and_the_number_in_their_shares() -> None:
    fates = [fate_of(PROFILES["usual"], 1, str(number)) for number in range(5000)]

    assert fates == [fate_of(PROFILES["usual"], 1, str(number)) for number in range(5000)]
    assert Counter(fate.cancel for fate in fates if fate.cancel).total() == 151
    assert sum(fate.returned for fate in fates) == 194
    assert all(not (fate.cancel and fate.returned) for fate in fates)
    assert {fate.payment for fate in fates if fate.cancel == "unpaid"} == {"never"}


def test_a_share_lies_between_zero_and_one_and_depends_on_its_purpose() -> None:
    assert 0 <= share(1, "a", "k") < 1
    assert share(1, "a", "k") != share(1, "b", "k") != share(2, "b", "k")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n", b"abcd"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!", b"!"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_the_client_reads_every_way_of_framing_an_answer(body: bytes, expected: bytes) -> None:
    assert asyncio.run(answer_of(body)).body == expected


@pytest.mark.parametrize("body", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"what?\r\n\r\n"])
def test_an_answer_that_is_cut_or_no_http_is_a_failure(body: bytes) -> None:
    with pytest.raises(HttpFailed):
        asyncio.run(answer_of(body))


async def answer_of(text: bytes) -> Response:
    """What the client makes of these bytes as the answer to a request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        return await client.request("GET", "/", {}, timeout_s=2)
    finally:
        await client.close()
        server.close()


def test_the_client_keeps_its_connection_and_opens_another_after_a_cut() -> None:
    async def talk() -> list[int | None]:
        calls = 0

        async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response | None:
            nonlocal calls
            calls += 1
            return None if calls == 2 else Response(200, {}, body)

        statuses: list[int | None] = []
        port = free_port()
        async with HttpServer(port, handle):
            client = HttpClient("127.0.0.1", port)
            for _ in range(3):
                try:
                    statuses.append((await client.request("POST", "/", {}, b"x")).status)
                except HttpFailed:
                    statuses.append(None)
            await client.close()
        return statuses

    assert asyncio.run(talk()) == [200, None, 200]


def test_bulk_sends_only_those_lines_again_that_were_told_to_wait() -> None:
    seen: list[list[str]] = []

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response | None:
        refs = [msgspec.json.decode(line)["ref"] for line in body.splitlines()]
        seen.append(refs)
        busy = len(seen) == 1
        lines = [{"line": n, "status": 503 if busy and ref == "b" else 200} for n, ref in enumerate(refs, 1)]
        return Response(200, {}, b"\n".join(map(msgspec.json.encode, lines)) + b"\n")

    async def talk() -> list[int]:
        port, journal = free_port(), Journal()
        async with HttpServer(port, handle):
            client = HttpClient("127.0.0.1", port)
            bulk = Bulk(Caller(client, "shop", "key", journal, 5.0), 0.01)
            running = asyncio.create_task(bulk.run())
            answers = await asyncio.gather(*(bulk.submit("order.capture", {"ref": ref}) for ref in "abc"))
            running.cancel()
            await client.close()
        return [answer.status for answer in answers]

    assert asyncio.run(talk()) == [200, 200, 200]
    assert seen == [["a", "b", "c"], ["b"]]


def test_canceled_units_are_not_shipped_and_what_has_left_cannot_be_canceled() -> None:
    work = Work("webshop:1/1", "webshop:1", "DC", "delivery", {1: 3, 2: 1})

    assert work.cancel([{"line_no": 1, "quantity": 1}, {"line_no": 2, "quantity": 1}])
    assert work.lines == {1: 2}
    work.shipped = True
    assert not work.cancel([{"line_no": 1, "quantity": 2}])
    assert work.lines == {1: 2}


def test_a_dropped_file_appears_whole_and_a_torn_one_grows(tmp_path: Path) -> None:
    content = b"a,b\n" * 1000
    sizes: set[int] = set()

    async def watch() -> None:
        tearing = asyncio.create_task(drop_torn(tmp_path, "torn.csv", content))
        while not tearing.done():
            await asyncio.sleep(0.02)
            sizes.add((tmp_path / "torn.csv").stat().st_size)

    drop(tmp_path, "whole.csv", content)
    asyncio.run(watch())

    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "torn.csv").read_bytes() == content
    assert len(sizes) > 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["torn.csv", "whole.csv"]
