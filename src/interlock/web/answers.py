"""What became of an arrival, as an HTTP status and a JSON object: the same for a request alone and for a line
of many.
"""

from __future__ import annotations

from typing import Any, Final, assert_never

import msgspec
from starlette.responses import Response

from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import DatabaseUnavailable, TransactionConflict
from interlock.web.door import Busy
from interlock.web.problems import JSON, PROBLEM_JSON, Problem, problem

KEY_REUSED: Final = "idempotency_key_reused"
_FORBIDDEN: Final = frozenset({"no_authority", "wrong_source", "unknown_system"})

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer before it is written: a problem, or the JSON object of a success."""

    status: int
    body: dict[str, Any] | Problem
    headers: dict[str, str] = {}

    def response(self) -> Response:
        """As an HTTP answer of its own."""
        media_type = PROBLEM_JSON if isinstance(self.body, Problem) else JSON
        return Response(_encode(self.body), status_code=self.status, media_type=media_type, headers=self.headers)

    def line(self, number: int) -> bytes:
        """As one line of the answer to a bulk request."""
        body = msgspec.to_builtins(self.body) if isinstance(self.body, Problem) else self.body
        return _encode({"line": number, **body, "status": self.status}) + b"\n"


def answer_to(arrival: Arrival, outcome: Outcome, trace_id: str) -> Answer:
    """The answer to an arrival. A duplicate gets the first answer again, whatever it was."""
    first: dict[str, Any] = msgspec.json.decode(outcome.answer)
    replayed = outcome.outcome == "duplicate"
    word = (outcome.first or "processed") if replayed else outcome.outcome
    members = {"outcome": word, "message_id": str(outcome.message_id)}
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    match word:
        case "processed" | "stale" | "duplicate":
            created = (
                word == "processed" and not replayed and arrival.command is not None
            ) and arrival.command.action == "order.create"
            body = {**members, **first, "replayed": replayed}
            if outcome.reason and word == "stale":
                body["detail"] = outcome.reason
            return Answer(status=201 if created else 200, body=body, headers=headers)
        case "parked" | "received":
            body = {**members, **first, "replayed": replayed}
            if word == "parked":
                body.setdefault("waits_for", outcome.waits_for)
            return Answer(status=202, body=body, headers=headers)
        case "refused":
            reason = str(first.get("reason") or outcome.reason or "refused")
            forbidden = reason in _FORBIDDEN
            kind = "no_authority" if forbidden else "refused"
            if reason == "wrong_source":
                kind = reason
            detail = str(first.get("detail") or f"the rules do not allow this now: {reason}")
            status = 403 if forbidden else 422
            return Answer(
                status=status,
                body=problem(status, kind, detail, trace_id, **{**members, "reason": reason}),
                headers=headers,
            )
        case "conflict":
            return Answer(status=409, body=problem(409, "conflict", _conflict(arrival), trace_id, **members))
        case "quarantined":
            return _quarantined(arrival, trace_id, members)
        case _:
            assert_never(word)


def _conflict(arrival: Arrival) -> str:
    command = arrival.command
    if command is None:
        return "the same key came before with another payload"
    key = f" with the ref {command.key}" if command.key else ""
    return (
        f"{command.action} of {command.subject}{key} came before with another payload: the first one stands, and a "
        "person will look at this one. Send a correction as an action of its own, or under a new ref."
    )


def _quarantined(arrival: Arrival, trace_id: str, members: dict[str, str]) -> Answer:
    found = arrival.problem
    if found is None:
        detail = "the message was kept, but an error of ours kept it from being processed"
        return Answer(status=500, body=problem(500, "quarantined", detail, trace_id, **members))
    if found.reason == KEY_REUSED:
        members = {**members, "outcome": "conflict", "reason": found.reason}
        return Answer(status=409, body=problem(409, "conflict", found.explanation, trace_id, **members))
    return Answer(
        status=400,
        body=problem(400, "unreadable", found.explanation, trace_id, errors=found.errors, **members),
    )


def answer_to_error(error: Exception, trace_id: str) -> Answer | None:
    """The answer where the engine could not be asked; None for an error that nobody foresaw.

    Nothing is known to be done then: the sender asks again, and the ledger makes sure that it is done once.
    """
    if isinstance(error, Busy):
        headers = {"Retry-After": str(error.retry_after_s)}
        return Answer(status=503, body=problem(503, "busy", str(error), trace_id), headers=headers)
    if isinstance(error, DatabaseUnavailable | TransactionConflict):
        detail = "the message may or may not have been kept: send the same again, it is never done twice"
        return Answer(
            status=503,
            body=problem(503, "database_unavailable", detail, trace_id),
            headers={"Retry-After": "5"},
        )
    return None
