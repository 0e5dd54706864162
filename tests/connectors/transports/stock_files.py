"""An estate whose warehouse sends stock counts in files of any format, read by a mapping of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from interlock.connectors.inlet import Inlet, Observer
from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.files import DropFolder
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import Contact, Estate, Limits, Node, Place, System
from interlock.domain.links import FolderIn, Format, LinkIn
from interlock.domain.values import NodeId, SystemId
from interlock.storage.database import Database

CSV = Format(kind="csv")
MAPPING: dict[str, object] = {
    "first": True,
    "records": [
        {"when": {"kind": "training"}, "skip": "training counts nothing"},
        {
            "when": {"sku": {"exists": True}},
            "action": "stock.count",
            "fields": {"sku": "sku", "node": "=DC-1", "counted": {"from": "qty", "number": "plain"}, "ref": "ref"},
        },
    ],
}
WMS = System(
    id=SystemId("wms"),
    name="Warehouse",
    kind="wms",
    owner=Contact(team="supply", escalation="supply@example.test"),
    authority={"stock": "decide"},
    time_zone="UTC",
    currency="USD",
    order_scope="wms",
)
HEADER = "sku,qty,ref,kind\n"


def estate(link: LinkIn, **limits: int) -> Estate:
    """The estate with one link of the warehouse."""
    system = replace(WMS, inbound=(link,), limits=Limits(**limits))
    node = Node(
        id=NodeId("DC-1"),
        name="DC",
        kind="dc",
        system=WMS.id,
        place=Place(country="US"),
        time_zone="UTC",
        fulfills=("delivery",),
    )
    return Estate(
        retailer="Test",
        currency="USD",
        systems={WMS.id: system},
        nodes={node.id: node},
        channels={},
        mappings={"counts": MAPPING},
    )


class FakeDoor:
    """Takes everything, and says so."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        self.arrivals += arrivals
        return [
            Outcome(message_id=each.message_id, outcome="quarantined" if each.problem else "processed")
            for each in arrivals
        ]


def inlet_of(link: LinkIn, door: object, observers: Sequence[Observer] = (), **limits: int) -> tuple[System, Inlet]:
    """The link's system and its inlet."""
    whole = estate(link, **limits)
    links = Links(whole, Mapper(whole), door, lambda _system, _link: observers)  # type: ignore[arg-type]
    system = whole.systems[WMS.id]
    return system, links.inlet(system, link)


def folder_of(
    path: Path,
    db: Database,
    door: object = None,
    form: Format = CSV,
    limits: dict[str, int] | None = None,
    observers: Sequence[Observer] = (),
    **more: object,
) -> DropFolder:
    """A drop folder whose files the mapping reads."""
    how = {"pattern": "*", "mapping": "counts", **more}
    link = FolderIn(path=str(path), format=form, **how)  # type: ignore[arg-type]
    door = door or FakeDoor()
    system, inlet = inlet_of(link, door, observers, **(limits or {}))
    return DropFolder(system, link, Mapper(estate(link)), door, db, inlet=inlet)  # type: ignore[arg-type]


def counts(rows: int, first: int = 0) -> bytes:
    """A CSV with so many counts."""
    return (HEADER + "".join(f"SKU-{n},{n},R{n},\n" for n in range(first, first + rows))).encode()


def drop(path: Path, content: bytes, name: str = "counts.csv") -> Path:
    """Put a file into a folder."""
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_bytes(content)
    return path / name


def later(seconds: float = 60) -> datetime:
    """A time at which what was written until now has been still for so many seconds."""
    return datetime.now(UTC) + timedelta(seconds=seconds)
