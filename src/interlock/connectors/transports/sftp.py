"""Files on an SSH server: one connection that is kept, plain calls that wait for their answer.

    server = SftpServer(host, timeout_s=30)
    server.look("/out")                               what lies there
    server.fetch("/out/a.edi", Path("a.edi"), entry)  its bytes, from where an earlier attempt ended
    server.put("/in", "b.edi", content)               appears whole, or not at all
    server.close()

The server must show the key that the estate knows; nothing is sent to another. Each object has an event loop in a thread of its
own, started with the first call. A call that finds the connection gone connects again, once; then, and for everything else that
may be better later, it raises PeerUnreachable, which says what to do. PeerRefused is only for what no later time makes better.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import stat
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from uuid import uuid4

import asyncssh
from asyncssh import SFTPClient, sftp

from interlock.domain.errors import PeerRefused, PeerUnreachable
from interlock.domain.links import Host

PIECE_BYTES: Final = 4 * 1024 * 1024
NAMES_MAX: Final = 200_000
NAME_BYTES_MAX: Final = 255
KEEPALIVE_S: Final = 30.0
_GONE: Final = (
    asyncssh.DisconnectError,
    asyncssh.ChannelOpenError,
    sftp.SFTPConnectionLost,
    sftp.SFTPNoConnection,
    ConnectionError,
    TimeoutError,
)
_FULL: Final = (sftp.SFTPNoSpaceOnFilesystem, sftp.SFTPQuotaExceeded)
_BARE: Final = {
    "failure": "the server gives no reason; its disk may be full, or something else of that name be in the way",
    "bad message": "the server gives no reason; it may not take such a name",
}
T = TypeVar("T")


class Entry(NamedTuple):
    """A name in a directory of the server. `kind`: file, directory, link or other; `changed_at` in Unix seconds by its clock."""

    name: str
    kind: str
    size: int
    changed_at: int


class FileChanging(PeerUnreachable):
    """A file is not what the list said any more: its sender still writes it."""


class PathRefused(PeerUnreachable):
    """The server answers, but not for this path: it is not there, or it is not ours to read, write or rename."""


class SftpServer:
    """The way to one server. Calls may come from several threads; they go one after the other."""

    def __init__(self, host: Host, *, timeout_s: float = 30.0, environment: Mapping[str, str] = os.environ) -> None:
        self.host = host
        self.timeout_s = timeout_s
        self.name = f"sftp://{host.user}@{host.host}:{host.port}"
        self._environment = environment
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: SFTPClient | None = None

    def look(self, path: str) -> list[Entry]:
        """What lies in a directory, in the order of the names."""
        return self._call(lambda client: self._look(client, path), path)

    def fetch(self, path: str, target: Path, entry: Entry) -> None:
        """Get a file's bytes into a local one, from where that ends, and have them on the disk. Raises FileChanging, OSError."""
        self._call(lambda client: self._fetch(client, path, target, entry), path)

    def read(self, path: str, bytes_max: int) -> bytes:
        """The bytes of a small file, up to so many."""
        return self._call(lambda client: self._read(client, path, bytes_max), path)

    def put(self, path: str, name: str, content: bytes, done_suffix: str | None = None) -> None:
        """Put a file into a directory: whole under its name, or not there; one of that name is replaced. Then its marker."""
        if not (is_name(name) and is_name(f"{name}{done_suffix or ''}")):
            raise PeerRefused(
                f"{self.name}: {name!r} is no name for a file: it must be without / and at most 255 bytes, with its marker's"
            )
        self._call(lambda client: self._put(client, path, name, content, done_suffix), posixpath.join(path, name))

    def move(self, source: str, folder: str, name: str, other_name: str) -> str:
        """Rename a file into a directory, made if it is not there, under the other name where the first is another's.

        Gives the name that it got; the empty text where the file was gone already.
        """
        return self._call(lambda client: self._move(client, source, folder, name, other_name), source)

    def is_still(self, path: str, entry: Entry) -> bool:
        """Whether a file is what the list said of it; False where it is gone."""
        return self._call(lambda client: self._is_still(client, path, entry), path)

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is well."""
        self._call(lambda client: self._delete(client, path), path)

    def close(self) -> None:
        """End the connection and the thread. A later call begins anew."""
        with self._guard:
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return
            self._run(loop, self._drop())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            self._loop = self._thread = None

    # Connecting

    def _call(self, ask: Callable[[SFTPClient], Awaitable[T]], what: str) -> T:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name=f"sftp-{self.host.host}", daemon=True
                )
                self._thread.start()
            return self._run(self._loop, self._asked(ask, what))

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    async def _asked(self, ask: Callable[[SFTPClient], Awaitable[T]], what: str) -> T:
        was_open = self._connection is not None and not self._connection.is_closed()
        # A connection that was kept may have died meanwhile: then there is one more attempt, on a new one.
        for may_have_died in (was_open, False):
            try:
                return await ask(await self._connected())
            except _GONE as error:
                await self._drop()
                if not may_have_died:
                    raise PeerUnreachable(f"{self.name}: {what}: {_plain(error)}; tried again later") from error
            except asyncssh.SFTPError as error:
                raise self._told(error, what) from error
        raise AssertionError("the second attempt ends in one way or another")

    async def _connected(self) -> SFTPClient:
        if self._client is not None and self._connection is not None and not self._connection.is_closed():
            return self._client
        await self._drop()
        try:
            self._connection = await asyncssh.connect(
                self.host.host,
                self.host.port,
                username=self.host.user,
                known_hosts=([self._host_key()], [], []),
                config=None,
                agent_path=None,
                gss_host=None,
                connect_timeout=self.timeout_s,
                login_timeout=self.timeout_s,
                keepalive_interval=KEEPALIVE_S,
                **self._secret(),
            )
            # Names may be in any encoding: what is no UTF-8 is kept byte for byte, as Python does for local names.
            self._client = await asyncio.wait_for(
                self._connection.start_sftp_client(path_encoding="utf-8", path_errors="surrogateescape"), self.timeout_s
            )
        except asyncssh.HostKeyNotVerifiable as error:
            why = "it shows another key than the estate's host_key: nothing was sent to it"
            raise PeerUnreachable(
                f"{self.name}: {why}; if its key was changed, ask who runs it, and correct the estate"
            ) from error
        except asyncssh.PermissionDenied as error:
            secret = self.host.password_env or self.host.key_file_env or "no secret"
            why = f"it does not let {self.host.user} in with what {secret} holds"
            raise PeerUnreachable(f"{self.name}: {why}: {_plain(error)}") from error
        except asyncssh.KeyExchangeFailed as error:
            raise PeerUnreachable(
                f"{self.name}: no common way to talk: {_plain(error)}; check host_key's kind"
            ) from error
        except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError) as error:
            # A server that has no key of this kind, or wants nobody from here, may hang up before its reason has come through.
            why = "it hung up before anybody was let in; check host_key's kind, and whether it lets this address in"
            raise PeerUnreachable(f"{self.name} cannot be reached: {_plain(error)}: {why}") from error
        except (OSError, asyncssh.Error) as error:
            raise PeerUnreachable(f"{self.name} cannot be reached: {_plain(error)}") from error
        return self._client

    def _host_key(self) -> asyncssh.SSHKey:
        try:
            return asyncssh.import_public_key(self.host.host_key)
        except (asyncssh.KeyImportError, ValueError) as error:
            raise PeerUnreachable(f"{self.name}: host_key in the estate is no public key: {_plain(error)}") from error

    def _secret(self) -> dict[str, Any]:
        """Password or key, from the environment; nothing else on this machine is asked."""
        host = self.host
        if host.key_file_env is not None:
            path = self._variable(host.key_file_env, "the path of the private key")
            try:
                key = asyncssh.read_private_key(path)
            except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                why = f"the private key {path}, which {host.key_file_env} names, cannot be read: {_plain(error)}"
                raise PeerUnreachable(f"{self.name}: {why}") from error
            return {"client_keys": [key], "password": None, "preferred_auth": "publickey"}
        if host.password_env is not None:
            password = self._variable(host.password_env, "the password")
            return {"client_keys": None, "password": password, "preferred_auth": "password,keyboard-interactive"}
        return {"client_keys": None, "password": None}

    def _variable(self, name: str, what: str) -> str:
        value = self._environment.get(name, "").strip()
        if not value:
            raise PeerUnreachable(f"{self.name} needs {what}: set the environment variable {name}")
        return value

    async def _drop(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.abort()

    def _told(self, error: asyncssh.SFTPError, what: str) -> PeerUnreachable:
        said = _plain(error)
        if isinstance(error, sftp.SFTPPermissionDenied):
            return PathRefused(f"{self.name}: {self.host.user} has no permission for {what}: {said}")
        if isinstance(error, sftp.SFTPNoSuchFile | sftp.SFTPNoSuchPath):
            return PathRefused(f"{self.name}: {what} is not there: {said}")
        if isinstance(error, _FULL):
            return PeerUnreachable(f"{self.name}: no room for {what}: {said}")
        # OpenSSH has these words for most of what goes wrong, and nothing more.
        said = _BARE.get(said.lower(), said)
        return PeerUnreachable(f"{self.name}: {what}: {type(error).__name__.removeprefix('SFTP')}: {said}")

    # What is asked

    async def _soon(self, asked: Awaitable[T]) -> T:
        return await asyncio.wait_for(asked, self.timeout_s)

    async def _look(self, client: SFTPClient, path: str) -> list[Entry]:
        found: list[Entry] = []
        names = client.scandir(path)
        while (each := await self._soon(anext(names, None))) is not None and len(found) < NAMES_MAX:
            name = each.filename
            assert isinstance(name, str)
            if name in (".", ".."):
                continue
            attributes = each.attrs
            if attributes.permissions is None and is_name(name):
                attributes = await self._soon(client.lstat(posixpath.join(path, name)))
            found.append(Entry(name, _kind(attributes), attributes.size or 0, int(attributes.mtime or 0)))
        return sorted(found)

    async def _fetch(self, client: SFTPClient, path: str, target: Path, entry: Entry) -> None:
        async with await self._soon(_opened(client, path, "rb")) as remote:
            with target.open("ab") as local:
                at = local.tell()
                while at < entry.size:
                    piece = await self._soon(remote.read(min(PIECE_BYTES, entry.size - at), at))
                    if not piece:
                        raise FileChanging(f"{self.name}: {path} ends at byte {at}, not at {entry.size}")
                    local.write(piece)
                    at += len(piece)
                local.flush()
                os.fsync(local.fileno())
            found = await self._soon(remote.stat())
        if at != entry.size or (found.size, int(found.mtime or 0)) != (entry.size, entry.changed_at):
            raise FileChanging(f"{self.name}: {path} was changed while it was read")

    async def _read(self, client: SFTPClient, path: str, bytes_max: int) -> bytes:
        async with await self._soon(_opened(client, path, "rb")) as remote:
            return bytes(await self._soon(remote.read(bytes_max, 0)))

    async def _put(self, client: SFTPClient, path: str, name: str, content: bytes, done_suffix: str | None) -> None:
        # Two processes may put the same file at the same time: each has a hidden name of its own.
        begin = os.fsencode(name)[:180].decode("utf-8", "ignore")
        half = posixpath.join(path, f".{begin}.{uuid4().hex[:8]}.tmp")
        whole = posixpath.join(path, name)
        try:
            await self._soon(_made(client, path))
            await self._write(client, half, content)
            await self._replace(client, half, whole)
        except asyncssh.SFTPError:
            await self._forget(client, half)
            raise
        if done_suffix:
            await self._write(client, f"{whole}{done_suffix}", b"")

    async def _write(self, client: SFTPClient, path: str, content: bytes) -> None:
        async with await self._soon(_opened(client, path, "wb")) as remote:
            for start in range(0, len(content), PIECE_BYTES):
                await self._soon(remote.write(content[start : start + PIECE_BYTES], start))
            with contextlib.suppress(sftp.SFTPOpUnsupported):  # not every server can promise that it is on the disk
                await self._soon(remote.fsync())
            size = (await self._soon(remote.stat())).size
        if size is not None and size != len(content):
            raise sftp.SFTPFailure(f"{size} bytes arrived of {len(content)}")

    async def _replace(self, client: SFTPClient, half: str, whole: str) -> None:
        try:
            await self._soon(client.posix_rename(half, whole))
            return
        except sftp.SFTPOpUnsupported:
            pass
        try:
            await self._soon(client.rename(half, whole))
        except (sftp.SFTPFailure, sftp.SFTPFileAlreadyExists):
            # The plain rename replaces nothing: the old one goes first. For a moment there is none, never a half.
            await self._soon(client.remove(whole))
            await self._soon(client.rename(half, whole))

    async def _forget(self, client: SFTPClient, path: str) -> None:
        with contextlib.suppress(asyncssh.SFTPError, TimeoutError):  # it is hidden: nobody looks for its name
            await self._soon(client.remove(path))

    async def _move(self, client: SFTPClient, source: str, folder: str, name: str, other_name: str) -> str:
        await self._soon(_made(client, folder))
        try:
            await self._soon(client.lstat(source))
        except sftp.SFTPNoSuchFile:
            return ""
        for target in (name, other_name):
            path = posixpath.join(folder, target)
            if target is name and await self._soon(client.lexists(path)):
                continue
            await self._soon(client.rename(source, path))
            return target
        raise AssertionError("the other name is always tried")

    async def _is_still(self, client: SFTPClient, path: str, entry: Entry) -> bool:
        try:
            found = await self._soon(client.lstat(path))
        except sftp.SFTPNoSuchFile:
            return False
        return (found.size, int(found.mtime or 0)) == (entry.size, entry.changed_at)

    async def _delete(self, client: SFTPClient, path: str) -> None:
        try:
            await self._soon(client.remove(path))
        except sftp.SFTPNoSuchFile:
            return


def is_name(name: str) -> bool:
    """Whether this is the name of a file in a directory, and nothing that leads elsewhere."""
    return (
        name not in ("", ".", "..")
        and "/" not in name
        and "\0" not in name
        and len(os.fsencode(name)) <= NAME_BYTES_MAX
    )


def _kind(attributes: asyncssh.SFTPAttrs) -> str:
    mode = attributes.permissions or 0
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


async def _opened(client: SFTPClient, path: str, mode: str) -> Any:
    return await client.open(path, mode)


async def _made(client: SFTPClient, path: str) -> None:
    """Make a directory where there is none."""
    if path and not await client.isdir(path):
        await client.makedirs(path, exist_ok=True)


def _plain(error: BaseException) -> str:
    if isinstance(error, asyncssh.Error):
        return error.reason or type(error).__name__
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error) or type(error).__name__
