"""`python -m interlock.edge edge.yaml`: the edge alone, as lean as it gets; the same as `interlock edge run`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from interlock.domain.errors import InterlockError
from interlock.edge.process import run
from interlock.edge.settings import load_settings
from interlock.terminal import log_to_stderr


def main() -> int:
    """Run until SIGTERM or SIGINT; 1 where it cannot."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m interlock.edge edge.yaml\n")
        return 2
    log_to_stderr(logging.INFO)
    try:
        run(load_settings(Path(sys.argv[1])))
    except (InterlockError, OSError) as error:
        sys.stderr.write(f"interlock edge: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
