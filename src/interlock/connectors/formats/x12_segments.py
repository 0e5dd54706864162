"""X12 segments as data: for each its elements and its syntax notes, as in versions 004010 to 005010.

    BEG  ID2! ID2! AN22! AN30 DT! …  | P0607 R0203
         │  │ │                         └ P: all or none, R: at least one, C: the first needs the others,
         │  │ └ mandatory                  L: the first needs one of the others, E: at most one
         │  └ most characters (least-most, where a least is kept)
         └ AN text, ID a code, R a decimal number, N a whole one, DT a date, TM a time, C a composite

Where the two versions differ, the wider one stands here: what is too much for 004010 is no reason to refuse an order.
Segments that are not here are read without a look at their elements.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

_PAIRS_10: Final = "ID2 AN48 " * 10
_PAIRS_14: Final = "ID2 AN48 " * 14

_TABLE: Final = f"""
BEG  ID2! ID2! AN22! AN30 DT! AN30 ID2 ID3 ID2 ID2 ID2 ID2
BAK  ID2! ID2! AN22! DT! AN30 AN45 AN30 AN50 DT ID2
BCH  ID2! ID2! AN22! AN30 AN8 DT! AN45 AN30 AN50 DT DT ID2 ID2 ID2
BIG  DT! AN22! DT AN22 AN30 AN8 ID2 ID2 ID2 AN22 DT
BSN  ID2! AN2-30! DT! TM! ID4 ID2 ID3 | C0706
BIA  ID2! ID2! AN50! DT! TM ID2
BGN  ID2! AN50! DT! TM ID2 AN50 ID2 ID2 ID2 | C0504
W05  ID1! AN22! AN22 AN30 AN30 ID2 ID2 AN22 AN30
W06  ID1! AN22 DT AN30 AN30 AN22 AN30 AN30 ID2-3 ID2 ID2
W17  ID1! DT! AN22! AN22 AN30 ID2 AN20 AN22
W15  DT! AN22! AN22 ID2
W66  ID2! ID1-2! ID1 ID2 AN35 ID2 AN30 AN AN ID2-4
W27  ID1-2! ID2-4 AN35 ID2 ID2 AN4 AN15 | R0203
W08  ID1-2! ID2-4 AN35 ID2 AN4 AN15
W01  R15! ID2! AN12 ID2 AN48 ID2 AN48 AN5 AN3 ID2 AN16 N6 AN30 N6 ID2 AN48 ID2 AN48 AN AN AN AN | P0405 P0607
W04  R15! ID2! AN12 ID2 AN48 ID2 AN48 AN30 AN AN AN AN AN AN ID2 AN48 AN AN | P0405 P0607
W07  R15! ID2! AN12 ID2 AN48 ID2 AN48 AN30 AN AN AN AN AN ID2 AN48 AN AN | P0405 P0607
W12  ID2! R15 R15 R15 ID2 AN12 ID2 AN48 AN30 R10 ID2 ID2 R10 ID2 ID2 AN12 ID2 AN48 AN ID2 AN48 AN AN AN
W13  R15! ID2! ID2! ID2 AN AN
W19  ID2! R15! ID2! AN12 ID2 AN48 ID2 AN48 AN30 R10 ID2 ID2 R10 ID2 ID2 AN ID2 AN48 AN AN AN AN | P0506 P0708
W03  R15! R10 ID2 R8 ID2 | P0203 P0405
W14  R15! R15 R15 R15 R15 R15
W76  R15! R10 ID2 R8 ID2 | P0203 P0405
G62  ID2 DT ID1-2 TM ID2 | P0102
G69  AN45!
LX   N6!
N1   ID2-3! AN60 ID1-2 AN2-80 ID2 ID2-3 | R0203 P0304
N2   AN60! AN60
N3   AN55! AN55
N4   AN30 ID2 ID3-15 ID2-3 ID1-2 AN30
N9   ID2-3! AN50 AN45 DT TM ID2 C | R0203
REF  ID2-3! AN50 AN80 C | R0203
PER  ID2! AN60 ID2 AN256 ID2 AN256 ID2 AN256 AN20 | P0304 P0506 P0708
DTM  ID3! DT TM ID2 ID2-3 AN35 | R020305 C0403 P0506
CUR  ID2-3! ID3! R10 ID2-3 ID3
FOB  ID2! ID1-2 AN80 ID2 ID3 ID2 AN80
ITD  ID2 ID1-2 R6 DT N3 DT N3 N10 DT N10 R5 AN80 N2 ID1 R10
TD1  AN3-5 N7 ID1 AN16 AN50 ID1-2 R10 ID2 R8 ID2 | C0102 P0708 P0910
TD5  ID1-2 ID1-2 AN80 ID1-2 AN35 ID2 ID1-2 AN30 ID2 ID2 R4 ID2 ID2 ID2 ID2-3 | C0203
PO1  AN20 R15 ID2 R17 ID2 {_PAIRS_10} | C0302 C0504 P0607 P0809 P1011 P1213 P1415 P1617 P1819 P2021 P2223 P2425
PID  ID1! ID2-3 ID2 AN12 AN80 ID2 AN15 ID1 ID2-3
PO4  N6 R8 ID2 AN3-5 ID1-2 R9 ID2 R9 ID2 R8 R8 R8 ID2 | P0203 C0506 P0607 P0809
CTP  ID2 ID3 R17 R15 C ID3 R10 R18
POC  AN20 ID2! R15 R9 C R17 ID2 {_PAIRS_10} | C0305 P0809 P1011 P1213 P1415 P1617
IT1  AN20 R15 ID2 R17 ID2 {_PAIRS_10} | P020304 P0607 P0809 P1011 P1213 P1415 P1617 P1819 P2021
SLN  AN20 AN20 ID1! R15 C R17 ID2 ID1 {_PAIRS_10} | P0405 C0706 P0910 P1112 P1314
ACK  ID2! R15 ID2 ID3 DT AN45 {_PAIRS_10} | P0708 P0910 P1112
SCH  R15! ID2! ID2-3 AN60 ID3! DT! TM ID3 DT TM | P0304
SDQ  ID2! ID1-2 AN80! R15! AN80 R15 AN80 R15 AN80 R15 AN80 R15 AN80 R15 AN80 R15 AN80 R15 AN80 R15 | P0506 P0708
LIN  AN20 ID2! AN48! {_PAIRS_14} | P0405 P0607 P0809 P1011 P1213
SN1  AN20 R15! ID2! R15 R15 ID2 AN30 ID2 | C0506
HL   AN12! AN12 ID1-2! ID1
PRF  AN22! AN30 AN8 DT AN20 AN30 ID2
MAN  ID1-2! AN48! AN48 ID1-2 AN48 AN48
CLD  N5! R10! AN5 R8 ID2
QTY  ID2! R15 C AN30 | R0204 E0204
UIT  C! R17 ID2
BLI  ID2! AN48! R15 ID2 AN R17
CTT  N6! R10 R10 ID2 R8 ID2 AN80 | P0304 P0506
AMT  ID1-3! R18! ID1
TDS  N15! N15 N15 N15
CAD  ID1-2 AN4 AN10 ID2-4 AN35 ID2 ID2-3 AN50 ID2
SAC  ID1! ID4 ID2 AN10 N15 ID1 R6 R9 ID2 R10 R10 ID2 AN50 AN20 AN80 ID2-3
TXI  ID2! R18 R10 ID2 AN10 ID1 AN20 R9 AN20 AN30
NTE  ID3 AN80!
MSG  AN264! ID2 N9
MTX  ID3 AN4096 AN4096 ID2 N9
LM   ID2! AN15
LQ   ID1-3 AN30
AK1  ID2! AN9! AN12
AK2  ID3! AN9! AN35
AK3  ID2-3! N10! AN6 ID1-3 ID1-3 ID1-3 ID1-3 ID1-3
AK4  C! N4 ID1-3! AN99
AK5  ID1! ID1-3 ID1-3 ID1-3 ID1-3 ID1-3
AK9  ID1! N6! N6! N6! ID1-3 ID1-3 ID1-3 ID1-3 ID1-3
IK3  ID2-3! N10! AN6 ID1-3 ID1-3 ID1-3 ID1-3 ID1-3
IK4  C! N4 ID1-3! AN99
IK5  ID1! ID1-3 ID1-3 ID1-3 ID1-3 ID1-3
"""


class ElementRule(NamedTuple):
    """What an element may hold."""

    type: str
    least: int
    most: int
    mandatory: bool


class Note(NamedTuple):
    """A condition between elements (see the head of this file)."""

    kind: str
    places: tuple[int, ...]


class SegmentRule(NamedTuple):
    """A segment's elements, and the conditions between them. `elements[0]` is that of element 01."""

    elements: tuple[ElementRule, ...]
    notes: tuple[Note, ...]
    composites: frozenset[int]


_ELEMENT: Final = re.compile(r"(AN|ID|R|N|DT|TM|C)(?:(\d+)-)?(\d+)?(!?)")
UNBOUNDED: Final = 100_000


@cache
def segments() -> dict[str, SegmentRule]:
    """Every segment that is known, by its tag."""
    found = {}
    for line in _TABLE.strip().splitlines():
        tag, _, rest = line.partition(" ")
        described, _, noted = rest.partition("|")
        elements = tuple(_element(word) for word in described.split())
        notes = tuple(_note(word) for word in noted.split())
        composites = frozenset(place for place, each in enumerate(elements, start=1) if each.type == "C")
        found[tag] = SegmentRule(elements, notes, composites)
    return found


def _element(word: str) -> ElementRule:
    match = _ELEMENT.fullmatch(word)
    assert match is not None, word
    kind, least, most, mandatory = match.groups()
    if kind == "DT":
        return ElementRule(kind, 6, 8, bool(mandatory))
    if kind == "TM":
        return ElementRule(kind, 4, 8, bool(mandatory))
    return ElementRule(kind, int(least or 1), int(most or UNBOUNDED), bool(mandatory))


def _note(word: str) -> Note:
    return Note(word[0], tuple(int(word[at : at + 2]) for at in range(1, len(word), 2)))
