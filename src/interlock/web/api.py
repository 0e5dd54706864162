"""The HTTP API: which address does what. docs/http-api.md is its page, `GET /openapi.json` its description
for programs.

    app = create_app(db, estate, door)
    serve(app, "127.0.0.1", 8080)

A command goes through `intake.py` (one) or `bulk.py` (many) to the engine; reads go to `storage/views.py`, in
threads, a few at a time, so that people looking never hold up orders coming in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.mapping_errors import MappingFailed, suggestion
from interlock.connectors.mapping_json import read_object
from interlock.contracts.catalog import catalog
from interlock.domain import values
from interlock.domain.commands import COMMANDS
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate
from interlock.operations.clocks import clocks
from interlock.operations.interchanges import interchanges_of
from interlock.storage import pos_marks, signed, views
from interlock.storage.database import Database
from interlock.web import bodies
from interlock.web.bulk import NDJSON, take_many
from interlock.web.callers import Caller, Callers
from interlock.web.contracts import ContractPages
from interlock.web.door import Batcher, EngineDoor
from interlock.web.events import EventFeed
from interlock.web.handling import answering, bad, http_problem, json_answer, limit_of, nothing, parameters, trace_of
from interlock.web.inbound import Inbound
from interlock.web.intake import Intake, Sent
from interlock.web.observed import Observed
from interlock.web.openapi import openapi
from interlock.web.problems import JSON, ProblemRaised
from interlock.web.server import WebServer, serve

__all__ = ["WebServer", "create_app", "serve"]

READS_AT_ONCE_MAX: Final = 2
READY_WITHIN_S: Final = 3.0

T = TypeVar("T")

_encode = msgspec.json.Encoder(decimal_format="string").encode


def create_app(
    db: Database,
    estate: Estate,
    door: EngineDoor,
    *,
    batch_threads: int = 3,
    batch_commands_max: int = 400,
    waiting_max: int = 5_000,
    environment: Mapping[str, str] = os.environ,
    links: Links | None = None,
) -> Starlette:
    """The API over a database, an estate and the engine's door; its lifespan starts and drains the batcher.

    `links` are the estate's own where an app has wired them with observers.
    Raises SecretsWrong where the environment does not have the secrets of the estate's signatures.
    """
    batcher = Batcher(
        door,
        threads=batch_threads,
        batch_commands_max=batch_commands_max,
        waiting_max=waiting_max,
        first_seen=lambda keys: db.transaction(lambda tx: signed.first_seen_many(tx, keys)),
    )
    observed = Observed(db)
    callers = Callers(estate, environment, observed)
    api = Api(db, estate, batcher, callers, observed)
    feed = EventFeed(db, estate, callers)
    pages = ContractPages(catalog())
    inbound = Inbound(links or Links(estate, Mapper(estate), door), callers, batcher)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        batcher.start()
        writing = asyncio.create_task(observed.run())
        try:
            yield
        finally:
            await batcher.close()
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing

    routes = [
        Route("/v1/orders", answering(api.create_orders), methods=["POST"]),
        Route("/v1/actions/{action}", answering(api.act), methods=["POST"]),
        Route("/v1/bulk", answering(api.bulk), methods=["POST"]),
        Route("/v1/hooks/{system}/orders", answering(api.create_orders), methods=["POST"]),
        Route("/v1/hooks/{system}/{action}", answering(api.act), methods=["POST"]),
        Route("/v1/in/{system}", answering(inbound.take), methods=["POST"]),
        Route("/v1/in/{system}/{name}", answering(inbound.take), methods=["POST"]),
        Route("/v1/orders/{identifier:path}/story", answering(api.story), methods=["GET"]),
        Route("/v1/orders/{identifier:path}", answering(api.order), methods=["GET"]),
        Route("/v1/positions", answering(api.positions), methods=["GET"]),
        Route("/v1/exceptions", answering(api.exceptions), methods=["GET"]),
        Route("/v1/exceptions/close", answering(api.close_exception), methods=["POST"]),
        Route("/v1/messages/{message_id}", answering(api.message), methods=["GET"]),
        Route("/v1/events", answering(feed.events), methods=["GET"]),
        Route("/v1/receivers", answering(api.receivers), methods=["GET"]),
        Route("/v1/interchanges", answering(api.interchanges), methods=["GET"]),
        Route("/v1/clocks", answering(api.clocks), methods=["GET"]),
        Route("/v1/pos/days", answering(api.pos_days), methods=["GET"]),
        Route("/healthz", answering(api.healthz), methods=["GET"]),
        Route("/readyz", answering(api.readyz), methods=["GET"]),
        Route("/v1/contracts", answering(pages.contracts), methods=["GET"]),
        Route("/v1/contracts/{kind}/{name}/{version}", answering(pages.contract), methods=["GET"]),
        Route("/asyncapi.json", answering(pages.asyncapi), methods=["GET"]),
        Route("/openapi.json", answering(api.openapi), methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: http_problem})


class Api:
    """What each address does."""

    def __init__(self, db: Database, estate: Estate, batcher: Batcher, callers: Callers, observed: Observed) -> None:
        self._db = db
        self._estate = estate
        self._batcher = batcher
        self._callers = callers
        self._intake = Intake(estate, batcher, callers, observed)
        self._reading = asyncio.Semaphore(READS_AT_ONCE_MAX)
        self._asking: asyncio.Future[bool] | None = None
        self._openapi = _encode(openapi())

    # Commands

    async def create_orders(self, request: Request) -> Response:
        """One order as JSON, or many as NDJSON."""
        return await self._take(request, "order.create", many=bodies.media_type(request) == NDJSON)

    async def act(self, request: Request) -> Response:
        """One command of any action."""
        action = request.path_params["action"]
        if action not in COMMANDS:
            detail = f"{action!r} is no action{suggestion(action, COMMANDS)}; there are {', '.join(COMMANDS)}"
            raise ProblemRaised(404, "not_found", detail)
        return await self._take(request, action, many=False)

    async def bulk(self, request: Request) -> Response:
        """Many commands of any action, one a line."""
        return await self._take(request, None, many=True)

    async def _take(self, request: Request, action: str | None, *, many: bool) -> Response:
        caller = await self._callers.posting(request, request.path_params.get("system"))
        given, wanted = bodies.media_type(request), NDJSON if many else JSON
        if given != wanted:
            raise ProblemRaised(
                415, "unsupported_media_type", f"Content-Type {given or '(none)'}: this address reads {wanted}"
            )
        sent = _sent(request, caller, given, self._intake.spoken(request.headers.get("contract-version"), action))
        if many:
            body = bodies.pieces(request, caller.body)
            return await take_many(self._intake, body, caller.system, action, sent)
        whole = await bodies.whole(request, caller.system) if caller.body is None else caller.body
        return (await self._intake.take(caller.system, action, whole, sent)).response()

    # Reads

    async def order(self, request: Request) -> Response:
        """The whole order that an identifier leads to."""
        self._callers.system(request)
        identifier = request.path_params["identifier"]
        found = await self._read(views.orders, self._estate, identifier)
        if not found:
            raise nothing(f"no order has the identifier {identifier!r}")
        if len(found) > 1:
            raise ProblemRaised(
                409, "conflict", f"{identifier!r} leads to several orders: {', '.join(o['order_id'] for o in found)}"
            )
        return json_answer(found[0])

    async def story(self, request: Request) -> Response:
        """Everything that happened to an order, in time order."""
        self._callers.system(request)
        identifier = request.path_params["identifier"]
        steps = await self._read(views.story, self._estate, identifier)
        if not steps:
            raise nothing(f"nothing is known of {identifier!r}")
        return json_answer({"identifier": identifier, "steps": steps})

    async def positions(self, request: Request) -> Response:
        """Stock by SKU, by node, or both."""
        self._callers.system(request)
        asked = parameters(request, {"sku", "node", "limit"})
        rows = await self._read(
            views.positions, self._estate, sku=asked.get("sku"), node=asked.get("node"), limit=limit_of(asked)
        )
        return json_answer({"positions": rows})

    async def exceptions(self, request: Request) -> Response:
        """Work for people, the most urgent first."""
        self._callers.system(request)
        asked = parameters(request, {"reason", "open", "limit"})
        word = asked.get("open", "true").lower()
        if word not in ("true", "false"):
            raise bad("open", word, "true (open ones, the default) or false (closed ones)")
        rows = await self._read(
            views.exceptions, reason=asked.get("reason"), is_open=word == "true", limit=limit_of(asked)
        )
        return json_answer({"exceptions": rows})

    async def close_exception(self, request: Request) -> Response:
        """Close an exception on evidence."""
        caller = await self._callers.posting(request)
        if bodies.media_type(request) != JSON:
            raise ProblemRaised(415, "unsupported_media_type", f"this address reads {JSON}")
        body = await bodies.whole(request, caller.system) if caller.body is None else caller.body
        subject, exception_id, evidence = _closing(body)
        closed = await self._read(views.close_exception, subject, exception_id, str(caller.system.id), evidence)
        if closed is None:
            raise nothing(f"there is no open exception {exception_id!r} of {subject!r}")
        return json_answer(closed)

    async def message(self, request: Request) -> Response:
        """One message: what came in, and what became of it."""
        self._callers.system(request)
        asked = parameters(request, {"subject"})
        try:
            message_id = UUID(request.path_params["message_id"])
        except ValueError:
            raise nothing(f"{request.path_params['message_id']!r} is no message id") from None
        found = await self._read(views.message, message_id, subject=asked.get("subject"))
        if found is None:
            raise nothing(f"there is no message {message_id}")
        return json_answer(found)

    async def receivers(self, request: Request) -> Response:
        """What receivers have still to be told, by receiver and state."""
        self._callers.system(request)
        return json_answer({"receivers": await self._read(views.receivers)})

    async def interchanges(self, request: Request) -> Response:
        """Interchanges with partners, the newest first."""
        self._callers.system(request)
        asked = parameters(request, {"system", "open", "limit"})
        is_open = asked.get("open") == "true"
        rows = await self._read(interchanges_of, asked.get("system"), is_open=is_open, limit=limit_of(asked))
        return json_answer({"interchanges": rows})

    async def clocks(self, request: Request) -> Response:
        """How far the clock of each system is from ours."""
        self._callers.system(request)
        return json_answer({"clocks": await self._read(clocks, self._estate)})

    async def pos_days(self, request: Request) -> Response:
        """What is stated of the tills' business days."""
        self._callers.system(request)
        asked = parameters(request, {"store", "day", "open", "limit"})
        word = asked.get("open", "false").lower()
        if word not in ("true", "false"):
            raise bad("open", word, "true (those that are not complete) or false (all, the default)")
        try:
            day = date.fromisoformat(asked["day"]) if "day" in asked else None
        except ValueError:
            raise bad("day", asked["day"], "a day such as 2026-03-02") from None
        rows = await self._read(
            pos_marks.days, store=asked.get("store"), day=day, unfinished=word == "true", limit=limit_of(asked)
        )
        return json_answer({"days": rows})

    async def _read(self, view: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        async with self._reading:
            return await asyncio.to_thread(view, self._db, *args, **kwargs)

    # About the service

    async def healthz(self, _: Request) -> Response:
        """The process runs."""
        return json_answer({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """The database answers, so commands can be taken."""
        # One question at a time: probes must not fill the threads while the database is away.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(asyncio.to_thread(views.is_ready, self._db))
            self._asking.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
        try:
            await asyncio.wait_for(asyncio.shield(self._asking), READY_WITHIN_S)
        except Exception as error:
            raise ProblemRaised(
                503,
                "database_unavailable",
                f"the database did not answer within {READY_WITHIN_S:.0f} s: {type(error).__name__}",
                headers={"Retry-After": "5"},
            ) from error
        return json_answer({"status": "ready", "in_hand": self._batcher.in_hand})

    async def openapi(self, _: Request) -> Response:
        """The description of all this for programs."""
        return Response(self._openapi, media_type=JSON)


# Requests


def _sent(request: Request, caller: Caller, content_type: str, version: int | None) -> Sent:
    signed = caller.signed
    # An Idempotency-Key is not covered by the signature: with another one, anybody could send the same again.
    key = None if signed else _idempotency_key(request)
    return Sent(
        trace_id=trace_of(request),
        ref=signed.ref if signed else key,
        keys=signed.keys if signed else (key,) if key else (),
        source_message_id=signed.source_id if signed else key,
        is_signed=signed is not None,
        is_relayed="interlock-edge" in request.headers,
        respond_async=_prefers_async(request),
        content_type=content_type,
        version=version,
    )


def _idempotency_key(request: Request) -> str | None:
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    # The draft standard writes it as a quoted string; most clients leave the quotes out.
    if len(given) > 1 and given[0] == given[-1] == '"':
        given = given[1:-1]
    try:
        return values.key("Idempotency-Key", given)
    except InvalidValue as error:
        raise ProblemRaised(400, "bad_request", str(error)) from None


def _prefers_async(request: Request) -> bool:
    wishes = ",".join(request.headers.getlist("prefer")).split(",")
    return any(wish.strip().lower() == "respond-async" for wish in wishes)


class _Closing(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    exception_id: str
    evidence: str


def _closing(body: bytes) -> tuple[str, str, str]:
    try:
        asked = msgspec.convert(read_object(body), _Closing)
    except MappingFailed as failed:
        raise ProblemRaised(400, "unreadable", failed.problem.explanation, errors=failed.problem.errors) from None
    except msgspec.ValidationError as error:
        raise ProblemRaised(400, "unreadable", f"expected subject, exception_id and evidence: {error}") from None
    evidence = asked.evidence.strip()
    if not evidence or "\0" in evidence + asked.subject + asked.exception_id:
        raise ProblemRaised(400, "unreadable", "evidence: say how it was seen that the trouble is over")
    return asked.subject, asked.exception_id, evidence
