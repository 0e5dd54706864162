"""Soak: crash runs, then simulated months, again and again with fresh seeds, until the time is over or something is wrong.

.venv/bin/python scripts/soak.py --minutes 10 --seed 7
.venv/bin/python scripts/soak.py --rounds 1 --seed 7            one round, as it was played before
.venv/bin/python scripts/soak.py --rounds 1 --seed 7 --short    the same, as short as in `make test`

A line for each round. The first violation ends it: exit code 1, what was violated, the seed, how to rerun it, and the folder
with logs, files, database and journal, which is kept. docs/testing.md says what is proved.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIOLATIONS_SHOWN = 30
DAYS = 30


def main() -> int:
    """Every step in turn, each with its share of the time; gives the exit code."""
    asked = _arguments()
    print(f"soak: {asked.minutes:g} minutes, seed {asked.seed}", flush=True)
    share_s = asked.minutes * 60 / len(STEPS)
    return max(step(asked, share_s) for step in STEPS)


def crash_rounds(asked: argparse.Namespace, seconds: float) -> int:
    """Crash runs with the seeds N, N+1 … on fresh databases, at least one; gives 1 where something was violated."""
    from tests.crash.scenario import LONG, SHORT, run

    until, played = time.monotonic() + seconds, 0
    while played < asked.rounds if asked.rounds else (played == 0 or time.monotonic() < until):
        seed = asked.seed + played
        folder = Path(tempfile.mkdtemp(prefix=f"interlock-soak-{seed}-"))
        report = run(folder, seed, SHORT if asked.short else LONG)
        played += 1
        print(f"round {played}: {report.line()}", flush=True)
        if report.violations:
            _tell(report.violations, folder, f"--rounds 1 --seed {seed}{' --short' if asked.short else ''}")
            return 1
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def simulated_months(asked: argparse.Namespace, seconds: float) -> int:
    """`interlock simulate` with the seeds N, N+1 …, thirty days of storm each, at least one; gives 1 at a violation.

    The command itself tells the violation as a short story, and how to run it again.
    """
    until, played = time.monotonic() + seconds, 0
    while not asked.rounds and (played == 0 or time.monotonic() < until):
        seed = asked.seed + played
        played += 1
        command = [sys.executable, "-m", "interlock.cli", "simulate", "--seed", str(seed), "--days", str(DAYS)]
        ended = subprocess.run([*command, "--faults", "storm", "--json"], check=False, capture_output=True, text=True)
        if ended.returncode:
            print(ended.stdout + ended.stderr, flush=True)
            return 1
        found = json.loads(ended.stdout)
        faults = sum(found["faults"].values())
        print(
            f"simulated {DAYS} days, seed {seed}: {found['messages']} messages, {faults} faults, 0 violations",
            flush=True,
        )
    return 0


STEPS: tuple[Callable[[argparse.Namespace, float], int], ...] = (crash_rounds, simulated_months)
"""What a soak is made of; each takes the arguments and its share of the time in seconds, and gives an exit code."""


def _tell(violations: list[str], folder: Path, again: str) -> None:
    for violation in violations[:VIOLATIONS_SHOWN]:
        print(f"VIOLATED: {violation}")
    if len(violations) > VIOLATIONS_SHOWN:
        print(f"… and {len(violations) - VIOLATIONS_SHOWN} more")
    print(f"everything is in {folder}\nrerun: .venv/bin/python scripts/soak.py {again}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Crash runs with fresh seeds, for as long as one likes.")
    parser.add_argument("--minutes", type=float, default=10.0, help="for so long; a round that was begun is finished")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; drawn and printed if absent")
    parser.add_argument("--rounds", type=int, default=0, help="exactly so many crash rounds, however long they take")
    parser.add_argument("--short", action="store_true", help="rounds as short as in `make test`")
    asked = parser.parse_args()
    if asked.minutes <= 0 or asked.rounds < 0:
        parser.error(f"--minutes {asked.minutes:g} --rounds {asked.rounds}: expected more than none")
    if asked.seed is None:
        asked.seed = secrets.randbelow(1_000_000)
    return asked


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # the crash run lives with the tests
    sys.exit(main())
