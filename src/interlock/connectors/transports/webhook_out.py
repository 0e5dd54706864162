"""Webhooks that we send: one signed POST a request, by Standard Webhooks 1.0 (https://www.standardwebhooks.com).

    webhook-id          the id of the event: the same however often it is sent
    webhook-timestamp   when this attempt was made, seconds since 1970
    webhook-signature   for each live secret `v1,` and the base64 of the HMAC-SHA256 of ID.TIMESTAMP.BODY, with blanks between

What the subscriber's answer means:

    2xx                              it has it
    410 Gone                         NoLonger: it wants nothing more
    400, 413, 415, 422               PeerRefused: it will never take this event
    429                              TooMany: try again, not before its Retry-After; no attempt is counted
    408, 425, 3xx, 5xx, none         PeerUnreachable: try again, not before its Retry-After
    any other 4xx                    PeerUnreachable: that is about our address or our right to call it, not about this event
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

import httpx

from interlock.connectors.transports.http_out import Later, retry_after_s
from interlock.domain.errors import PeerRefused, PeerUnreachable
from interlock.domain.subscriptions import Webhook

SECRET_PREFIX: Final = "whsec_"
ANSWER_BYTES_MAX: Final = 2_000
IDLE_S_MAX: Final = 20.0
"""A connection that was not used for so long is not trusted any more."""
NEVER: Final = frozenset({400, 413, 415, 422})
GONE: Final = 410
TOO_MANY: Final = 429
TOO_MANY_PAUSE_S: Final = 1.0
"""How long a subscriber is left alone that has too much and does not say for how long."""


class NoLonger(PeerRefused):
    """The subscriber says that it wants no more events."""


class TooMany(Later):
    """The subscriber is there, and is sent more than it takes: no failure of the event."""


class WebhookSender:
    """The way to one subscriber. Safe to share between threads; `close` ends its connections.

    By the standard library's client, because every event costs a request: a quarter of the processor time of httpx.
    """

    def __init__(self, to: Webhook, environment: Mapping[str, str] = os.environ) -> None:
        self._to, self._environment = to, environment
        self._secrets: tuple[bytes, ...] | None = None
        parts = urlsplit(to.url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._host, self._port = parts.hostname or "", parts.port
        self._tls = httpx.create_ssl_context() if parts.scheme == "https" else None
        self._idle: list[tuple[HTTPConnection, float]] = []
        self._guard = threading.Lock()

    def send(self, webhook_id: str, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
        """POST a body that is signed under this id. Raises PeerUnreachable (Later, TooMany), PeerRefused or NoLonger."""
        url = self._to.url
        said = {**headers, **signed(webhook_id, body, now, self._live_secrets()), **self._authorization()}
        said |= {"User-Agent": "Interlock", "Accept-Encoding": "identity"}
        try:
            answer, words = self._post(body, said)
        except (OSError, HTTPException, ValueError) as error:
            raise PeerUnreachable(f"{url}: {type(error).__name__}: {str(error) or 'no answer'}") from error
        status = answer.status
        if 200 <= status < 300:
            return
        explanation = f"{url} answered {status} {answer.reason}: {words}".rstrip(": ")
        if status == GONE:
            raise NoLonger(explanation)
        if status in NEVER:
            raise PeerRefused(explanation)
        after_s = retry_after_s(answer.headers.get("Retry-After"), now)
        if status == TOO_MANY:
            raise TooMany(explanation, TOO_MANY_PAUSE_S if after_s is None else after_s)
        raise Later(explanation, after_s) if after_s is not None else PeerUnreachable(explanation)

    def close(self) -> None:
        """End all connections."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[HTTPResponse, str]:
        """The answer, over a connection that was kept open where there is one. That may be gone by now: then over a new one."""
        kept = self._kept()
        if kept is not None:
            try:
                return self._ask(kept, body, headers)
            except (ConnectionError, HTTPException):
                pass  # closed, or with the rest of an earlier answer in it
        fresh: HTTPConnection
        if self._tls is not None:
            fresh = HTTPSConnection(self._host, self._port, timeout=self._to.timeout_s, context=self._tls)
        else:
            fresh = HTTPConnection(self._host, self._port, timeout=self._to.timeout_s)
        return self._ask(fresh, body, headers)

    def _ask(self, connection: HTTPConnection, body: bytes, headers: Mapping[str, str]) -> tuple[HTTPResponse, str]:
        try:
            connection.request("POST", self._path, body, dict(headers))
            answer = connection.getresponse()
            words = answer.read(ANSWER_BYTES_MAX)
        except BaseException:
            connection.close()
            raise
        if answer.isclosed() and not answer.will_close:
            with self._guard:
                self._idle.append((connection, time.monotonic()))
        else:
            connection.close()  # there is more of it, and that is not waited for
        return answer, " ".join(words.decode("utf-8", "replace").split())[:300]

    def _kept(self) -> HTTPConnection | None:
        """A connection that was used just now; older ones are closed."""
        oldest = time.monotonic() - IDLE_S_MAX
        with self._guard:
            while self._idle:
                connection, used_at = self._idle.pop()
                if used_at >= oldest:
                    return connection
                connection.close()
        return None

    def _live_secrets(self) -> tuple[bytes, ...]:
        if self._secrets is None:
            self._secrets = secrets_of(self._to, self._environment)
        return self._secrets

    def _authorization(self) -> dict[str, str]:
        name = self._to.token_env
        if name is None:
            return {}
        token = self._environment.get(name, "").strip()
        if not token:
            raise PeerUnreachable(f"{self._to.url} needs a token: set the environment variable {name}")
        return {"Authorization": f"Bearer {token}"}


def signed(webhook_id: str, body: bytes, now: datetime, secrets: tuple[bytes, ...]) -> dict[str, str]:
    """The three headers of a request. The id must be printable ASCII."""
    stamp = str(int(now.astimezone(UTC).timestamp()))
    content = b".".join((webhook_id.encode("ascii"), stamp.encode(), body))
    marks = (base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{mark}" for mark in marks),
    }


def secrets_of(to: Webhook, environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """The live secrets. One of several may be missing while the subscriber changes over.

    Raises PeerUnreachable, which never holds a secret, where there is none or one cannot be read.
    """
    found = []
    for name in to.secrets_env:
        text = environment.get(name, "").strip()
        if not text:
            continue
        try:
            secret = base64.b64decode(text.removeprefix(SECRET_PREFIX).encode("ascii"), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not secret:
            raise PeerUnreachable(
                f"{to.url} cannot be signed for: {name} holds something else than {SECRET_PREFIX} and base64"
            )
        found.append(secret)
    if not found:
        names = " or ".join(to.secrets_env)
        raise PeerUnreachable(f"{to.url} cannot be signed for: set the environment variable {names}")
    return tuple(found)
