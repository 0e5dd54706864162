"""Many commands in one request: NDJSON in, one answer a line out, in the same order.

Lines are read as they come and handed to the engine some hundreds at a time. The answers are gathered in a
file (in memory while they are few) and sent when the request was read to its end: a client that sends
everything before it reads anything would otherwise wait for us while we wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from interlock.domain.estate import System
from interlock.web import bodies
from interlock.web.answers import Answer
from interlock.web.intake import Intake, Sent
from interlock.web.problems import ProblemRaised, problem

NDJSON: Final = "application/x-ndjson"
LINES_AT_ONCE: Final = 500
ANSWER_BYTES_IN_MEMORY_MAX: Final = 4_194_304
CHUNK_BYTES: Final = 65_536


async def take_many(
    intake: Intake, body: AsyncIterator[bytes], system: System, action: str | None, sent: Sent
) -> Response:
    """Process every line; a bad one has its own answer and spoils no other.

    An Idempotency-Key stands for the whole request: each line's own is `KEY/line number`. What is beyond the system's
    limits ends the reading there, and has the last answer: the good lines before it are done, and stay done.
    """
    answers: IO[bytes] = SpooledTemporaryFile(max_size=ANSWER_BYTES_IN_MEMORY_MAX)  # noqa: SIM115 - sent later
    rows_max = system.limits.rows_max
    pending: list[tuple[int, bytes]] = []
    count = 0
    number = 0
    try:
        async for number, line in bodies.lines(body, system):
            count += 1
            if count > rows_max:
                raise bodies.LineTooLong(
                    f"line {number} is one too many, {system.id} may send {rows_max} lines at a time "
                    "(limits.rows_max in the estate)"
                )
            pending.append((number, line))
            if len(pending) == LINES_AT_ONCE:
                answers.write(await _take(intake, system, action, sent, pending))
                pending = []
        answers.write(await _take(intake, system, action, sent, pending))
    except bodies.LineTooLong as error:
        answers.write(await _take(intake, system, action, sent, pending))
        detail = f"{error}; it and what follows was not read: send the rest in another request"
        refused = Answer(status=413, body=problem(413, "too_large", detail, sent.trace_id))
        answers.write(refused.line(number + 1 if count <= rows_max else number))
        async for _ in body:
            pass  # so that the client comes to its end and reads the answer
    except ClientDisconnect:
        answers.close()
        raise
    if count == 0:
        answers.close()
        raise ProblemRaised(400, "bad_request", "the body holds no line; expected one JSON object a line")
    answers.seek(0)
    return StreamingResponse(_chunks(answers), media_type=NDJSON)


async def _take(
    intake: Intake, system: System, action: str | None, sent: Sent, pending: list[tuple[int, bytes]]
) -> bytes:
    await intake.batcher.room(2 * len(pending))
    answered = await asyncio.gather(
        *(intake.take(system, action, line, sent.of_line(number), record=f"line {number}") for number, line in pending)
    )
    return b"".join(answer.line(number) for (number, _), answer in zip(pending, answered, strict=True))


async def _chunks(answers: IO[bytes]) -> AsyncIterator[bytes]:
    with answers:
        while chunk := answers.read(CHUNK_BYTES):
            yield chunk
