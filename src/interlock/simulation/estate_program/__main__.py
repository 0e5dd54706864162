"""The command line of the simulated estate."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import sys
from pathlib import Path
from urllib.parse import urlsplit

from interlock.simulation.estate_program.chance import PROFILES
from interlock.simulation.estate_program.plan import PlanUnreadable, read_plan
from interlock.simulation.estate_program.program import Settings, run

DONE, USAGE, UNFINISHED = 0, 2, 3


def main() -> int:
    """0: everything is done, answered and settled; 2: cannot begin; 3: something was given up or did not settle."""
    options = _parser().parse_args()
    try:
        host, port = _address(options.interlock)
        plan = read_plan(options.plan)
    except (PlanUnreadable, ValueError) as error:
        print(f"estate: {error}", file=sys.stderr)
        return USAGE
    settings = Settings(
        host=host,
        port=port,
        profile=PROFILES[options.profile],
        time_scale=options.time_scale,
        give_up_s=options.give_up_s,
        settle_s=options.settle_s,
        concurrency=options.concurrency,
        report=options.report or options.plan / "report.json",
        progress=options.progress or options.plan / "progress.json",
    )
    report = asyncio.run(run(plan, settings))
    return DONE if report["finished"] else UNFINISHED


def _address(url: str) -> tuple[str, int]:
    """Host and port of Interlock's address, which must be a loopback address."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    try:
        fine = parts.scheme == "http" and ipaddress.ip_address(host).is_loopback
    except ValueError:
        fine = False
    if not fine or not parts.port:
        raise ValueError(
            f"--interlock: {url!r} is not an http:// loopback address with a port, such as http://127.0.0.1:8080"
        )
    return host, parts.port


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="estate_program", description="Plays the systems around Interlock.")
    parser.add_argument("plan", type=Path, help="the directory that holds plan.json")
    parser.add_argument("--interlock", default="http://127.0.0.1:8080", help="Interlock's address (loopback only)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="usual", help="how much goes wrong")
    parser.add_argument(
        "--time-scale", type=float, default=1.0, help="stretches (above 1) or shrinks every wait of a peer"
    )
    parser.add_argument("--give-up-s", type=float, default=120.0, help="how long a request or file is tried again")
    parser.add_argument("--settle-s", type=float, default=30.0, help="how long to wait at the end without any progress")
    parser.add_argument("--concurrency", type=int, default=64, help="how many requests the web shop has open at once")
    parser.add_argument("--report", type=Path, help="where the final report goes (PLAN_DIR/report.json)")
    parser.add_argument("--progress", type=Path, help="where progress goes, every second (PLAN_DIR/progress.json)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
