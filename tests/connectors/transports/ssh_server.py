"""A real SSH server on a loopback socket: one user, one directory that it cannot leave, SFTP and nothing else."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

from interlock.domain.links import Host

USER = "interlock"
PASSWORD = "a password of the test"


class SshServer:
    """The server and what it can be told to do wrong.

    `refuses`: paths (as the client names them) that may not be opened, renamed or listed; `full`: nothing can be written;
    `cut_after`: so many bytes of reads are answered, then the connection is cut, once; `no_extensions`: it knows neither fsync
    nor the rename that replaces.
    """

    def __init__(self, root: Path, *, no_extensions: bool = False) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.refuses: set[str] = set()
        self.full = False
        self.cut_after: int | None = None
        self.served = 0
        self.no_extensions = no_extensions
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.logins = 0
        self.calls: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh-server", daemon=True)
        self._acceptor: asyncssh.SSHAcceptor | None = None

    @property
    def host_key(self) -> str:
        """Its public key, as the estate wants it."""
        return self.key.export_public_key().decode().strip()

    def host(self, **more: object) -> Host:
        """How it is written in an estate."""
        how = {"password_env": "SFTP_PASSWORD", "host_key": self.host_key, **more}
        return Host(host="127.0.0.1", port=self.port, user=USER, **how)  # type: ignore[arg-type]

    def start(self) -> None:
        """Listen; again on the same port after a stop."""
        if not self._thread.is_alive():
            self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)

    def stop(self) -> None:
        """Cut every connection and listen no more."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)

    def cut(self) -> None:
        """Cut every connection; new ones are welcome."""
        for connection in list(self.connections):
            self._loop.call_soon_threadsafe(connection.abort)

    def close(self) -> None:
        """End it all."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        server = self

        class Gate(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                server.connections.append(conn)

            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                server.logins += 1
                return (username, password) == (USER, PASSWORD)

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return username == USER and key.public_data == server.client_key.public_data

        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=Gate,
            server_host_keys=[self.key],
            sftp_factory=lambda channel: _Files(channel, server),
            allow_scp=False,
        )
        self.port = self._acceptor.get_port()

    async def _end(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            for connection in self.connections:
                connection.abort()
            self.connections.clear()
            await self._acceptor.wait_closed()
            self._acceptor = None


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], server: SshServer) -> None:
        super().__init__(channel, chroot=os.fsencode(server.root))
        self._server = server

    def _ask(self, path: bytes, call: str) -> None:
        self._server.calls.append(f"{call} {path.decode('utf-8', 'backslashreplace')}")
        if path.decode("utf-8", "surrogateescape") in self._server.refuses:
            raise asyncssh.SFTPPermissionDenied("not yours")

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        self._ask(path, "open")
        if self._server.full and pflags & asyncssh.FXF_WRITE:
            raise asyncssh.SFTPFailure("No space left on device")
        return super().open(path, pflags, attrs)

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        server = self._server
        if server.cut_after is not None and server.served >= server.cut_after:
            server.cut_after = None
            server.cut()
        data: bytes = super().read(file_obj, offset, size)  # type: ignore[assignment]
        server.served += len(data)
        return data

    def scandir(self, path: bytes) -> object:  # type: ignore[override]
        self._ask(path, "list")
        return super().scandir(path)

    def rename(self, oldpath: bytes, newpath: bytes) -> object:
        self._ask(oldpath, "rename")
        self._ask(newpath, "to")
        if os.path.lexists(self.map_path(newpath)):
            raise asyncssh.SFTPFailure("there is one of that name")
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> object:
        self._ask(newpath, "replace")
        if self._server.no_extensions:
            raise asyncssh.SFTPOpUnsupported("what is that")
        return super().posix_rename(oldpath, newpath)

    def fsync(self, file_obj: object) -> object:
        self._server.calls.append("fsync")
        if self._server.no_extensions:
            raise asyncssh.SFTPOpUnsupported("what is that")
        return super().fsync(file_obj)

    def remove(self, path: bytes) -> object:
        self._ask(path, "remove")
        return super().remove(path)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> object:
        self._ask(path, "mkdir")
        return super().mkdir(path, attrs)


@contextmanager
def ssh_server(root: Path, **more: bool) -> Iterator[SshServer]:
    """A server that runs until the block ends."""
    server = SshServer(root, **more)
    server.start()
    try:
        yield server
    finally:
        server.close()
