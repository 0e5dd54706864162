"""An SFTP server over a directory, as a warehouse's trading partners know it: they put files into it and fetch others."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import asyncssh

HOST = "127.0.0.1"


class Mailbox:
    """Listens on the loopback address while it is open; whoever knows the password sees the directory, and nothing above it."""

    def __init__(self, root: Path, port: int, host_key: Path, user: str, password: str) -> None:
        self._root = root
        self._port = port
        self._host_key = host_key
        self._user = user
        self._password = password
        self._server: asyncssh.SSHAcceptor | None = None

    async def __aenter__(self) -> Mailbox:
        user, password, root = self._user, self._password, self._root

        class Door(asyncssh.SSHServer):
            """Lets one user in."""

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, given: str) -> bool:
                return (username, given) == (user, password)

        self._server = await asyncssh.create_server(
            Door,
            HOST,
            self._port,
            server_host_keys=[str(self._host_key)],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(root).encode()),
            allow_scp=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
