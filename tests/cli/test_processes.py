"""A service of several processes: one that dies is started again, and all end with the first."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.bootstrap import Settings
from interlock.contracts.estate_file import starter
from interlock.demo.run import Service
from tests.crash.killers import processes, title

PATIENCE_S = 30.0


def test_a_process_that_is_killed_is_started_again_and_ends_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSHOP_WEBHOOK_SECRET", "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtMDE=")
    estate = tmp_path / "estate.yaml"
    estate.write_text(starter())
    service = Service(Settings(estate=estate, data_dir=tmp_path / "data"), tmp_path / "serve.log")
    service.start()
    assert service.process is not None
    starter_pid = service.process.pid
    try:
        (first,) = _until(lambda: _helpers_of(starter_pid), lambda found: len(found) == 1)
        os.kill(first, signal.SIGKILL)
        (second,) = _until(lambda: _helpers_of(starter_pid), lambda found: len(found) == 1 and found != [first])
        assert service.process.poll() is None
    finally:
        service.stop()
    assert _until(lambda: [p.pid for p in processes() if p.pid == second], lambda found: found == []) == []


def _helpers_of(pid: int) -> list[int]:
    return [each.pid for each in processes() if each.parent == pid and "--joins" in title(each.pid)]


def _until(ask: Callable[[], list[int]], enough: Callable[[list[int]], bool]) -> list[int]:
    end = time.monotonic() + PATIENCE_S
    while not enough(found := ask()):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found
