"""Who calls: the system that an API key belongs to."""

from __future__ import annotations

import hmac
from hashlib import sha256

from starlette.requests import Request

from interlock.domain.estate import Estate, System
from interlock.web.problems import ProblemRaised


class Callers:
    """The systems of an estate by their API keys, of which the estate holds only the SHA-256."""

    def __init__(self, estate: Estate) -> None:
        self._known = [
            (bytes.fromhex(digest), system) for system in estate.systems.values() for digest in system.api_key_sha256
        ]

    def system(self, request: Request) -> System:
        """The system that calls; raises a 401 problem without a key, or with one that nobody has.

        Every known key is compared, each in constant time, so that how long the answer takes tells nothing.
        """
        headers = request.headers
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            key = headers.get("x-api-key", "")
        if not key:
            raise _unauthorized("send the system's API key as Authorization: Bearer KEY, or as X-API-Key: KEY")
        digest = sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        caller = None
        for known, system in self._known:
            if hmac.compare_digest(known, digest):
                caller = system
        if caller is None:
            raise _unauthorized("no system of the estate has this API key (estate.yaml, api_key_sha256)")
        return caller


def _unauthorized(detail: str) -> ProblemRaised:
    return ProblemRaised(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
