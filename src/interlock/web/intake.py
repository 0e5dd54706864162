"""One command from bytes to its answer: read, guarded by its Idempotency-Key, batched, answered."""

from __future__ import annotations

import msgspec
import structlog

from interlock.connectors.mapping import Mapper
from interlock.connectors.receive import JSON, receive
from interlock.domain.commands import payload_hash
from interlock.domain.decision import Arrival, Problem
from interlock.domain.estate import Estate, System
from interlock.web.answers import KEY_REUSED, Answer, answer_to, answer_to_error
from interlock.web.door import Batcher
from interlock.web.problems import problem

log = structlog.get_logger(__name__)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers of a request say about its commands."""

    trace_id: str
    idempotency_key: str | None = None
    respond_async: bool = False
    content_type: str = JSON

    def of_line(self, number: int) -> Sent:
        """The same for one line of a bulk request."""
        if self.idempotency_key is None:
            return self
        return msgspec.structs.replace(self, idempotency_key=f"{self.idempotency_key}/{number}")


class Intake:
    """Takes commands in, whichever way they came to the web."""

    def __init__(self, estate: Estate, batcher: Batcher) -> None:
        self.mapper = Mapper(estate)
        self.batcher = batcher

    async def take(
        self, system: System, action: str | None, body: bytes, sent: Sent, *, record: str | None = None
    ) -> Answer:
        """The answer to one command, given after the commit; an error of the engine is an answer too."""
        try:
            arrival = receive(
                self.mapper,
                system,
                action,
                body,
                content_type=sent.content_type,
                idempotency_key=sent.idempotency_key,
                trace_id=sent.trace_id,
                record=record,
            )
            if sent.idempotency_key is not None and arrival.command is not None:
                arrival = await self._guarded(arrival, sent.idempotency_key)
            if sent.respond_async and arrival.command is not None:
                outcome = await self.batcher.accept(arrival)
                answer = answer_to(arrival, outcome, sent.trace_id)
                headers = {**answer.headers, "Preference-Applied": "respond-async"}
                return msgspec.structs.replace(answer, headers=headers)
            return answer_to(arrival, await self.batcher.process(arrival), sent.trace_id)
        except Exception as error:
            answer_known = answer_to_error(error, sent.trace_id)
            if answer_known is not None:
                return answer_known
            log.exception("command_failed", system=system.id, action=action, trace_id=sent.trace_id)
            detail = "the message may or may not have been kept: send the same again, it is never done twice"
            return Answer(status=500, body=problem(500, "internal", detail, sent.trace_id))

    async def _guarded(self, arrival: Arrival, key: str) -> Arrival:
        """The arrival; without its command if the Idempotency-Key stood for another payload before."""
        assert arrival.command is not None
        if await self.batcher.open_key(arrival.system, key, payload_hash(arrival.command)):
            return arrival
        explanation = (
            f"the Idempotency-Key {key!r} came before with another payload: the first one stands; a new request "
            "needs a new key"
        )
        return msgspec.structs.replace(
            arrival, command=None, problem=Problem(reason=KEY_REUSED, explanation=explanation)
        )
