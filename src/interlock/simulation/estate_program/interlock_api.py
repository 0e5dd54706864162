"""A system's calls to Interlock's API: with its key, tried again while that can help, counted.

Every change carries a `ref`, an order's number or an Idempotency-Key, so that a call whose answer was lost can be
made again as it was.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from interlock.simulation.estate_program.chance import share
from interlock.simulation.estate_program.http import HttpClient, HttpFailed
from interlock.simulation.estate_program.journal import Journal

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
ACCEPTED = (200, 201)
WAIT_FIRST_S, WAIT_MAX_S = 0.05, 1.0
TIMEOUT_S = 15.0
BULK_LINES_MAX = 1000


class Answer(msgspec.Struct, frozen=True):
    """What Interlock said; status 0: nothing, in all the time that it was given."""

    status: int
    body: dict[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether it was applied, now or before."""
        return self.status in ACCEPTED

    @property
    def word(self) -> str:
        """Status and outcome, for counting."""
        words = [self.body.get("outcome") or self.body.get("title") or "", self.body.get("reason") or ""]
        words.append("again" if self.body.get("replayed") else "")
        return " ".join([str(self.status), *(str(word) for word in words if word)])


class Caller:
    """One system that calls."""

    def __init__(self, client: HttpClient, system: str, key: str, journal: Journal, give_up_s: float) -> None:
        self.system = system
        self.journal = journal
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._give_up_s = give_up_s

    async def post(
        self, action: str, body: dict[str, Any], *, key: str = "", expected: tuple[int, ...] = ACCEPTED
    ) -> Answer:
        """Ask for an action; an answer that is not expected is kept as a surprise."""
        path = "/v1/orders" if action == "order.create" else f"/v1/actions/{action}"
        headers = self._headers | {"Idempotency-Key": key} if key else self._headers
        answer = await self._call("POST", path, headers, msgspec.json.encode(body))
        self._note(action, body, answer, expected)
        return answer

    async def get(self, path: str) -> Answer:
        """Read something."""
        return await self._call("GET", path, self._headers, b"")

    async def post_many(self, records: list[dict[str, Any]], expected: list[tuple[int, ...]]) -> list[Answer]:
        """Ask for several actions in one call; each record names its `action`. Lines told to wait are sent again."""
        answers: list[Answer | None] = [None] * len(records)
        headers = self._headers | {"Content-Type": "application/x-ndjson"}
        until = time.monotonic() + self._give_up_s
        wait_s = WAIT_FIRST_S
        while open_lines := [place for place, answer in enumerate(answers) if answer is None]:
            body = b"\n".join(msgspec.json.encode(records[place]) for place in open_lines) + b"\n"
            whole, lines = await self._call_raw("POST", "/v1/bulk", headers, body)
            found = [_object(line) for line in lines.splitlines() if line.strip()] if whole == 200 else []
            late = time.monotonic() >= until or self.journal.is_hopeless
            if len(found) != len(open_lines):  # the whole call failed: the same is its answer for every line
                status = 502 if whole == 200 else whole  # a cut answer may be whole the next time
                found = [{"status": status, "title": f"bulk answered {whole} with {len(found)} lines"}] * len(
                    open_lines
                )
            for place, line in zip(open_lines, found, strict=True):
                if late or line.get("status") not in AGAIN:
                    answers[place] = Answer(int(line.get("status", 0)), line)
                else:
                    self.journal.count(self.system, "http_lines_sent_again")
            if any(answer is None for answer in answers):
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, WAIT_MAX_S)
        done = [answer for answer in answers if answer is not None]
        for record, answer, expect in zip(records, done, expected, strict=True):
            self._note(record["action"], record, answer, expect)
        return done

    async def _call(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        status, text = await self._call_raw(method, path, headers, body)
        return Answer(status, _object(text))

    async def _call_raw(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """The last status and body; tries again after failures and 'later' answers, with growing waits."""
        until = time.monotonic() + self._give_up_s
        wait_s = WAIT_FIRST_S
        for attempt in range(1_000_000):
            try:
                response = await self._client.request(method, path, headers, body, TIMEOUT_S)
                status, text = response.status, response.body
                if status not in AGAIN:
                    return status, text
                self.journal.count(self.system, f"http_{status}")
            except HttpFailed:
                status, text = 0, b""
                self.journal.count(self.system, "http_no_answer")
            if time.monotonic() >= until or self.journal.is_hopeless:
                break
            self.journal.count(self.system, "http_retries")
            await asyncio.sleep(wait_s * (0.5 + share(len(body), path, attempt)))
            wait_s = min(wait_s * 2, WAIT_MAX_S)
        self.journal.give_up(self.system)
        return status, text

    def _note(self, action: str, body: dict[str, Any], answer: Answer, expected: tuple[int, ...]) -> None:
        self.journal.count(self.system, f"{action}: {answer.word}")
        if answer.status not in expected:
            about = {name: body[name] for name in ("order_id", "order", "assignment", "sku", "ref") if name in body}
            self.journal.surprise(self.system, action=action, about=about, status=answer.status, answer=answer.body)


def _object(text: bytes) -> dict[str, Any]:
    """The JSON object of a body; what is none is kept as its title."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = None
    return value if isinstance(value, dict) else {"title": text[:200].decode("utf-8", "replace")}


class Bulk:
    """Gathers a system's records for `gather_s` and posts them together, one call at a time: their order holds."""

    def __init__(self, caller: Caller, gather_s: float) -> None:
        self._caller = caller
        self._gather_s = gather_s
        self._waiting: list[tuple[dict[str, Any], tuple[int, ...], asyncio.Future[Answer]]] = []
        self._wake = asyncio.Event()

    def submit(self, action: str, body: dict[str, Any], expected: tuple[int, ...] = ACCEPTED) -> asyncio.Future[Answer]:
        """Post the record with the next call; the future is its answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(({"action": action, **body}, expected, future))
        self._wake.set()
        return future

    async def run(self) -> None:
        """Post until canceled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._gather_s)
            now, self._waiting = self._waiting[:BULK_LINES_MAX], self._waiting[BULK_LINES_MAX:]
            if not self._waiting:
                self._wake.clear()
            answers = await self._caller.post_many([record for record, _, _ in now], [each[1] for each in now])
            for (_, _, future), answer in zip(now, answers, strict=True):
                if not future.cancelled():
                    future.set_result(answer)
