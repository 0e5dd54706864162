"""The command line: `interlock serve | work | demo | init | estate | connect | migrate | ingest | trace | status | audit`, …

Every command that prints data takes `--json`. Settings come from options, then from INTERLOCK_ESTATE,
INTERLOCK_DATABASE_URL, INTERLOCK_DATA_DIR and INTERLOCK_PG_BIN, then from defaults.
"""

from __future__ import annotations

import logging
import sys

from interlock.cli import (
    clocks,
    connect,
    contracts,
    contracts_external,
    contracts_published,
    edge,
    estate_secrets,
    everyday,
    interchanges,
    masters,
    pos,
    redeliver,
    replay,
    reversal,
    simulate,
    subscriptions,
)
from interlock.cli.options import EXIT_BAD, app
from interlock.domain.errors import EstateInvalid, InterlockError
from interlock.terminal import err, log_to_stderr

__all__ = [
    "app",
    "clocks",
    "connect",
    "contracts",
    "contracts_external",
    "contracts_published",
    "edge",
    "estate_secrets",
    "everyday",
    "interchanges",
    "main",
    "masters",
    "pos",
    "redeliver",
    "replay",
    "reversal",
    "simulate",
    "subscriptions",
]


def main() -> None:
    """The `interlock` program: an error that we know is one clear line, not a traceback."""
    log_to_stderr(logging.INFO)
    try:
        app()
    except EstateInvalid as error:
        for mistake in error.mistakes:
            err.print(mistake, style="red", markup=False, highlight=False)
        sys.exit(EXIT_BAD)
    except (InterlockError, OSError) as error:
        err.print(f"interlock: {error}", style="red", markup=False, highlight=False)
        sys.exit(EXIT_BAD)
