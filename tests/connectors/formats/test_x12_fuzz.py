"""Whatever bytes come: X12 is read to documents, flaws and envelopes, or said to be unreadable; nothing else, and soon."""

from __future__ import annotations

import random
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.formats.document import (
    Document,
    Flaw,
    FormatUnreadable,
    Interchange,
    Item,
    Numbers,
    WriteRefused,
)
from interlock.connectors.formats.x12 import acknowledge, read
from interlock.domain.links import Envelope, Party
from tests.connectors.formats.x12_making import FORM, a_group, a_set, an_interchange, as_bytes

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "x12").glob("*.edi"))
CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "01-x12"
ENVELOPE = Envelope(ours=Party(id="US"), theirs=Party(id="THEM"))
NUMBERS = Numbers(interchange=1, at=datetime(2026, 3, 1))
SECONDS_MAX = 5.0
TOKENS = [
    b"*",
    b"~",
    b"\n",
    b"\r\n",
    b">",
    b"ISA",
    b"GS*",
    b"ST*850*",
    b"SE*",
    b"GE*1*",
    b"IEA*",
    b"TA1*",
    b"\x00",
    b"\xff",
    b"\xc3",
    b" ",
]


def read_through(data: bytes, block: int = 0) -> list[Item]:
    """Read it, and acknowledge what came in: what is said of it must be right X12."""
    blocks = [data[at : at + block] for at in range(0, len(data), block)] if block else [data]
    began = time.process_time()
    found: list[Item] = []
    try:
        for item in read(blocks, FORM):
            found.append(item)
    except FormatUnreadable:
        pass
    assert all(type(each) in (Document, Flaw, Interchange) for each in found)
    for each in found:
        if isinstance(each, Interchange) and each.control:
            check_acknowledgments(each)
    assert time.process_time() - began < SECONDS_MAX
    return found


def check_acknowledgments(interchange: Interchange) -> None:
    for kind in ("997", "999", "TA1"):
        try:
            said = acknowledge(interchange, kind, ENVELOPE, NUMBERS)  # type: ignore[arg-type]
        except WriteRefused as refused:
            # Only a TA1 cannot be made: of an interchange whose number is none.
            assert refused.field == "ISA13"
            continue
        assert said == b"" or [type(each) for each in read([said], FORM)] == [Interchange]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_our_samples_cut_at_every_third_place(path: Path) -> None:
    data = path.read_bytes()
    whole = sum(isinstance(each, Document) for each in read_through(data))

    for at in range(0, len(data), 3):
        assert sum(isinstance(each, Document) for each in read_through(data[:at])) <= whole


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora of real inputs are not beside this checkout")
def test_the_corpus_cut_at_many_places() -> None:
    for path in sorted(CORPUS.glob("*.edi")):
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 25)):
            read_through(data[:at])


@pytest.mark.parametrize("seed", range(2))
def test_samples_with_bytes_changed_moved_and_lost(seed: int) -> None:
    chance = random.Random(seed)
    for path in SAMPLES:
        for _ in range(25):
            data = bytearray(path.read_bytes())
            for _ in range(chance.randint(1, 6)):
                at = chance.randrange(len(data) or 1)
                match chance.randrange(4):
                    case 0:
                        data[at : at + 1] = chance.choice(TOKENS)
                    case 1:
                        del data[at : at + chance.randint(1, 40)]
                    case 2:
                        begin = chance.randrange(len(data) or 1)
                        data[at:at] = data[begin : begin + chance.randint(1, 200)]
                    case _:
                        data[at:at] = b"".join(chance.choices(TOKENS, k=chance.randint(1, 5)))
            read_through(bytes(data), chance.choice([0, 0, 1, 5, 64]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*TOKENS, b"PO1*1*2*EA", b"HL*1**S", b"HL*2*1*O", b"0001", b"850", b"a"]), max_size=40))
def test_anything_after_a_right_head(parts: list[bytes]) -> None:
    head = as_bytes(an_interchange(a_group(a_set()))[:2])

    read_through(head + b"".join(parts))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_anything_at_all(data: bytes) -> None:
    read_through(data)
    read_through(b"ISA" + data)


@pytest.mark.parametrize(
    "piece", [b"ISA*", b"~", b"ST*850*1~", b"GS*PO~", b"IEA*1~", b"HL*1*1*S~", b"\n", b"ISA*00*  ", b"SE*1*1~"]
)
def test_a_piece_five_thousand_times(piece: bytes) -> None:
    head = as_bytes(an_interchange(a_group(a_set()))[:2])

    read_through(head + piece * 5_000)
    read_through(piece * 5_000)
