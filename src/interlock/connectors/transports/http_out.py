"""Calls to a receiver over HTTP: one POST a parcel, over connections that are kept open.

What the receiver's answer means is decided here, and nowhere else:

    2xx                              delivered
    408, 425, 429, 5xx, 3xx, none    PeerUnreachable: try again, not before its Retry-After
    any other 4xx                    PeerRefused: it will never take this message
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from interlock.domain.errors import PeerRefused, PeerUnreachable
from interlock.domain.estate import HttpOut

REQUESTS_AT_ONCE: Final = 8
ANSWER_BYTES_MAX: Final = 2_000
RETRY_AFTER_S_MAX: Final = 86_400.0
_TRY_AGAIN: Final = frozenset({408, 425, 429})


class Later(PeerUnreachable):
    """The receiver is there and asks for a pause of `after_s` seconds."""

    def __init__(self, explanation: str, after_s: float) -> None:
        self.after_s = after_s
        super().__init__(explanation)


class HttpSender:
    """The way to one receiver. Safe to share between threads; `close` ends its connections."""

    def __init__(self, out: HttpOut, environment: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._environment = environment
        self._client = httpx.Client(
            timeout=httpx.Timeout(out.timeout_s),
            limits=httpx.Limits(
                max_connections=REQUESTS_AT_ONCE, max_keepalive_connections=REQUESTS_AT_ONCE, keepalive_expiry=30
            ),
            follow_redirects=False,
            trust_env=False,
        )

    def send(self, key: str, body: bytes, media_type: str, *, now: datetime | None = None) -> None:
        """POST a body under an Idempotency-Key. Raises PeerUnreachable (Later, where the receiver said when) or PeerRefused."""
        headers = {"Idempotency-Key": key, "Content-Type": media_type, **self._authorization()}
        try:
            with self._client.stream("POST", self._out.url, content=body, headers=headers) as answer:
                if answer.is_success:
                    # Read to its end where it is short, so that the connection can be used again.
                    _beginning(answer)
                    return
                said = _beginning(answer)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            what = str(error) or "no answer"
            raise PeerUnreachable(f"{self._out.url}: {type(error).__name__}: {what}") from error
        explanation = f"{self._out.url} answered {answer.status_code} {answer.reason_phrase}: {said}".rstrip(": ")
        after_s = retry_after_s(answer.headers.get("Retry-After"), now or datetime.now(UTC))
        if answer.status_code in _TRY_AGAIN or answer.status_code >= 500 or answer.is_redirect:
            raise Later(explanation, after_s) if after_s is not None else PeerUnreachable(explanation)
        if 300 <= answer.status_code < 400:
            raise PeerUnreachable(explanation)
        raise PeerRefused(explanation)

    def close(self) -> None:
        """End all connections; calls that are under way fail or finish."""
        self._client.close()

    def _authorization(self) -> dict[str, str]:
        name = self._out.token_env
        if name is None:
            return {}
        token = self._environment.get(name, "").strip()
        if not token:
            raise PeerUnreachable(f"{self._out.url} needs a token: set the environment variable {name}")
        return {"Authorization": f"Bearer {token}"}


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header (seconds, or an HTTP date), at most a day; None if it says nothing."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), RETRY_AFTER_S_MAX)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), RETRY_AFTER_S_MAX)


def _beginning(answer: httpx.Response) -> str:
    """The first of what the receiver said, on one line; the rest is not waited for."""
    said = b""
    for block in answer.iter_bytes():
        said += block
        if len(said) >= ANSWER_BYTES_MAX:
            break
    return " ".join(said[:ANSWER_BYTES_MAX].decode("utf-8", "replace").split())[:300]
