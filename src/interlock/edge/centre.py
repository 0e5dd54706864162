"""One call to the centre, and what its answer means.

    taken     the centre has it: 2xx in its own words (JSON)
    refused   it will never take it: another 4xx in its own words (application/problem+json)
    later     408, 425, 429, 5xx, no answer, or an answer that is not the centre's: try again
    failing   500: an error of the centre's own, which may be about this one item
    locked    401: our key is wrong; nothing will go until that is mended

A web page that answers 200 (a hotel's login, a proxy's error) is nobody's word that the centre has anything.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from interlock.edge.queue import Item
from interlock.edge.settings import EdgeSettings

Meaning = Literal["taken", "refused", "later", "failing", "locked"]
ANSWER_BYTES_MAX: Final = 65_536
RETRY_AFTER_S_MAX: Final = 3_600.0
NDJSON: Final = "application/x-ndjson"
_OURS: Final = ("application/json", "application/problem+json", NDJSON)
_LATER: Final = frozenset({408, 425, 429, 502, 503, 504})


class Answer(NamedTuple):
    """What the centre said to one call; `retry_after_s` where it named a time."""

    meaning: Meaning
    said: str
    retry_after_s: float | None = None
    is_centre: bool = True


class Centre:
    """A connection to the centre, kept open. For one thread."""

    def __init__(self, settings: EdgeSettings) -> None:
        parts = urlsplit(settings.centre)
        assert parts.hostname is not None
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout_s = settings.forward.timeout_s
        self._headers = {"Authorization": f"Bearer {settings.key}", "User-Agent": "interlock-edge"}
        self._edge = settings.name
        self._connection: http.client.HTTPConnection | None = None

    def post(self, item: Item, waiting: int) -> Answer:
        """Post an item under its own key; how many others wait is told beside it."""
        headers: dict[str, str] = {
            **msgspec.json.decode(item.headers),
            **self._headers,
            "Idempotency-Key": item.key,
            "Interlock-Edge": f'{self._edge}; waiting={waiting}; queued="{item.queued_at}"',
        }
        try:
            status, said_headers, body = self._call(item.path, item.body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer("later", f"no answer: {type(error).__name__} {error}".strip(), is_centre=False)
        return meaning_of(status, said_headers, body)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any, bytes]:
        for is_again in (False, True):
            fresh = self._connection is None
            connection = self._connection = self._connection or self._connect()
            try:
                connection.request("POST", self._base + path, body, headers)
                response = connection.getresponse()
                said = _worst_line(response) if _is_lines(response) else response.read(ANSWER_BYTES_MAX)
                if response.read(1):
                    self.close()  # an endless answer: what it says at its begin is enough
                return response.status, response.headers, said
            except (ConnectionError, http.client.BadStatusLine):
                # A connection that was idle may have been closed by the other side: once more on a fresh one.
                self.close()
                if fresh or is_again:
                    raise
        raise AssertionError("unreachable")

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)


def _is_lines(response: http.client.HTTPResponse) -> bool:
    return response.status == 200 and _content_type(response.headers) == NDJSON


class _Line(msgspec.Struct):
    status: int = 0


def _worst_line(lines: Iterable[bytes]) -> bytes:
    """Of the answers to many commands, the first that asks for another attempt, else the first."""
    first = b""
    for line in lines:
        first = first or line
        with suppress(msgspec.DecodeError):
            if (status := _LINE.decode(line).status) in _LATER or status >= 500:
                return line
    return first


_LINE: Final = msgspec.json.Decoder(_Line)


def _content_type(headers: Any) -> str:
    return str(headers.get("Content-Type") or "").partition(";")[0].strip().lower()


def meaning_of(status: int, headers: Any, body: bytes) -> Answer:
    """What an HTTP answer means for an item."""
    is_centre = _content_type(headers) in _OURS
    if status == 200 and _content_type(headers) == NDJSON:
        # Many commands: those that were refused are kept at the centre, each with its reason; a line may ask for another attempt.
        with suppress(msgspec.DecodeError):
            status = line if (line := _LINE.decode(body).status) in _LATER or line >= 500 else 200
    said = _said(status, body, is_centre)
    if 200 <= status < 300:
        return Answer("taken", said) if is_centre else Answer("later", f"not the centre's answer: {said}", None, False)
    if status in _LATER or not is_centre:
        return Answer("later", said, _retry_after_s(headers.get("Retry-After")), is_centre)
    if status == 401:
        return Answer("locked", said)
    if status >= 500:
        return Answer("failing", said, _retry_after_s(headers.get("Retry-After")))
    return Answer("refused", said) if status >= 400 else Answer("later", said, None, False)


def _said(status: int, body: bytes, is_centre: bool) -> str:
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        told = msgspec.json.decode(body) if is_centre and body else None
        if isinstance(told, dict):
            words = [str(told[name]) for name in ("title", "reason", "detail") if told.get(name)]
            errors = told.get("errors")
            if isinstance(errors, list) and errors:
                words.append(msgspec.json.encode(errors[:5]).decode())
            if words:
                return f"{status}: {'; '.join(words)}"[:2_000]
    return f"{status}: {' '.join(body[:300].decode('utf-8', 'replace').split())}"


def _retry_after_s(text: str | None) -> float | None:
    """Seconds of a Retry-After header, which names them or a time (RFC 9110, 10.2.3)."""
    if not text:
        return None
    if text.strip().isdigit():
        return min(float(text), RETRY_AFTER_S_MAX)
    try:
        wait_s = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(wait_s, 0.0), RETRY_AFTER_S_MAX)
