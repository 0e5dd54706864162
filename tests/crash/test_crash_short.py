"""The service and PostgreSQL are killed with -9 under load over HTTP and files: what was said is true in the end."""

from __future__ import annotations

from pathlib import Path

from tests.crash.scenario import SHORT, run

SEED = 20261123


def test_service_and_postgresql_killed_at_random_moments_keep_every_word_that_was_given(tmp_path: Path) -> None:
    report = run(tmp_path, SEED, SHORT)

    assert report.violations == [], f"{report.line()}\nrerun: scripts/soak.py --short --rounds 1 --seed {SEED}"
    assert (report.service_kills, report.postgres_kills) == (7, 5)
    # That it was put to the test at all: answers were lost, clients gave up, refusals and repetitions were there.
    assert min(report.orders, report.answers_lost, report.gave_up, report.files) > 0
    assert report.outcomes.keys() >= {"processed", "duplicate", "refused", "quarantined", "conflict"}
