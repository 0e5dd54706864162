"""Ways out: how bytes leave for a receiver, whatever they are.

    way = way_of(system.outbound, environment)
    way.send(Sent(key, name, body, media_type), now)      # returns when the receiver has it

A way raises PeerUnreachable where another try is worth it, and PeerRefused where none is. Sending the same again does no harm:
a file of the same name is replaced, and key or name tell the receiver that it has it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from interlock.connectors.transports.http_out import REQUESTS_AT_ONCE, HttpSender
from interlock.connectors.transports.release_file import put_file
from interlock.domain.errors import PeerRefused
from interlock.domain.links import BrokerOut, FolderOut, HttpOut, LinkOut, SftpOut


class Sent(NamedTuple):
    """What is sent: `key` stays the same however often that happens, `name` is that of a file, `order` what it is about alone."""

    key: str
    name: str
    body: bytes
    media_type: str
    order: str = ""


class Way(Protocol):
    """One receiver's transport. Safe to share between threads."""

    @property
    def at_once(self) -> int:
        """How many may be under way at the same time."""

    @property
    def timeout_s(self) -> float:
        """How long one may take."""

    @property
    def judges(self) -> bool:
        """Whether a refusal is about what was sent, so that a part of it may be taken."""

    def send(self, sent: Sent, now: datetime) -> None:
        """Return when the receiver has it. Raises PeerUnreachable or PeerRefused."""

    def close(self) -> None:
        """End what is open."""


def way_of(out: LinkOut | None, receiver: str, environment: Mapping[str, str] = os.environ) -> Way:
    """The way that an outbound link describes; one that refuses everything, where there is none."""
    match out:
        case FolderOut():
            return FolderWay(out)
        case HttpOut():
            return HttpWay(out, environment)
        case SftpOut():
            from interlock.connectors.transports.sftp import SftpServer  # heavy, and few estates need it

            return SftpWay(out, SftpServer(out.server, timeout_s=out.timeout_s, environment=environment))
        case BrokerOut():
            from interlock.connectors.transports.broker_out import Publisher  # as heavy

            return BrokerWay(out, Publisher(out, environment))
        case None:
            return NoWay(f"the estate has no outbound connection to {receiver}: add one, then send it again")


class FolderWay:
    """Files in a directory."""

    at_once, timeout_s, judges = 1, 15.0, False

    def __init__(self, out: FolderOut) -> None:
        self._out = out

    def send(self, sent: Sent, now: datetime) -> None:  # noqa: ARG002 - others honour a receiver's Retry-After by it
        put_file(Path(self._out.path), sent.name, sent.body, self._out.done_suffix)

    def close(self) -> None: ...


class HttpWay:
    """Calls over HTTP."""

    at_once, judges = REQUESTS_AT_ONCE, True

    def __init__(self, out: HttpOut, environment: Mapping[str, str]) -> None:
        self.timeout_s = out.timeout_s
        self._sender = HttpSender(out, environment)

    def send(self, sent: Sent, now: datetime) -> None:
        self._sender.send(sent.key, sent.body, sent.media_type, now=now)

    def close(self) -> None:
        self._sender.close()


class FileServer(Protocol):
    """What a way needs of an SSH server."""

    def put(self, path: str, name: str, content: bytes, done_suffix: str | None = None) -> None:
        """Put a file into a directory: whole under its name, or not there. Raises PeerUnreachable or PeerRefused."""

    def close(self) -> None:
        """End the connection."""


class SftpWay:
    """Files in a directory of an SSH server."""

    at_once, judges = 1, False

    def __init__(self, out: SftpOut, server: FileServer) -> None:
        self.timeout_s = 4 * out.timeout_s  # connecting, writing, renaming, the marker
        self._out, self._server = out, server

    def send(self, sent: Sent, now: datetime) -> None:  # noqa: ARG002 - others honour a receiver's Retry-After by it
        self._server.put(self._out.path, sent.name, sent.body, self._out.done_suffix)

    def close(self) -> None:
        self._server.close()


class Confirming(Protocol):
    """What a way needs of a message broker."""

    def publish(self, body: bytes, *, message_id: str, key: str = "", content_type: str = "") -> None:
        """Return when the broker has confirmed that it keeps the message. Raises PeerUnreachable or PeerRefused."""

    def close(self) -> None:
        """End the connection."""


class BrokerWay:
    """Messages in a queue, subject, topic or stream; those of one order under one key."""

    at_once, judges = REQUESTS_AT_ONCE, True

    def __init__(self, out: BrokerOut, publisher: Confirming) -> None:
        self.timeout_s = 2 * out.timeout_s + 1  # connecting, and the broker's word
        self._publisher = publisher

    def send(self, sent: Sent, now: datetime) -> None:  # noqa: ARG002 - others honour a receiver's Retry-After by it
        self._publisher.publish(
            sent.body, message_id=sent.key, key=sent.order or sent.key, content_type=sent.media_type
        )

    def close(self) -> None:
        self._publisher.close()


class NoWay:
    """There is no way to the receiver, and a person must hear of that."""

    at_once, timeout_s, judges = 1, 15.0, False

    def __init__(self, why: str) -> None:
        self._why = why

    def send(self, sent: Sent, now: datetime) -> None:  # noqa: ARG002 - nothing is sent
        raise PeerRefused(self._why)

    def close(self) -> None: ...
