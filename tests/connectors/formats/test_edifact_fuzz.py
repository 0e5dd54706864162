"""Damaged EDIFACT comes to documents, flaws, ends of interchanges or a refusal as a whole, never to more, and never slowly."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.formats.document import Document, Flaw, FormatUnreadable, Interchange, Node
from interlock.connectors.formats.edifact import read
from tests.connectors.formats.edifact_parts import EDIFACT, ORDER, SAMPLES, blocks, interchange, items, message

SOURCES = [path.read_bytes() for path in sorted(SAMPLES.glob("*.edi"))]
PIECES = [
    b"'",
    b"+",
    b":",
    b"?",
    b"*",
    b"\n",
    b" ",
    b"\0",
    b"\xff",
    b"UNH+",
    b"UNT+",
    b"UNZ+1",
    b"UNB+",
    b"UNA:+.? '",
    b"UNG+",
]
SECONDS_MAX = 5.0


def damaged(chance: random.Random) -> bytes:
    """A sample in which something was deleted, put in, changed, repeated or cut off."""
    data = chance.choice(SOURCES)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at, to = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        to = min(to, at + 60)
        match chance.randrange(5):
            case 0:
                data = data[:at] + data[to:]
            case 1:
                data = data[:at] + chance.choice(PIECES) * chance.randrange(1, 4) + data[at:]
            case 2:
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 3:
                data = data[:at] + data[at:to] + data[at:]
            case _:
                data = data[: max(at, 1)]
    return data


def walked(node: Node) -> int:
    """How many nodes a tree has, with all of their elements cut."""
    assert node.elements
    return 1 + sum(walked(each) for nodes in (node.children or {}).values() for each in nodes)


def come_to(data: bytes, size: int) -> Counter[str]:
    """What some bytes come to; everything but the four kinds of it raises."""
    counted: Counter[str] = Counter()
    try:
        for item in read(blocks(data, size), EDIFACT):
            match item:
                case Document():
                    counted["document"] += 1
                    assert walked(item.data) > 1
                    assert item.raw
                case Flaw():
                    counted["flaw"] += 1
                    assert item.reason
                    assert item.expected
                case Interchange():
                    counted["end"] += 1
    except FormatUnreadable as refused:
        counted["refused"] += 1
        assert refused.reason
    return counted


@pytest.mark.parametrize("seed", range(5))
def test_any_damage_is_told_and_never_crashes(seed: int) -> None:
    chance = random.Random(seed)
    counted: Counter[str] = Counter()
    for _ in range(400):
        counted += come_to(damaged(chance), chance.choice((3, 64, 1 << 20)))

    assert min(counted[kind] for kind in ("document", "flaw", "end", "refused")) > 10


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from([*PIECES, b"BGM+220+1+9'", b"DTM+137:20260302:102'", b"ORDERS:D:96A:UN'"]), max_size=40)
)
def test_any_heap_of_pieces_is_told_and_never_crashes(pieces: list[bytes]) -> None:
    assert sum(come_to(b"UNB+UNOC:3+A+B+260302:0815+1'" + b"".join(pieces), 1 << 20).values()) > 0


@pytest.mark.parametrize(
    "text",
    [
        "UNH+1+ORDERS:D:96A:UN'" * 100_000,
        "UNH+1+ORDERS:D:96A:UN'" * 50_000 + "UNT+1+1'",
        message(*ORDER[:2], *["QTY+x'"[:-1]] * 200_000, "UNS+S"),
        message(*ORDER[:2], "FTX+AAI+++" + "?" * 2_000_000, "UNS+S"),
        message(*ORDER[:2], "FTX+AAI+++" + "+" * 1_000_000, "UNS+S"),
        message(*ORDER[:2], "FTX+AAI+++" + " \n" * 500_000, "UNS+S"),
        message(*ORDER[:2], "FTX+AAI+++" + "?'" * 500_000, "UNS+S"),
        "BGM+1'" * 300_000,
        "'" * 1_000_000,
        "UNG+ORDERS+A+B+260302:0815+5+UN+D:96A'" * 30_000,
        "UNT+1+1'" * 50_000,
    ],
    ids=lambda text: f"{text[:12]!r} and so on, {len(text)} bytes",
)
def test_nothing_takes_long(text: str) -> None:
    begun = time.process_time()
    items(interchange(text), block=1 << 18)

    assert time.process_time() - begun < SECONDS_MAX
