"""Signatures of requests: is this body, as it came, what the system sent, and was it sent just now?

    signatures = Signatures(estate, os.environ)            raises SecretsWrong where a secret is not there
    signed = signatures.check(system, request.headers, body, now)      raises BadSignature

Checked on the raw bytes, before anything is read or kept. Two styles: Standard Webhooks, and an HMAC in a header that the
estate describes. A system may have two live secrets; either will do. docs/signatures.md is the page.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec
from starlette.datastructures import Headers

from interlock.domain import values
from interlock.domain.decision import FieldError
from interlock.domain.errors import InterlockError, InvalidValue
from interlock.domain.estate import Estate, HmacSignature, Signature, StandardWebhooks, System
from interlock.domain.values import SystemId
from interlock.web.problems import ProblemRaised

HEADER_CHARACTERS_MAX: Final = 4_096
SIGNATURES_MAX: Final = 16
STANDARD_PREFIX: Final = "whsec_"

_SECONDS: Final = re.compile(r"[0-9]{1,11}", re.ASCII)
_MILLISECONDS: Final = re.compile(r"[0-9]{1,14}", re.ASCII)
_FIELD: Final = re.compile(r"\{(body|timestamp|id)\}")
_SEPARATORS: Final = re.compile(r"[,\s]+")


class SecretsWrong(InterlockError):
    """Secrets of signatures are not there, or not written as the estate says; one sentence for each, without the secret."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(mistakes))


class BadSignature(ProblemRaised):
    """A request is not signed as the estate says; `why` is a short reason for the count, the same for all of a kind."""

    def __init__(self, why: str, field: str, value: str, expected: str) -> None:
        self.why, self.field = why, field
        self.sent_at: datetime | None = None
        super().__init__(
            401,
            "bad_signature",
            f"{field}: {why}; expected {expected}",
            headers={"WWW-Authenticate": "Signature"},
            errors=(FieldError(field, value, expected),),
        )


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What a right signature tells.

    `ref` is what the system calls its fact where the body does not say: a signed id, or else the body itself, so that neither
    a retry that is signed anew nor a replay under another id is another fact. Each of `keys` stands for one payload, action
    included, so that nobody can send what was signed for one address to another one. `source_id` is the system's own id of
    the message, `sent_at` the signed time.
    """

    ref: str
    keys: tuple[str, ...]
    source_id: str | None = None
    sent_at: datetime | None = None


class _Style(msgspec.Struct, frozen=True, kw_only=True):
    """Any signature, as the check sees it."""

    header: str
    prefix: str
    algorithm: str
    is_hex: bool
    signed: str
    timestamp_header: str | None
    timestamp_prefix: str | None
    timestamp_format: str
    id_header: str | None
    between: re.Pattern[str]
    expected: str
    tolerance_s: float
    secrets: tuple[bytes, ...]


class Signatures:
    """The signatures of an estate with their secrets, which are read once, when the service starts."""

    def __init__(self, estate: Estate, environment: Mapping[str, str]) -> None:
        mistakes = secret_mistakes(estate, environment)
        if mistakes:
            raise SecretsWrong(mistakes)
        self._styles: dict[SystemId, _Style] = {
            system.id: _style(system.signature, environment)
            for system in estate.systems.values()
            if system.signature is not None
        }

    def check(self, system: System, headers: Headers, body: bytes, now: datetime) -> Signed:
        """What the request's signature tells. Raises BadSignature; only its `sent_at` may be trusted then."""
        style = self._styles[system.id]
        found, inside = _signatures(headers, style)
        stamp = inside
        if style.timestamp_header is not None:
            stamp = _one(headers, style.timestamp_header, "the time of sending")
        source_id = _source_id(headers, style)
        sent_at = None if stamp is None else _time(stamp, style)
        content = _content(style.signed, body, stamp or "", source_id or "")
        if not _fits(found, content, style):
            raise BadSignature(
                "no signature fits this body with a live secret", style.header, _count(len(found)), style.expected
            )
        if sent_at is not None:
            _within(sent_at, now, style)
        if source_id is not None and "{id}" in style.signed:
            return Signed(ref=source_id, keys=(source_id,), source_id=source_id, sent_at=sent_at)
        keys = (f"signed:{sha256(content).hexdigest()}", *([source_id] if source_id is not None else []))
        return Signed(ref=f"body:{sha256(body).hexdigest()}", keys=keys, source_id=source_id, sent_at=sent_at)


def secret_mistakes(estate: Estate, environment: Mapping[str, str]) -> list[str]:
    """A sentence for each secret that the estate names and the environment does not have, or has in another form."""
    mistakes = []
    for system in estate.systems.values():
        for name in system.signature.secrets_env if system.signature else ():
            try:
                _secret(system.signature, environment.get(name, "").strip())
            except ValueError as error:
                mistakes.append(f"{name}: {error} (systems.{system.id}.connection.signature.secrets_env)")
    return mistakes


def _style(signature: Signature, environment: Mapping[str, str]) -> _Style:
    secrets = tuple(_secret(signature, environment[name].strip()) for name in signature.secrets_env)
    if isinstance(signature, StandardWebhooks):
        return _Style(
            header="webhook-signature", prefix="v1,", algorithm="sha256", is_hex=False, signed="{id}.{timestamp}.{body}",
            timestamp_header="webhook-timestamp", timestamp_prefix=None, timestamp_format="seconds",
            id_header="webhook-id", between=re.compile(r"\s+"), tolerance_s=signature.tolerance_s, secrets=secrets,
            expected="v1, and the base64 of the HMAC-SHA256 of webhook-id.webhook-timestamp.body",
        )  # fmt: skip
    return _Style(
        header=signature.header, prefix=signature.prefix, algorithm=signature.algorithm,
        is_hex=signature.encoding == "hex", signed=signature.signed, timestamp_header=signature.timestamp_header,
        timestamp_prefix=signature.timestamp_prefix, timestamp_format=signature.timestamp_format,
        id_header=signature.id_header, between=_SEPARATORS, tolerance_s=signature.tolerance_s, secrets=secrets,
        expected=f"{signature.prefix}{signature.encoding} of the HMAC-{signature.algorithm.upper()} of {signature.signed}",
    )  # fmt: skip


def _secret(signature: Signature | None, text: str) -> bytes:
    """The secret's bytes. Raises ValueError, which never holds the secret."""
    if not text:
        raise ValueError("this environment variable is not set; expected the secret of the signature")
    if isinstance(signature, HmacSignature) and signature.secret_encoding == "text":
        return text.encode()
    is_hex = isinstance(signature, HmacSignature) and signature.secret_encoding == "hex"
    form = "hex digits" if is_hex else "base64"
    if isinstance(signature, StandardWebhooks):
        form = f"base64, with or without {STANDARD_PREFIX} before it"
        text = text.removeprefix(STANDARD_PREFIX)
    secret = _decoded(text, is_hex)
    if not secret:
        raise ValueError(f"this environment variable holds something else; expected {form}")
    return secret


def _decoded(text: str, is_hex: bool) -> bytes:
    """The bytes that hex digits or base64 stand for; nothing where it is neither."""
    try:
        return bytes.fromhex(text) if is_hex else base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return b""


# What a request holds


def _signatures(headers: Headers, style: _Style) -> tuple[list[bytes], str | None]:
    """The signatures in the header, and the timestamp where it stands among them."""
    text = _one(headers, style.header, style.expected)
    parts = [part for part in style.between.split(text) if part]
    if len(parts) > SIGNATURES_MAX:
        raise BadSignature(
            "too many signatures", style.header, _count(len(parts)), f"{SIGNATURES_MAX} signatures at most"
        )
    stamp = None
    if style.timestamp_prefix is not None:
        stamps = [
            part.removeprefix(style.timestamp_prefix) for part in parts if part.startswith(style.timestamp_prefix)
        ]
        if len(stamps) != 1:
            expected = f"one timestamp after {style.timestamp_prefix}"
            raise BadSignature("no clear timestamp in it", style.header, _count(len(stamps)), expected)
        stamp = stamps[0]
    written = [part.removeprefix(style.prefix) for part in parts if part.startswith(style.prefix)]
    found = [signature for signature in (_decoded(one, style.is_hex) for one in written) if signature]
    if not found:
        raise BadSignature("no signature that can be read", style.header, _count(0), style.expected)
    return found, stamp


def _one(headers: Headers, name: str, expected: str) -> str:
    """The header's only value. Raises BadSignature where it is missing, there twice, or longer than any needs to be."""
    found = headers.getlist(name)
    if not found:
        raise BadSignature("the header is missing", name, "nothing", expected)
    if len(found) > 1:
        raise BadSignature("the header is there more than once", name, f"{len(found)} times", "it once")
    if len(found[0]) > HEADER_CHARACTERS_MAX:
        length = f"{len(found[0])} characters"
        raise BadSignature("the header is too long", name, length, f"{HEADER_CHARACTERS_MAX} characters at most")
    return found[0].strip()


def _source_id(headers: Headers, style: _Style) -> str | None:
    if style.id_header is None or ("{id}" not in style.signed and style.id_header not in headers):
        return None
    try:
        return values.key(style.id_header, _one(headers, style.id_header, "the id of the message"))
    except InvalidValue as error:
        raise BadSignature("the header holds no id", style.id_header, ascii(error.value)[:80], error.expected) from None


def _time(text: str, style: _Style) -> datetime:
    """The stated time. Raises BadSignature where it is none."""
    field = style.timestamp_header or style.header
    try:
        if style.timestamp_format == "iso":
            at = datetime.fromisoformat(text)
            if at.tzinfo is None:
                raise ValueError
            return at.astimezone(UTC)
        is_seconds = style.timestamp_format == "seconds"
        if not (_SECONDS if is_seconds else _MILLISECONDS).fullmatch(text):
            raise ValueError
        return datetime.fromtimestamp(int(text) / (1 if is_seconds else 1000), UTC)
    except (ValueError, OverflowError, OSError):
        forms = {
            "iso": "ISO 8601 with a zone",
            "seconds": "whole seconds since 1970",
            "milliseconds": "milliseconds since 1970",
        }
        raise BadSignature("no time", field, ascii(text[:40]), forms[style.timestamp_format]) from None


def _content(signed: str, body: bytes, stamp: str, source_id: str) -> bytes:
    """What is signed, put together; what a header holds comes as latin-1, and goes back to the bytes that it was."""
    known = {"body": body, "timestamp": stamp.encode("latin-1"), "id": source_id.encode("latin-1")}
    pieces = _FIELD.split(signed)
    return b"".join(known[piece] if place % 2 else piece.encode() for place, piece in enumerate(pieces))


def _fits(found: list[bytes], content: bytes, style: _Style) -> bool:
    """Whether a signature is right by a live secret. All are compared, each in constant time."""
    fits = False
    for secret in style.secrets:
        right = hmac.new(secret, content, style.algorithm).digest()
        for signature in found:
            fits |= hmac.compare_digest(right, signature)
    return fits


def _within(sent_at: datetime, now: datetime, style: _Style) -> None:
    apart = (now - sent_at) / timedelta(seconds=1)
    if abs(apart) <= style.tolerance_s:
        return
    why = "the request was signed too long ago" if apart > 0 else "the request was signed in our future"
    expected = f"a time within {style.tolerance_s:g} s of ours, which is {now.isoformat(timespec='seconds')}"
    bad = BadSignature(why, style.timestamp_header or style.header, sent_at.isoformat(timespec="seconds"), expected)
    bad.sent_at = sent_at
    raise bad


def _count(signatures: int) -> str:
    return "1 signature" if signatures == 1 else f"{signatures} signatures"
