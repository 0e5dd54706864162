"""Soak: the crash run again and again with fresh seeds, until the time is over or something is wrong.

.venv/bin/python scripts/soak.py --minutes 10 --seed 7
.venv/bin/python scripts/soak.py --rounds 1 --seed 7            one round, as it was played before
.venv/bin/python scripts/soak.py --rounds 1 --seed 7 --short    the same, as short as in `make test`

A line for each round. The first violation ends it: exit code 1, what was violated, the seed, how to rerun it, and the folder
with logs, files, database and journal, which is kept. docs/testing.md says what is proved.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIOLATIONS_SHOWN = 30


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


STEPS: tuple[Callable[[argparse.Namespace, float], int], ...] = (crash_rounds,)
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
    parser.add_argument("--rounds", type=int, default=0, help="exactly so many rounds, however long they take")
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
