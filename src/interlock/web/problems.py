"""Every answer that is not a success: `application/problem+json` by RFC 9457.

{"type": "urn:interlock:problem:unreadable", "title": "...", "status": 400, "detail": "...", "trace_id":
"...", "reason": "unreadable", "errors": [{"field": "lines[2].quantity", "value": "0", "expected": "more than
zero"}]}

`reason` is a stable code; `detail` is for people; `errors` holds every mistake at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from interlock.domain.decision import FieldError

PROBLEM_JSON: Final = "application/problem+json"
JSON: Final = "application/json"

TITLES: Final[dict[str, str]] = {
    "unreadable": "The message could not be read",
    "bad_request": "The request could not be read",
    "unauthorized": "No system is known by this key",
    "bad_signature": "The signature is missing, wrong or out of time",
    "no_authority": "The system may only observe this fact",
    "wrong_source": "Another system speaks for this channel or node",
    "not_found": "There is nothing at this address",
    "method_not_allowed": "This address does not take this method",
    "conflict": "The same key with another payload",
    "too_large": "The body is larger than the system may send",
    "too_many_requests": "The system sends more requests than it may",
    "unsupported_media_type": "This content type is not read here",
    "refused": "The rules do not allow it now",
    "quarantined": "The message was kept, and a person will look at it",
    "busy": "Too much is waiting",
    "database_unavailable": "The database cannot be reached",
    "internal": "Something went wrong on our side",
}
"""The problems that the API answers with, by the last word of their type; a refusal by the rules has its own
`reason`.
"""


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What went wrong, by RFC 9457. `reason` is a stable code, `errors` names every field with a mistake."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    trace_id: str
    outcome: str = ""
    message_id: str = ""
    errors: tuple[FieldError, ...] = ()


class ProblemRaised(Exception):
    """A request that is answered with a problem; the trace id is added when it is answered."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        self.status, self.kind, self.detail = status, kind, detail
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(detail)

    def problem(self, trace_id: str) -> Problem:
        """The body of the answer."""
        return problem(self.status, self.kind, self.detail, trace_id, **self.members)


def problem(status: int, kind: str, detail: str, trace_id: str, **members: Any) -> Problem:
    """A problem of one of the kinds of `TITLES`; its reason is the kind if no other is given."""
    return Problem(
        type=f"urn:interlock:problem:{kind}",
        title=TITLES[kind],
        status=status,
        detail=detail,
        trace_id=trace_id,
        **{"reason": kind, **members},
    )


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as an HTTP answer."""
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=PROBLEM_JSON, headers=headers)
