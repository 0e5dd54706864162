"""A real MariaDB for tests, in a directory and on a port of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from tests.servers.process import HOST, Server, free_port, program


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Its address, as SQLAlchemy writes it. Skips the test where the machine does not have MariaDB."""
    folder.mkdir(parents=True, exist_ok=True)
    daemon = program("mariadbd", "/usr/sbin/mariadbd")
    install = program("mariadb-install-db")
    data, port = folder / "data", free_port()
    made = [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run([*made, "--user=root"], check=True, capture_output=True, timeout=60)
    command = [daemon, "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={folder}/mariadb.sock"]
    command += [f"--port={port}", f"--bind-address={HOST}", "--innodb-buffer-pool-size=32M", "--skip-log-bin"]
    server = Server(command, folder, port, ready=lambda: _answers(port))
    server.start()
    try:
        with pymysql.connect(host=HOST, port=port, user="root", autocommit=True) as connection:
            connection.cursor().execute("create database partner character set utf8mb4")
        yield f"mariadb://root@{HOST}:{port}/partner"
    finally:
        server.kill()


def _answers(port: int) -> bool:
    try:
        pymysql.connect(host=HOST, port=port, user="root", connect_timeout=1).close()
    except pymysql.Error:
        return False
    return True
