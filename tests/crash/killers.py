"""Who kills what, when: the service's processes and PostgreSQL's, by SIGKILL, at moments that a seed draws.

Only processes of the run's own are killed: those that it started itself, and the PostgreSQL whose working directory is the
cluster of the run's own data directory.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

SERVICE_KILLS: Final = ("serve", "starter", "helper", "work", "everything")
POSTGRES_KILLS: Final = ("postmaster", "backend", "everything")
UP_WAIT_S = 60.0
ENDS_WAIT_S = 60.0
STARTS_MAX = 20
LOOK_AGAIN_S = 0.05

Kind = Literal["serve", "starter", "helper", "work", "everything", "postmaster", "backend"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is killed how often, and the pauses (least and most, in seconds) between two kills of one killer."""

    service: tuple[Kind, ...]
    postgres: tuple[Kind, ...]
    service_pause_s: tuple[float, float] = (0.2, 1.0)
    postgres_pause_s: tuple[float, float] = (0.8, 2.5)


class Seen(NamedTuple):
    """A live process of this machine."""

    pid: int
    parent: int
    group: int


def processes() -> list[Seen]:
    """All live processes."""
    found = []
    if sys.platform != "linux":
        said = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,pgid="], check=True, capture_output=True, text=True)
        return [Seen(*map(int, line.split())) for line in said.stdout.splitlines()]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if stat[0] != "Z":
                    found.append(Seen(int(entry.name), int(stat[1]), int(stat[2])))
    return found


class Program:
    """One of Interlock's programs, started again whenever it ended, as a supervisor would.

    `says` is what it writes to its log when it has come up. A program that ends before that is started again; one that ends
    by itself after that, and nobody killed it, has broken its word.
    """

    def __init__(self, command: Sequence[str], log: Path, says: str, answers: Callable[[], bool]) -> None:
        self.command, self.log, self.says, self._answers = list(command), log, says.encode(), answers
        self.process: subprocess.Popen[bytes] | None = None
        self.starts_in_vain = 0
        self._log_begins = 0

    def start(self) -> None:
        """Start it and return at once."""
        with self.log.open("ab") as out:
            self._log_begins = out.tell()
            self.process = subprocess.Popen(self.command, stdout=out, stderr=out, start_new_session=True)

    def wait_up(self) -> None:
        """Return when it works, starting it again if it could not. Raises AssertionError if it does not come up."""
        until, starts = time.monotonic() + UP_WAIT_S, 1
        while not (self._has_come_up() and self._answers()):
            if not self.is_alive:
                assert not self._has_come_up(), f"{self.name} ended by itself:\n{self.tail()}"
                assert starts < STARTS_MAX, f"{self.name} does not start:\n{self.tail()}"
                self.starts_in_vain += 1
                starts += 1
                self.start()
            assert time.monotonic() < until, f"{self.name} is not up after {UP_WAIT_S:.0f} s:\n{self.tail()}"
            time.sleep(LOOK_AGAIN_S)

    @property
    def name(self) -> str:
        """The sub-command."""
        return f"interlock {self.command[3]}"

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started runs."""
        return self.process is not None and self.process.poll() is None

    def check_alive(self) -> None:
        """Raise AssertionError if it has come up, and is gone although nobody killed it."""
        assert self.is_alive or not self._has_come_up(), f"{self.name} ended by itself:\n{self.tail()}"

    def kill(self) -> None:
        """End it and its helpers as a power cut would."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_starter(self) -> list[int]:
        """Kill the first process alone; gives the helpers, which have to end by themselves."""
        assert self.process is not None
        helpers = self._helpers()
        self.process.kill()
        self.process.wait()
        return helpers

    def kill_helper(self, chance: random.Random) -> bool:
        """Kill one helper; False if there is none."""
        helpers = self._helpers()
        if helpers:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(helpers), signal.SIGKILL)
        return bool(helpers)

    def stop(self) -> None:
        """End it in order. Raises AssertionError if it does not end, or not well."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(ENDS_WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end {ENDS_WAIT_S:.0f} s after SIGTERM:\n{self.tail()}") from None
        assert code == 0, f"{self.name} ended with {code} on SIGTERM:\n{self.tail()}"

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def _helpers(self) -> list[int]:
        assert self.process is not None
        return [each.pid for each in processes() if each.group == self.process.pid != each.pid]

    def _has_come_up(self) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            return self.says in log.read()


class Postgres:
    """The embedded server of one data directory, as somebody sees it who may kill it."""

    def __init__(self, data_dir: Path) -> None:
        self.cluster = data_dir / "postgres"

    def postmaster(self) -> int | None:
        """Its pid, if one of our cluster runs."""
        try:
            pid = int((self.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if self._is_ours(pid) else None

    def kill_postmaster(self) -> bool:
        """Kill the parent of all; its children notice. False if it does not run."""
        return self._kill(self.postmaster())

    def kill_backend(self, chance: random.Random) -> bool:
        """Kill a child, mostly one that serves a session: the server then drops all sessions and recovers."""
        children = {pid: title for pid, title in self._children().items() if "logger" not in title}
        sessions = [pid for pid, title in children.items() if "[local]" in title]
        wanted = sessions if sessions and chance.random() < 0.7 else list(children)
        return self._kill(chance.choice(wanted)) if wanted else False

    def kill_all(self) -> bool:
        """Kill the postmaster and all of its children."""
        children, killed = list(self._children()), self.kill_postmaster()
        for pid in children:
            self._kill(pid)
        return killed

    def _children(self) -> dict[int, str]:
        parent = self.postmaster()
        return {each.pid: title(each.pid) for each in processes() if parent is not None and each.parent == parent}

    def _kill(self, pid: int | None) -> bool:
        """Kill a process of the cluster, and nobody else who may have got its number meanwhile."""
        if pid is None:
            return False
        with suppress(ProcessLookupError, PermissionError):
            if not hasattr(os, "pidfd_open"):
                if not self._is_ours(pid):
                    return False
                os.kill(pid, signal.SIGKILL)
                return True
            handle = os.pidfd_open(pid)
            try:
                if self._is_ours(pid):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    return True
            finally:
                os.close(handle)
        return False

    def _is_ours(self, pid: int) -> bool:
        """Whether it works in the cluster's directory, as every process of a PostgreSQL does."""
        if sys.platform != "linux":
            said = subprocess.run(["lsof", "-a", "-d", "cwd", "-p", str(pid), "-Fn"], check=False, capture_output=True)
            return f"n{self.cluster.resolve()}\n" in said.stdout.decode()
        with suppress(OSError):
            return os.path.samestat(Path(f"/proc/{pid}/cwd").stat(), self.cluster.stat())
        return False


def title(pid: int) -> str:
    """The command line of a process, "" if it is gone."""
    if sys.platform != "linux":
        said = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, text=True)
        return said.stdout
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


class Killer(threading.Thread):
    """Kills one thing after the other by its list, in an order and at moments of its own.

    `done` counts what was killed; what it found broken meanwhile is its `trouble`.
    """

    def __init__(
        self,
        name: str,
        kinds: Sequence[Kind],
        pause_s: tuple[float, float],
        seed: int,
        kill: Callable[[Kind, random.Random], bool],
    ) -> None:
        super().__init__(name=f"killer-{name}", daemon=True)
        self.done: Counter[str] = Counter()
        self.trouble = ""
        self._chance = random.Random(f"{seed}/killer/{name}")
        self._kinds = self._chance.sample(list(kinds), len(kinds))
        self._pause_s, self._kill = pause_s, kill

    def run(self) -> None:
        """A pause, a kill, and so on; what is not there to be killed is waited for."""
        try:
            for kind in self._kinds:
                time.sleep(self._chance.uniform(*self._pause_s))
                until = time.monotonic() + UP_WAIT_S
                while not self._kill(kind, self._chance):
                    assert time.monotonic() < until, f"there is no {kind} to kill for {UP_WAIT_S:.0f} s"
                    time.sleep(LOOK_AGAIN_S)
                self.done[kind] += 1
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"


class Victims:
    """Everything that may be killed in a run, and how it comes back."""

    def __init__(self, serve: Program, work: Program, postgres: Postgres) -> None:
        self.serve, self.work, self.postgres = serve, work, postgres

    def kill_service(self, kind: Kind, chance: random.Random) -> bool:
        """Kill a part of the service or everything, and bring it back; now and then kill it again on its way up."""
        for program in (self.serve, self.work):
            program.check_alive()
        if kind == "work":
            self.work.kill()
            self.work.start()
            return True
        if kind == "helper" and self.serve.kill_helper(chance):
            return True
        orphans: list[int] = []
        if kind == "starter":
            orphans = self.serve.kill_starter()
        elif kind == "everything":
            self.serve.kill()
            self.work.kill()
            self.postgres.kill_all()
            self.work.start()
        else:
            self.serve.kill()
        self.serve.start()
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0.1, 1.0))
            self.serve.kill()
            self.serve.start()
        self.serve.wait_up()
        _wait_gone(orphans)
        # A service that had lost its helper before came back with one: that one is killed next.
        return kind != "helper"

    def kill_postgres(self, kind: Kind, chance: random.Random) -> bool:
        """Kill the postmaster or a backend; nobody but Interlock brings it back."""
        return self.postgres.kill_postmaster() if kind == "postmaster" else self.postgres.kill_backend(chance)


def _wait_gone(pids: Sequence[int]) -> None:
    """Helpers whose starter was killed end by themselves. Raises AssertionError, and kills them, if they do not."""
    until = time.monotonic() + ENDS_WAIT_S
    while left := {each.pid for each in processes()} & set(pids):
        if time.monotonic() > until:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"helpers {left} go on {ENDS_WAIT_S:.0f} s after their starter was killed")
        time.sleep(LOOK_AGAIN_S)
