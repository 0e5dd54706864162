"""Webhooks of any format: what a system posts to /v1/in/SYSTEM/NAME goes into that link's inlet, and is answered by its outcome.

Who may post, and how its signature, pace and size are checked, is the same as everywhere (`callers.py`). What waits for one link
is taken together: a request alone goes at once.

    200    everything has its outcome, whatever that is; a webhook that comes again is answered so as well
    422    nothing of it could be read: it was kept as quarantined, with every mistake, and a person can look at it
    404    no such link; the answer names those that there are
    503    nothing is known to be done: send the same again
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from interlock.connectors.inlet import Inlet, Origin, Taken
from interlock.connectors.links import Links
from interlock.connectors.receive import new_message_id, trace_id_of
from interlock.connectors.translate import Reading
from interlock.domain.decision import Arrival, Outcome, Problem
from interlock.domain.estate import System
from interlock.domain.links import WebhookIn
from interlock.web import bodies
from interlock.web.answers import KEY_REUSED
from interlock.web.callers import Caller, Callers
from interlock.web.door import Batcher, Busy
from interlock.web.problems import JSON, ProblemRaised

WEBHOOKS_AT_ONCE: Final = 200
WAITING_MAX: Final = 2_000
RESULTS_MAX: Final = 100
ERRORS_MAX: Final = 20
TOPIC_HEADERS: Final = (
    "x-shopify-topic",
    "x-wc-webhook-topic",
    "x-bc-webhook-scope",
    "x-magento-topic",
    "x-event-type",
    "x-event-name",
    "x-event-key",
    "x-github-event",
    "x-topic",
    "ce-type",
)
ID_HEADERS: Final = (
    "idempotency-key",
    "webhook-id",
    "x-shopify-event-id",
    "x-shopify-webhook-id",
    "x-wc-webhook-delivery-id",
    "x-event-id",
    "x-webhook-id",
    "ce-id",
)
_SECRETS: Final = frozenset({"authorization", "x-api-key", "cookie", "proxy-authorization"})
_encode = msgspec.json.Encoder(decimal_format="string").encode


class _Waiting(NamedTuple):
    body: bytes
    origin: Origin
    future: asyncio.Future[Taken]


class Inbound:
    """The addresses of webhook links."""

    def __init__(self, links: Links, callers: Callers, batcher: Batcher) -> None:
        self._links, self._callers, self._batcher = links, callers, batcher
        self._waiting: dict[tuple[str, str], list[_Waiting]] = {}
        self._working: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._in_hand = 0

    async def take(self, request: Request) -> Response:
        """One request: everything in it, taken and answered after the commit."""
        caller = await self._caller(request)
        system, link = self._link(caller.system, request.path_params.get("name", ""))
        bodies.media_type(request)  # refuses what is compressed
        body = await bodies.whole(request, system) if caller.body is None else caller.body
        trace_id = trace_id_of(request.headers.get("traceparent"))
        origin = _origin(request, caller, link, trace_id)
        await self._guard(caller, link, origin, body)
        taken = await self._put(self._links.inlet(system, link), (system.id, link.name), body, origin)
        return _answer(taken, system, link, trace_id)

    async def _caller(self, request: Request) -> Caller:
        """The system that the address names, by its signature where it signs, or else by its key."""
        name = request.path_params["system"]
        system = self._links.estate.systems.get(name)
        has_key = "authorization" in request.headers or "x-api-key" in request.headers
        if system is not None and system.signature is not None and (system.signature.with_api_key or not has_key):
            return await self._callers.posting(request, name)
        caller = await self._callers.posting(request)
        if caller.system.id != name:
            raise ProblemRaised(
                403, "no_authority", f"the key is one of {caller.system.id}: it posts to /v1/in/{caller.system.id}/NAME"
            )
        return caller

    def _link(self, system: System, name: str) -> tuple[System, WebhookIn]:
        hooks = [each for each in system.inbound if isinstance(each, WebhookIn)]
        found = [each for each in hooks if each.name == name] if name else hooks
        if len(found) != 1:
            known = ", ".join(f"/v1/in/{system.id}/{each.name}" for each in hooks) or "none"
            what = f"no webhook {name!r}" if name or not hooks else "several webhooks: say which"
            raise ProblemRaised(404, "not_found", f"{system.id} has {what}; the estate has {known}")
        return system, found[0]

    async def _guard(self, caller: Caller, link: WebhookIn, origin: Origin, body: bytes) -> None:
        """A signed request comes again only within its time, and stands for one body at one address for ever.

        Its topic belongs to the key: shops send one body under several topics.
        """
        signed, system = caller.signed, caller.system
        if signed is None:
            return
        keys = [f"{key}@{origin.context.get('topic', '')}"[:400] for key in signed.keys]
        if system.signature is not None and system.signature.replay_s is not None:
            came_first = await self._batcher.first_seen(system.id, keys[-1])
            late = came_first and self._callers.too_late(system, came_first, origin.received_at)
            if late:
                raise late
        meaning = sha256(b"in:" + link.name.encode() + b"\0" + body).digest()
        for key in keys:
            if not await self._batcher.open_key(system.id, key, meaning):
                why = "what is signed here came before with another body, or for another address: the first one stands"
                problem = Problem(reason=KEY_REUSED, explanation=why)
                await self._batcher.process(_refused(system, origin, body, problem))
                raise ProblemRaised(409, "conflict", why, reason=KEY_REUSED, outcome="conflict")

    async def _put(self, inlet: Inlet, key: tuple[str, str], body: bytes, origin: Origin) -> Taken:
        """Hand it to the link's worker, and wait for the commit."""
        if self._in_hand >= WAITING_MAX:
            raise Busy(f"{WAITING_MAX} webhooks wait already")
        future: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(_Waiting(body, origin, future))
        if key not in self._working:
            self._working[key] = asyncio.create_task(self._work(inlet, key))
        self._in_hand += 1
        try:
            return await future
        finally:
            self._in_hand -= 1

    async def _work(self, inlet: Inlet, key: tuple[str, str]) -> None:
        """Take what waits for a link, as long as something does."""
        try:
            while waiting := self._waiting.pop(key, []):
                some, rest = waiting[:WEBHOOKS_AT_ONCE], waiting[WEBHOOKS_AT_ONCE:]
                if rest:
                    self._waiting[key] = rest
                try:
                    messages = [(each.body, each.origin) for each in some]
                    done = await asyncio.to_thread(inlet.take_many, messages, answers=True)
                except Exception as error:
                    for each in some:
                        if not each.future.done():
                            each.future.set_exception(error)
                    continue
                for each, taken in zip(some, done, strict=True):
                    if not each.future.done():
                        each.future.set_result(taken)
        finally:
            del self._working[key]


def _origin(request: Request, caller: Caller, link: WebhookIn, trace_id: str) -> Origin:
    headers = {name.lower(): value for name, value in request.headers.items() if name.lower() not in _SECRETS}
    context: dict[str, Any] = {"headers": headers, "link": link.name}
    if request.query_params:
        context["query"] = dict(request.query_params)
    topic = _first(headers, TOPIC_HEADERS)
    if topic:
        context["topic"] = topic
    own = caller.signed.source_id if caller.signed is not None else None
    source_id = own or _first(headers, ID_HEADERS)
    return Origin(
        name=link.name or "webhook",
        received_at=datetime.now(UTC),
        source_message_id=source_id[:200] if source_id else None,
        trace_id=trace_id,
        context=context,
    )


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((headers[name].strip() for name in names if headers.get(name, "").strip()), None)


def _refused(system: System, origin: Origin, body: bytes, problem: Problem) -> Arrival:
    return Arrival(
        message_id=new_message_id(),
        system=system.id,
        received_at=origin.received_at,
        body=body,
        content_type="application/octet-stream",
        command=None,
        problem=problem,
        source_message_id=origin.source_message_id,
        trace_id=origin.trace_id,
    )


def _answer(taken: Taken, system: System, link: WebhookIn, trace_id: str) -> Response:
    if taken.records and sum(taken.rejected.values()) == taken.records:
        raise _unreadable(taken)
    results = [_result(reading, done) for reading, done in zip(taken.readings, taken.answers, strict=True)]
    body = {
        "system": system.id,
        "link": link.name,
        "trace_id": trace_id,
        "records": taken.records,
        "outcomes": dict(taken.outcomes),
        "skipped": taken.skipped,
        "rejected": dict(taken.rejected),
        "results": results[:RESULTS_MAX],
        "results_left_out": max(0, len(results) - RESULTS_MAX),
    }
    return Response(_encode(body), media_type=JSON)


def _result(reading: Reading, done: Outcome) -> dict[str, Any]:
    problem = reading.problem
    found = {
        "place": reading.place,
        "kind": reading.kind,
        "outcome": "skipped" if reading.skipped else done.outcome,
        "first": done.first or "",
        "reason": problem.reason if problem else reading.skipped or done.reason,
        "waits_for": done.waits_for,
        "message_id": "" if reading.skipped else str(done.message_id),
        "errors": problem.errors[:ERRORS_MAX] if problem else (),
        "notes": reading.notes[:ERRORS_MAX],
    }
    return {name: value for name, value in found.items() if value not in ("", ())}


def _unreadable(taken: Taken) -> ProblemRaised:
    problems = [reading.problem for reading in taken.readings if reading.problem is not None]
    errors = tuple(error for problem in problems for error in problem.errors)[:RESULTS_MAX]
    first = problems[0]
    detail = f"nothing of it could be read; it was kept, and a person can look at it: {first.explanation}"
    return ProblemRaised(
        422,
        "unreadable",
        detail,
        reason=first.reason,
        outcome="quarantined",
        message_id=str(taken.answers[0].message_id),
        errors=errors,
    )
