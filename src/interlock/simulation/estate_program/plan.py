"""What there is to do: plan.json and keys.json, as `interlock demo` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

HOST_KEY_FILE = "dc_host_key"
"""The private key of the DC's SFTP server, beside plan.json."""
DC_USER = "interlock"


class PlanUnreadable(Exception):
    """The plan's directory lacks something, or holds something else."""


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """One day: the files of its web orders and of its tills' exports, relative to the plan."""

    day: str
    web: str
    sales: str
    tendered: str
    web_orders: int
    sales_orders: int = 0
    sales_rows: int = 0
    sales_transactions: int = 0
    tendered_orders: int = 0
    tendered_rows: int = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of plan.json that the peers need. `folder` is the plan's directory."""

    version: int
    seed: int
    nights: tuple[Night, ...]
    counts: tuple[str, ...]
    folders: dict[str, str]
    ports: dict[str, int]
    nodes: dict[str, str]
    recount: tuple[tuple[str, str], ...]
    folder: Path = Path()
    keys: dict[str, str] = {}

    def path(self, name: str) -> Path:
        """The directory of one of the exchange folders."""
        return self.folder / self.folders[name]

    def web_orders(self, night: Night) -> Iterator[dict[str, Any]]:
        """The bodies of the day's web orders, one at a time."""
        with (self.folder / night.web).open("rb") as lines:
            for line in lines:
                order: dict[str, Any] = msgspec.json.decode(line)
                yield order


def read_plan(folder: Path) -> Plan:
    """The plan of a directory; raises PlanUnreadable with the file and what is wrong."""
    found: dict[str, bytes] = {}
    for name in ("plan.json", "keys.json"):
        try:
            found[name] = (folder / name).read_bytes()
        except OSError as error:
            raise PlanUnreadable(f"{folder / name}: {error.strerror}; `interlock demo` writes it") from None
    try:
        plan = msgspec.json.decode(found["plan.json"], type=Plan)
        keys = msgspec.json.decode(found["keys.json"], type=dict[str, str])
    except msgspec.DecodeError as error:
        raise PlanUnreadable(f"{folder}: {error}") from None
    if plan.version != 1:
        raise PlanUnreadable(
            f"{folder / 'plan.json'}: version {plan.version} is not 1, the one that this program reads"
        )
    return msgspec.structs.replace(plan, folder=folder, keys=keys)
