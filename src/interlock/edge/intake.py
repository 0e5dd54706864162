"""HTTP from the systems of the house: what they post is on the disk when they are answered, wherever the centre is.

POST /v1/...     202 with its place; the addresses are those of the centre
GET  /status     how it stands
GET  /healthz    the process runs
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from interlock.edge.queue import New, Queue, QueueBroken, QueueFull
from interlock.edge.settings import EdgeSettings, address_of

RETRY_AFTER_S: Final = 30
KEY_LENGTH_MAX: Final = 200
READ_TIMES_MAX: Final = 4
STREAM_HEADER: Final = "interlock-stream"
_OWN: Final = frozenset(
    {
        *(
            "authorization",
            "x-api-key",
            "cookie",
            "host",
            "content-length",
            "idempotency-key",
            "user-agent",
            "forwarded",
        ),
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "accept-encoding"),
        *("proxy-authorization", "proxy-connection", STREAM_HEADER, "interlock-edge"),
    }
)
"""Headers that are about this one connection, or that the edge says itself; all others go with the item."""

_TITLES: Final = {
    400: "The request could not be read",
    401: "The key is wrong",
    404: "There is nothing at this address",
    409: "The same key with another payload",
    413: "The body is larger than the edge takes",
    422: "The centre has refused it",
    503: "The queue cannot be written",
    507: "There is no room",
}

_encode = msgspec.json.Encoder().encode


class _Refused(Exception):
    def __init__(self, status: int, reason: str, detail: str, **members: object) -> None:
        self.status, self.reason, self.detail, self.members = status, reason, detail, members
        super().__init__(detail)

    def response(self) -> Response:
        body = {
            "type": f"urn:interlock:problem:{self.reason}",
            "title": _TITLES[self.status],
            "status": self.status,
            "reason": self.reason,
            "detail": self.detail,
            **self.members,
        }
        headers = {"Retry-After": str(RETRY_AFTER_S)} if self.status in (503, 507) else {}
        if self.status == 413:
            headers["Connection"] = "close"  # the rest of the body may still be on its way
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(_encode(body), self.status, headers, "application/problem+json")


def create_app(queue: Queue, settings: EdgeSettings, status: Callable[[], Mapping[str, Any]]) -> Starlette:
    """The edge's HTTP side."""
    intake = _Intake(queue, settings, status)
    return Starlette(
        routes=[
            Route("/v1/{rest:path}", _answering(intake.post), methods=["POST"]),
            Route("/status", _answering(intake.status), methods=["GET"]),
            Route("/healthz", _answering(intake.healthz), methods=["GET"]),
        ]
    )


class _Intake:
    def __init__(self, queue: Queue, settings: EdgeSettings, status: Callable[[], Mapping[str, Any]]) -> None:
        self._queue = queue
        self._settings = settings
        self._status = status

    async def post(self, request: Request) -> Response:
        self._check_key(request)
        path = address_of(request.url.path, self._settings.system)
        if path is None:
            raise _Refused(
                404,
                "not_found",
                f"{request.url.path}: an edge of {self._settings.system} takes /v1/orders, /v1/bulk, /v1/actions/ACTION, "
                f"/v1/hooks/{self._settings.system}/ACTION and /v1/in/{self._settings.system}/LINK",
            )
        given = _idempotency_key(request)
        key = given or f"edge-{self._settings.name}-{uuid4().hex}"
        client = request.client.host if request.client else ""
        new = New(
            stream=_stream(request) or f"{client} {path}",
            key=key,
            path=path + (f"?{request.url.query}" if request.url.query else ""),
            headers=_encode(_headers(request)).decode(),
            body=await self._body(request),
            queued_at=datetime.now(UTC).isoformat(),
        )
        try:
            placed = await asyncio.wrap_future(self._queue.put(new))
        except QueueFull as full:
            raise _Refused(507, "queue_full", f"{full}: nothing was queued") from None
        except QueueBroken as broken:
            raise _Refused(503, "queue_broken", f"{broken}: nothing was queued") from None
        if placed.standing == "other":
            raise _Refused(409, "conflict", f"the Idempotency-Key {key!r} stands for something else, which waits")
        if placed.standing == "dead":
            raise _Refused(422, "refused", f"the centre refused it: {placed.said}", place=placed.place)
        answer = {
            "outcome": "queued",
            "message_id": key,
            "place": placed.place,
            "waiting": self._queue.items,
            "replayed": placed.standing == "same",
        }
        return Response(_encode(answer), 202, {"Idempotency-Key": key}, "application/json")

    async def status(self, request: Request) -> Response:
        self._check_key(request)
        return Response(_encode(await asyncio.to_thread(self._status)), media_type="application/json")

    async def healthz(self, _: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    def _check_key(self, request: Request) -> None:
        wanted = self._settings.local_key
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.headers.get("x-api-key", "")
        if wanted and not hmac.compare_digest(given.strip().encode("utf-8", "replace"), wanted.encode()):
            raise _Refused(
                401, "unauthorized", "send the edge's local key as Authorization: Bearer KEY, or as X-API-Key"
            )

    async def _body(self, request: Request) -> bytes:
        bytes_max = self._settings.limits.body_bytes_max
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size <= bytes_max:
                parts.append(part)
            elif size > READ_TIMES_MAX * bytes_max:
                break  # what is a little too large is read to its end, so that its sender reads the answer
        if size > bytes_max:
            raise _Refused(413, "too_large", f"the body has more than {bytes_max} bytes (limits.body_bytes_max)")
        return b"".join(parts)


def _answering(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answering(request: Request) -> Response:
        try:
            return await handler(request)
        except _Refused as refused:
            return refused.response()
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    return answering


def _idempotency_key(request: Request) -> str | None:
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    # The draft standard writes it as a quoted string; most clients leave the quotes out.
    if len(given) > 1 and given[0] == given[-1] == '"':
        given = given[1:-1]
    return _named("Idempotency-Key", given)


def _stream(request: Request) -> str | None:
    given = request.headers.get(STREAM_HEADER)
    return None if given is None else _named("Interlock-Stream", given)


def _named(name: str, given: str) -> str:
    if not (0 < len(given) <= KEY_LENGTH_MAX and given.isprintable() and given == given.strip()):
        raise _Refused(
            400, "bad_request", f"{name}: expected 1 to {KEY_LENGTH_MAX} characters without control characters"
        )
    return given


def _headers(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
