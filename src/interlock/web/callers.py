"""Who calls: the system that an API key belongs to, or whose signature a request carries; and whether it may call now."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from starlette.requests import Request

from interlock.domain.estate import Estate, System
from interlock.domain.values import SystemId
from interlock.web import bodies
from interlock.web.observed import Observed
from interlock.web.pace import Pace
from interlock.web.problems import ProblemRaised
from interlock.web.signatures import BadSignature, Signatures, Signed


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who posted a request: the system; and where it was signed, what the signature tells, and the body that it covers."""

    system: System
    signed: Signed | None = None
    body: bytes | None = None


class Callers:
    """The systems of an estate by their API keys, of which the estate holds only the SHA-256, and by their signatures.

    Raises SecretsWrong where the secrets of signatures are not in the environment.
    """

    def __init__(self, estate: Estate, environment: Mapping[str, str], observed: Observed) -> None:
        self._known = [
            (bytes.fromhex(digest), system) for system in estate.systems.values() for digest in system.api_key_sha256
        ]
        self._systems = estate.systems
        self._signatures = Signatures(estate, environment)
        self._observed = observed
        self._pace = Pace()

    def system(self, request: Request) -> System:
        """The system that asks, by its API key; raises a 401 problem, or 429 where it asks too often."""
        system = self._by_key(request)
        self._pace.take(system)
        return system

    async def posting(self, request: Request, hook: str | None = None) -> Caller:
        """The system that posts. Under `hook`, the address of one system, its signature stands in for the API key.

        A signed body is read as a whole, and checked before anything is made of it. Raises the problems 401, 413 and 429.
        """
        system = self._by_key(request) if hook is None else self._by_hook(request, hook)
        if hook is None and not (system.signature and system.signature.with_api_key):
            self._pace.take(system)
            if (edge := request.headers.get("interlock-edge")) is not None:
                self._observed.relayed(system.id, edge, datetime.now(UTC))
            return Caller(system=system)
        body = await bodies.whole(request, system)
        signed = self._checked(request, system, body)
        self._pace.take(system)  # after the check: nobody uses up the pace of a system in whose name he cannot sign
        return Caller(system=system, signed=signed, body=body)

    def _by_key(self, request: Request) -> System:
        """Every known key is compared, each in constant time, so that how long the answer takes tells nothing."""
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

    def _by_hook(self, request: Request, hook: str) -> System:
        system = self._systems.get(SystemId(hook))
        if system is None or system.signature is None:
            raise _unauthorized(
                f"no system {hook[:100]!r} of the estate signs its requests (connection.signature): send them to "
                "/v1/actions/ACTION with an API key"
            )
        if system.signature.with_api_key and self._by_key(request).id != system.id:
            raise _unauthorized(f"the API key is not one of {system.id}, which signs and sends its key as well")
        return system

    def _checked(self, request: Request, system: System, body: bytes) -> Signed:
        now = datetime.now(UTC)
        try:
            signed = self._signatures.check(system, request.headers, body, now)
        except BadSignature as bad:
            self._observed.refused(system.id, f"{bad.field}: {bad.why}", now)
            if bad.sent_at is not None:
                self._observed.stated(system.id, bad.sent_at, now)
            raise
        if signed.sent_at is not None:
            self._observed.stated(system.id, signed.sent_at, now)
        return signed

    def too_late(self, system: System, came_first: datetime, now: datetime) -> BadSignature | None:
        """The refusal of a signed request that comes again longer after its first arrival than the estate allows."""
        replay_s = system.signature.replay_s if system.signature else None
        if replay_s is None or (now - came_first).total_seconds() <= replay_s:
            return None
        self._observed.refused(system.id, "replay: the request came again too late", now)
        return BadSignature(
            "the same request came before, too long ago",
            "replay",
            came_first.isoformat(timespec="seconds"),
            f"it again within {replay_s:g} s of its first arrival (connection.signature.replay in the estate)",
        )


def _unauthorized(detail: str) -> ProblemRaised:
    return ProblemRaised(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
