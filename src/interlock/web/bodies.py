"""Request bodies: within the sender's limits, whole or line by line."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request

from interlock.domain.estate import System
from interlock.web.problems import ProblemRaised


def media_type(request: Request) -> str:
    """The content type without its parameters; a body in a content encoding is refused."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise ProblemRaised(
            415, "unsupported_media_type", f"Content-Encoding {encoding}: send the body as it is, not compressed"
        )
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def whole(request: Request, system: System) -> bytes:
    """The whole body; raises a 413 problem as soon as it is more than the system may send."""
    bytes_max = system.limits.body_bytes_max
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > bytes_max:
        raise _too_large(f"the body has {length} bytes", bytes_max, system)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > bytes_max:
            raise _too_large(f"the body has more than {bytes_max} bytes", bytes_max, system)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class LineTooLong(Exception):
    """A line of a bulk body is longer than the system may send; what follows it is not read."""


async def pieces(request: Request, body: bytes | None) -> AsyncIterator[bytes]:
    """The body as it comes in; or at once, where it was read already."""
    if body is not None:
        yield body
        return
    async for part in request.stream():
        yield part


async def lines(body: AsyncIterator[bytes], system: System) -> AsyncIterator[tuple[int, bytes]]:
    """The lines that hold something, with their numbers from 1, as they come in."""
    bytes_max = system.limits.body_bytes_max
    rest = b""
    number = 0
    async for part in body:
        ended = part.split(b"\n")
        ended[0] = rest + ended[0]
        rest = ended.pop()
        for piece in ended:
            number += 1
            if len(piece) > bytes_max:
                raise _line_too_long(number, bytes_max, system)
            if not piece.isspace() and piece:
                yield number, piece
        if len(rest) > bytes_max:
            raise _line_too_long(number + 1, bytes_max, system)
    if rest and not rest.isspace():
        yield number + 1, rest


def _line_too_long(number: int, bytes_max: int, system: System) -> LineTooLong:
    return LineTooLong(
        f"line {number} is too long, {system.id} may send {bytes_max} bytes a line (limits.body_bytes_max in the estate)"
    )


def _too_large(found: str, bytes_max: int, system: System) -> ProblemRaised:
    return ProblemRaised(
        413, "too_large", f"{found}, {system.id} may send {bytes_max} (limits.body_bytes_max in the estate)"
    )
