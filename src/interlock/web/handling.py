"""What all handlers of the API share: reading a request's parameters, and answering, also where something went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from interlock.connectors.receive import trace_id_of
from interlock.web.answers import answer_to_error
from interlock.web.problems import JSON, ProblemRaised, problem, problem_response

log = structlog.get_logger(__name__)

ROWS_MAX: Final = 5_000
ROWS_DEFAULT: Final = 500

Handler = Callable[[Request], Awaitable[Response]]

_encode = msgspec.json.Encoder(decimal_format="string").encode


def parameters(request: Request, allowed: set[str]) -> dict[str, str]:
    """The query's parameters; an unknown one is a mistake, because leaving it out would answer another
    question.
    """
    for name in request.query_params:
        if name not in allowed:
            raise bad(name, request.query_params[name], f"one of {', '.join(sorted(allowed))}")
        if "\0" in request.query_params[name]:
            raise bad(name, request.query_params[name], "text without control characters")
    return {name: value for name, value in request.query_params.items() if value}


def limit_of(asked: Mapping[str, str]) -> int:
    """How many rows are asked for."""
    given = asked.get("limit", str(ROWS_DEFAULT))
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= ROWS_MAX):
        raise bad("limit", given, f"a whole number from 1 to {ROWS_MAX}")
    return int(given)


def trace_of(request: Request) -> str:
    """The trace that the request belongs to, or a new one."""
    return trace_id_of(request.headers.get("traceparent"))


def answering(handler: Handler) -> Handler:
    """The handler, whose every error becomes a problem; what nobody foresaw is logged."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except ProblemRaised as raised:
            return problem_response(raised.problem(trace_of(request)), raised.headers)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as error:
            trace_id = trace_of(request)
            known = answer_to_error(error, trace_id)
            if known is not None:
                return known.response()
            log.exception("request_failed", method=request.method, path=request.url.path, trace_id=trace_id)
            return problem_response(
                problem(500, "internal", "an error of ours; it was logged under the trace id", trace_id)
            )

    return answer


async def http_problem(request: Request, error: Exception) -> Response:
    """The problem for what no handler was asked."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = getattr(error, "headers", None)
    path = request.url.path
    if status == 404:
        body = problem(
            404, "not_found", f"there is nothing at {path}; GET /openapi.json tells what is", trace_of(request)
        )
    elif status == 405:
        allowed = (headers or {}).get("Allow", "")
        detail = f"{path} does not take {request.method}, only {allowed}"
        body = problem(405, "method_not_allowed", detail, trace_of(request))
    else:
        body = problem(status, "bad_request", str(getattr(error, "detail", error)), trace_of(request))
    return problem_response(body, headers)


def json_answer(body: object) -> Response:
    """The body as JSON."""
    return Response(_encode(body), media_type=JSON)


def nothing(detail: str) -> ProblemRaised:
    """The problem that there is no such thing."""
    return ProblemRaised(404, "not_found", detail)


def bad(name: str, value: str, expected: str) -> ProblemRaised:
    """The problem that a parameter is not what it should be."""
    return ProblemRaised(400, "bad_request", f"the parameter {name} is {value[:100]!r}, expected {expected}")
