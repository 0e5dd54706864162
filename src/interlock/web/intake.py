"""One command from bytes to its answer: read, guarded by its Idempotency-Key, batched, answered."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import structlog

from interlock.connectors.mapping import Mapper
from interlock.connectors.receive import JSON, receive
from interlock.contracts import catalog
from interlock.contracts.use import Contracts, Use
from interlock.domain.commands import payload_hash
from interlock.domain.decision import Arrival, Problem
from interlock.domain.estate import Estate, System
from interlock.web.answers import KEY_REUSED, Answer, answer_to, answer_to_error
from interlock.web.callers import Callers
from interlock.web.door import Batcher
from interlock.web.observed import Observed
from interlock.web.problems import ProblemRaised, problem

CONTRACT_OVER: Final = "contract_over"
_NUMBER: Final = re.compile("[0-9]{1,9}")

log = structlog.get_logger(__name__)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers of a request say about its commands.

    `ref` names the fact of a body that does not name it itself. Each of `keys` stands for one payload for ever. `version` is the
    version of its contract that the body speaks, where it says so.
    """

    trace_id: str
    ref: str | None = None
    keys: tuple[str, ...] = ()
    source_message_id: str | None = None
    is_signed: bool = False
    is_relayed: bool = False
    respond_async: bool = False
    content_type: str = JSON
    version: int | None = None

    def of_line(self, number: int) -> Sent:
        """The same for one line of a bulk request."""
        if self.ref is None:
            return self
        return msgspec.structs.replace(
            self,
            ref=f"{self.ref}/{number}",
            keys=tuple(f"{key}/{number}" for key in self.keys),
            source_message_id=self.source_message_id and f"{self.source_message_id}/{number}",
        )


def _with(answer: Answer, headers: dict[str, str]) -> Answer:
    return msgspec.structs.replace(answer, headers=answer.headers | headers) if headers else answer


class Intake:
    """Takes commands in, whichever way they came to the web."""

    def __init__(self, estate: Estate, batcher: Batcher, callers: Callers, observed: Observed) -> None:
        self.mapper = Mapper(estate)
        self.batcher = batcher
        self._callers = callers
        self._observed = observed
        self.contracts = Contracts(catalog.catalog())

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
                idempotency_key=sent.ref,
                source_message_id=sent.source_message_id,
                trace_id=sent.trace_id,
                record=record,
                version=sent.version,
            )
            arrival, use = self._held_to_contract(system, action, arrival, sent)
            headers = use.headers() if use is not None else {}
            if arrival.command is not None:
                # Lines of many, and what a store's edge held, may have waited for long; a request alone was sent just now.
                # A signed one was timed already.
                is_live = record is None and not sent.is_signed and not sent.is_relayed
                if is_live and arrival.command.occurred_at is not None:
                    self._observed.stated(system.id, arrival.command.occurred_at, arrival.received_at)
                if sent.keys:
                    arrival = await self._guarded(system, arrival, sent)
            if sent.respond_async and arrival.command is not None:
                outcome = await self.batcher.accept(arrival)
                answer = answer_to(arrival, outcome, sent.trace_id)
                return _with(answer, headers | {"Preference-Applied": "respond-async"})
            return _with(answer_to(arrival, await self.batcher.process(arrival), sent.trace_id), headers)
        except ProblemRaised as raised:
            return Answer(status=raised.status, body=raised.problem(sent.trace_id), headers=raised.headers)
        except Exception as error:
            answer_known = answer_to_error(error, sent.trace_id)
            if answer_known is not None:
                return answer_known
            log.exception("command_failed", system=system.id, action=action, trace_id=sent.trace_id)
            detail = "the message may or may not have been kept: send the same again, it is never done twice"
            return Answer(status=500, body=problem(500, "internal", detail, sent.trace_id))

    def spoken(self, header: str | None, action: str | None) -> int | None:
        """The version of the contract that a request speaks, by its header `Contract-Version`; None for the current one.

        Raises a 400 problem for a version that there is not.
        """
        if header is None:
            return None
        there = self.contracts.versions("commands", action) if action is not None else []
        number = int(header) if _NUMBER.fullmatch(header) else 0
        if number not in there:
            known = ", ".join(map(str, there)) or "none here: lines of several actions speak the current ones"
            detail = f"the header Contract-Version is {header[:40]!r}; expected a version of {action or 'an action'}: {known}"
            raise ProblemRaised(400, "bad_request", detail)
        return number if number != there[-1] else None

    def _held_to_contract(
        self, system: System, action: str | None, arrival: Arrival, sent: Sent
    ) -> tuple[Arrival, Use | None]:
        """What the message uses of its contract, counted; without its command where that is over and the estate refuses it."""
        name = arrival.command.action if arrival.command is not None else action
        use = self.contracts.use("commands", name, sent.version, arrival.body) if name else None
        if use is None:
            return arrival, None
        self._observed.used(system.id, use, arrival.received_at)
        over = use.over(arrival.received_at.date()) if use.deprecated and system.deprecated == "refuse" else []
        if over:
            gone = Problem(reason=CONTRACT_OVER, explanation="; ".join(over))
            arrival = msgspec.structs.replace(arrival, command=None, problem=gone)
        return arrival, use

    async def _guarded(self, system: System, arrival: Arrival, sent: Sent) -> Arrival:
        """The arrival; without its command if its key, or a signed request's id, stood for another payload before.

        Raises BadSignature where a signed request comes again later than it may.
        """
        assert arrival.command is not None
        if sent.is_signed and system.signature is not None and system.signature.replay_s is not None:
            came_first = await self.batcher.first_seen(system.id, sent.keys[-1])
            late = came_first and self._callers.too_late(system, came_first, arrival.received_at)
            if late:
                raise late
        meaning = payload_hash(arrival.command)
        for key in sent.keys:
            if not await self.batcher.open_key(system.id, key, meaning):
                break
        else:
            return arrival
        if key.startswith("signed:"):
            explanation = (
                "what is signed here came before for another action: the first one stands. Bodies for different actions "
                "must differ, because the signature does not cover the address"
            )
        else:
            name = "id" if sent.is_signed else "Idempotency-Key"
            explanation = (
                f"the {name} {key!r} came before with another payload: the first one stands; a new request needs a new "
                f"{name}"
            )
        return msgspec.structs.replace(
            arrival, command=None, problem=Problem(reason=KEY_REUSED, explanation=explanation)
        )
