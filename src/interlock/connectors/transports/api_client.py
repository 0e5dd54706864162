"""Asking an HTTP API: strictly at its pace, with its tokens, page by page, and no more than we can hold.

    client = ApiClient(link, system, environment, stop)
    page = client.get(url, params)          # raises PageFailed; None of it is taken then

Every request waits for its turn (`requests_per_s`); 429 and 503 are waited out as the server says, and asked again.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx

from interlock.connectors.transports.http_out import retry_after_s
from interlock.domain.errors import InterlockError
from interlock.domain.estate import System
from interlock.domain.links import ApiIn

TRIES_MAX: Final = 4
WAIT_S_MAX: Final = 300.0
_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class PageFailed(InterlockError):
    """A page could not be had or read; `status` is the answer's, 0 without one. `after_s`: not before that, if it said so."""

    def __init__(self, explanation: str, status: int = 0, after_s: float | None = None) -> None:
        self.status, self.after_s = status, after_s
        super().__init__(explanation)


class Page(NamedTuple):
    """One answer. `is_same` says that nothing has changed since the tags that were sent (304)."""

    url: str
    body: bytes
    next_link: str | None
    etag: str | None
    modified: str | None
    server_now: datetime
    is_same: bool = False


class ApiClient:
    """The way to one API. One thread at a time; `close` ends its connections."""

    def __init__(
        self, link: ApiIn, system: System, environment: Mapping[str, str], *, pause_first_s: float = 1.0
    ) -> None:
        self._link, self._system, self._environment = link, system, environment
        self._pause_first_s = pause_first_s
        self._next_turn = 0.0
        self._client = httpx.Client(
            timeout=httpx.Timeout(link.timeout_s), follow_redirects=False, trust_env=False, headers={"Accept": "*/*"}
        )

    def get(
        self, url: str, params: Mapping[str, str], stop: threading.Event, tags: Mapping[str, str] | None = None
    ) -> Page:
        """One page. Raises PageFailed, also where we are told to stop."""
        pause_s = self._pause_first_s
        for attempt in range(TRIES_MAX):
            self._wait_for_turn(stop)
            try:
                return self._once(url, params, tags or {})
            except PageFailed as failed:
                last = attempt == TRIES_MAX - 1
                wait_s = failed.after_s if failed.after_s is not None else pause_s * random.uniform(0.75, 1.25)
                if last or wait_s > WAIT_S_MAX or (failed.status and failed.status not in _TRY_AGAIN):
                    raise
            if stop.wait(wait_s):
                raise PageFailed("we were told to stop")
            pause_s *= 2
        raise AssertionError("the last attempt raises")

    def close(self) -> None:
        """End all connections."""
        self._client.close()

    def _wait_for_turn(self, stop: threading.Event) -> None:
        """Begin no sooner than the pace allows, counted from the last request's begin."""
        wait_s = self._next_turn - monotonic()
        if (wait_s > 0 and stop.wait(wait_s)) or stop.is_set():
            raise PageFailed("we were told to stop")
        self._next_turn = monotonic() + 1 / self._link.requests_per_s

    def _once(self, url: str, params: Mapping[str, str], tags: Mapping[str, str]) -> Page:
        bytes_max = self._system.limits.body_bytes_max
        try:
            request = self._client.build_request("GET", url, headers={**self._secrets(), **tags})
            if params:
                request.url = request.url.copy_merge_params(dict(params))
            answer = self._client.send(request, stream=True)
            try:
                body = bytearray()
                if answer.is_success:
                    for block in answer.iter_bytes():
                        body += block
                        if len(body) > bytes_max:
                            raise PageFailed(
                                f"{url}: a page of more than {bytes_max} bytes (limits.body_bytes_max of {self._system.id}): "
                                "ask for smaller pages",
                                413,
                            )
            finally:
                answer.close()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise PageFailed(f"{url}: {type(error).__name__}: {error or 'no answer'}") from error
        now = _date(answer) or datetime.now(UTC)
        if answer.status_code == 304 and tags:
            return Page(str(request.url), b"", None, None, None, now, is_same=True)
        if not answer.is_success:
            after_s = retry_after_s(answer.headers.get("Retry-After"), now)
            raise PageFailed(f"{url} answered {answer.status_code} {answer.reason_phrase}", answer.status_code, after_s)
        following = answer.links.get("next", {}).get("url")
        return Page(
            str(request.url),
            bytes(body),
            urljoin(str(request.url), following) if following else None,
            answer.headers.get("ETag"),
            answer.headers.get("Last-Modified"),
            now,
        )

    def _secrets(self) -> dict[str, str]:
        named = {header: (name, "") for header, name in self._link.headers_env.items()}
        if self._link.token_env is not None:
            named["Authorization"] = (self._link.token_env, "Bearer ")
        headers = {}
        for header, (name, before) in named.items():
            value = self._environment.get(name, "").strip()
            if not value:
                raise PageFailed(f"{self._link.url}: set the environment variable {name}", 401)
            headers[header] = before + value
        return headers


def same_host(one: str, other: str) -> bool:
    """Whether both lead to the same server: our token is not carried to another."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.hostname, first.port) == (second.scheme, second.hostname, second.port)


def _date(answer: httpx.Response) -> datetime | None:
    """The server's own clock."""
    try:
        at = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def found_at(value: Any, path: str) -> Any:
    """What stands at a path of names and places (`a.b.0`) in decoded JSON; None where nothing does."""
    for step in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
