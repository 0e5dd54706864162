"""A real OpenSSH server for tests: sshd with its own keys and configuration, files over its internal-sftp and nothing else.

    with openssh() as server:
        server.root                              the directory that its user may write to
        SftpServer(server.host(), environment=server.environment)

It never runs as root: a test that root runs hands it to `nobody`, so that permissions are what they are for a partner's user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

from interlock.domain.links import Host
from tests.servers.process import HOST, Server, free_port, program

KEY_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


class OpenSsh:
    """The server. `sftp` is what its internal-sftp is told: `-R`, nothing may be written; `-P posix-rename`, it does not know it.

    Each kind in `key_kinds` gives it a host key and lets in a client key of that kind.
    """

    def __init__(self, folder: Path, *, sftp: str = "", key_kinds: tuple[str, ...] = KEY_KINDS[:1]) -> None:
        self.folder = folder
        self.root = folder / "files"
        self.root.mkdir()
        self.user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.port = free_port()
        daemon = program("sshd", "/usr/sbin/sshd")
        self._host_keys = {kind: _key(folder / f"host-{kind}", kind) for kind in key_kinds}
        keys = [_key(folder / f"client-{kind}", kind) for kind in key_kinds]
        (folder / "authorized_keys").write_text("".join(f"{each}\n" for each in keys))
        (folder / "sshd_config").write_text(self._settings(daemon, sftp))
        self._own(folder)
        command = [daemon, "-D", "-e", "-f", str(folder / "sshd_config")]
        self._server = Server(command, folder, self.port, user=self.user if os.getuid() == 0 else None)

    def host(self, kind: str = KEY_KINDS[0], **more: object) -> Host:
        """How it is written in an estate."""
        how = {"key_file_env": "SFTP_KEY", "host_key": self._host_keys[kind], **more}
        return Host(host=HOST, port=self.port, user=self.user, **how)  # type: ignore[arg-type]

    @property
    def environment(self) -> dict[str, str]:
        """Where the private key is."""
        return {"SFTP_KEY": self.key_file(KEY_KINDS[0])}

    def key_file(self, kind: str) -> str:
        """The private key of the user."""
        return str(self.folder / f"client-{kind}")

    def file(self, path: str, content: bytes, *, mine: bool = True) -> Path:
        """A file below the root, its directory made if need be; `mine`: of the server's user, else of whoever runs the test."""
        found = self.root / path
        found.parent.mkdir(parents=True, exist_ok=True)
        self._own(found.parent)
        found.write_bytes(content)
        if mine:
            self._own(found)
        return found

    def start(self) -> None:
        """Listen; again on the same port after a stop."""
        self._server.start()

    def stop(self) -> None:
        """Cut every connection and listen no more."""
        self.cut()
        self._server.kill()

    def cut(self) -> None:
        """Cut every connection; new ones are welcome."""
        cut = list(_descendants(self._server))
        for pid in cut:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 10
        while not _running().keys().isdisjoint(cut):
            assert time.monotonic() < end, "a connection's process does not end"
            time.sleep(0.01)

    def connections(self) -> int:
        """How many connections it serves: each has a process of its own."""
        assert self._server.process is not None
        return sum(parent == self._server.process.pid for parent in _running().values())

    def _own(self, path: Path) -> None:
        if os.getuid() == 0:
            user = pwd.getpwnam(self.user)
            for each in (path, *(path.iterdir() if path.is_dir() else ())):
                os.chown(each, user.pw_uid, user.pw_gid, follow_symlinks=False)

    def _settings(self, daemon: str, sftp: str) -> str:
        settings = [f"ListenAddress {HOST}", f"Port {self.port}", "PidFile none", "UseDNS no", "LogLevel VERBOSE"]
        settings += [f"HostKey {self.folder}/host-{kind}" for kind in self._host_keys]
        settings += [f"AuthorizedKeysFile {self.folder}/authorized_keys", "AuthenticationMethods publickey"]
        # Without PAM, an account that has no password counts as locked.
        settings += ["StrictModes no", "UsePAM yes"]
        settings += ["Subsystem sftp internal-sftp", f"ForceCommand internal-sftp {sftp}"]
        said = subprocess.run([daemon, "-V"], capture_output=True, text=True, timeout=10, check=False)
        version = re.search(r"OpenSSH_(\d+)\.(\d+)", said.stderr + said.stdout)
        if version and (int(version[1]), int(version[2])) >= (9, 8):
            settings.append("PerSourcePenalties no")  # it would not hear us any more after what some tests do
        return "\n".join(settings) + "\n"


@contextmanager
def openssh(sftp: str = "", key_kinds: tuple[str, ...] = KEY_KINDS[:1]) -> Iterator[OpenSsh]:
    """A server that runs until the block ends. Skips the test where the machine does not have OpenSSH's server."""
    program("sshd", "/usr/sbin/sshd")
    # Not in the directory of the test: no other user than who runs the tests comes through to that.
    folder = Path(tempfile.mkdtemp(prefix="interlock-openssh-"))
    try:
        server = OpenSsh(folder, sftp=sftp, key_kinds=key_kinds)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _key(path: Path, kind: str) -> str:
    """Make a key pair: the private one in the file, which nobody else may read; the public one is given."""
    key = asyncssh.generate_private_key(kind)
    path.touch(mode=0o600)
    key.write_private_key(path)
    return key.export_public_key().decode().strip()


def _descendants(server: Server) -> Iterator[int]:
    """The processes that it started, and those that these started: they lead sessions of their own, and outlive it."""
    if server.process is None:
        return
    running, parents = _running(), {server.process.pid}
    while parents := {pid for pid, parent in running.items() if parent in parents}:
        yield from parents


def _running() -> dict[int, int]:
    """Every process that runs, with its parent."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, parent = path.read_text("utf-8", "replace").rpartition(") ")[2].split()[:2]
            if state != "Z":
                found[int(path.parent.name)] = int(parent)
    return found
