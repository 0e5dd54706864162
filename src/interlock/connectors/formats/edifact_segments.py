"""What the segments of trade messages hold: elements and components, their kinds and lengths, in D96A and D01B together.

    check = Checker(separators)
    check("QTY", ["QTY", ["21", "1O"]])    # [Finding("QTY", 1, 2, "37", "1O", "a number of at most 35 digits", True)]

Codes are bounded strictly, since a code that is too long is another one; free text that is too long is only strange.
A segment whose tag is not in the table is not checked, nor what comes after the elements that are in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from interlock.connectors.formats.document import Element
from interlock.connectors.formats.edifact_syntax import Separators

# a: text, c: code, n: number; the most characters (digits); ! must be there; (...)*4: four of them.
SEGMENTS: Final = {
    "AJT": "c3! c6",
    "ALI": "c3 c3 c3 c3 c3 c3",
    "BGM": "(c3 c17 c3 a70) (a70 a9 c6) c3 c3",
    "CNT": "(c3! n18! c8)!",
    "COM": "(a512! c3!)!",
    "CPS": "c35! c35 c3",
    "CTA": "c3 (a17 a256)",
    "CUX": "(c3! c3 c3 n4) (c3! c3 c3 n4) n12 c3",
    "DTM": "(c3! a35 c3)!",
    "ERC": "(c17! c17 c3)!",
    "FTX": "c3! c3 (c17 c17 c3) (a512 a512 a512 a512 a512) c3 c3",
    "GIN": "c3! (a35 a35)! (a35 a35)*4",
    "IMD": "c3 (c3 c17 c3) (c17 c17 c3 a256 a256 c3) c3",
    "INV": "c3 c3 c3 c3",
    "LIN": "c6 c3 (a35 c3 c17 c3) (c3 c6) n2 c3",
    "LOC": "c3! (a35 c17 c3 a256) (a35 c17 c3 a256) (a35 c17 c3 a256) c3",
    "MEA": "c3 (c3 c3 c17 a70) (c8 a18 a18 a18 n2) c3",
    "MOA": "(c3! n35 c3 c3 c3)!",
    "NAD": "c3! (a35 c17 c3) (a35 a35 a35 a35 a35) (a70 a70 a70 a70 a70 c3) (a35 a35 a35 a35) a35 (a9 c17 c3 a70) a17 c3",
    "PAC": "n8 (c3 c3 c3) (c17 c17 c3 a35 c3 c17 c3)",
    "PCD": "(c3! n10 c3 c17 c3)!",
    "PCI": "c3 (a35 a35 a35 a35 a35 a35 a35 a35 a35 a35) c3 (c3 c17 c3)",
    "PIA": "c3! (a35 c3 c17 c3)! (a35 c3 c17 c3)*4",
    "PRI": "(c3! n15 c3 c3 n9 c8) c3",
    "QTY": "(c3! n35! c8)!",
    "QVR": "(n15! c3) c3",
    "RFF": "(c3! a70 a6 a35 a6)!",
    "SCC": "c3! c3",
    "TDT": "c3! a17 (c3 a17) (c8 a17) (a17 c17 c3 a70) c3",
    "UNS": "c1!",
}
KNOWN: Final = frozenset(
    # Every segment of the directories D96A and D01B: what is not among them is no segment.
    re.findall(
        r"[A-Z]{3}",
        """ADR AGR AJT ALC ALI ALS APD API APP APR ARD ARR ASI ATI ATT AUT BAS BGM BII BLI BUS CAV CCD CCI CDI CDS CDV CED CIN
    CLA CLI CLT CMN CMP CNI CNT CNX COD COM CON COT CPI CPS CPT CRI CST CTA CUR CUX DAM DAV DFN DGS DII DIM DIS DLI DLM DMS
    DNT DOC DRD DSG DSI DTI DTM EDT EFI ELM ELU ELV EMP EQA EQD EQI EQN EQP ERC ERI ERP EVE EVT FCA FII FNS FNT FOR FRM FRQ
    FSQ FTI FTX GDS GEI GID GIN GIR GIS GOR GPO GRU HAN HDI HDR HDS HYN ICD ICI IDE IDT IFD IFT IHC IMD IND INP INV IRQ ITC
    ITD ITM LAN LIN LKP LOC MAP MEA MEM MES MKS MOA MOP MOV MSD MSG MTD NAA NAD NAT NME NUN ODI ODS ORG OTI PAC PAI PAS PAT
    PCC PCD PCI PDI PDT PER PGI PIA PIT PLI PMT PNA POC POP POR POS PRC PRE PRI PRO PRT PRV PSD PSI PTY PYT QRS QTI QTY QUA
    QVR RCI RCS REL RFF RFR RJL RLS RNG ROD RPI RSL RTC RTE RTI SAL SCC SCD SEG SEL SEQ SFI SGP SGU SPR SPS SSR STA STC STG
    STS TAX TCC TCE TDI TDT TEM TFF TIF TIZ TMD TMP TOD TPL TRF TRU TSR TVL TXS TXT UCD UCF UCI UCM UCS UNP UNS VEH VLI""",
    )
)

# Codes of data element 0085.
BAD_VALUE: Final = "12"
MISSING: Final = "13"
TOO_MANY: Final = "16"
BAD_CHARACTER: Final = "37"
TOO_LONG: Final = "39"


class Finding(NamedTuple):
    """What is wrong with a component of a segment; `fatal` unless it is only strange.

    Positions are from 1; component 0 is the element itself.
    """

    tag: str
    element: int
    component: int
    code: str
    found: str
    expected: str
    fatal: bool

    def field(self) -> str:
        """The place as paths name it: QTY.01.2."""
        place = f"{self.tag}.{self.element:02}" if self.element else self.tag
        return f"{place}.{self.component}" if self.component else place


class Kind(NamedTuple):
    """A component: text, code or number."""

    kind: str
    most: int
    needed: bool

    def expected(self) -> str:
        """What it is, in words."""
        if self.kind == "n":
            return f"a number of at most {self.most} digits"
        noun = "a code" if self.kind == "c" else "a text"
        return f"{noun} of at most {self.most} characters"


class Slot(NamedTuple):
    """An element with its components; a simple element has one."""

    parts: tuple[Kind, ...]
    needed: bool
    composite: bool


_TOKEN: Final = re.compile(r"\(([^)]*)\)(!?)(?:\*(\d+))?|(\S+)")


def _kind(text: str) -> Kind:
    return Kind(text[0], int(text[1:].rstrip("!")), text.endswith("!"))


def _slots(text: str) -> tuple[Slot, ...]:
    slots: list[Slot] = []
    for inner, needed, times, simple in _TOKEN.findall(text):
        if simple:
            slots.append(Slot((_kind(simple),), simple.endswith("!"), composite=False))
        else:
            parts = tuple(_kind(each) for each in inner.split())
            slots += [Slot(parts, bool(needed), composite=True)] * int(times or 1)
    return tuple(slots)


SLOTS: Final = {tag: _slots(text) for tag, text in SEGMENTS.items()}


_FREQUENT: Final = ("QTY", "LIN", "PRI", "MOA", "PIA", "IMD", "DTM", "RFF", "NAD", "GIN")


class Checker:
    """Checks the segments of messages with the same separators: with a pattern first, and closely where that is in doubt."""

    def __init__(self, separators: Separators) -> None:
        self._marks = separators
        self._in_doubt = re.compile(_doubts(separators))

    def doubtful(self, text: str) -> list[int]:
        """Which segments of a text must be looked at closely: the places of those after the first one, from 0."""
        mark = self._marks.terminator
        places, place, at = [], 0, 0
        for found in self._in_doubt.finditer(text):
            begin = found.start() + 1
            place += text.count(mark, at, begin)
            at = begin
            places.append(place)
        return places

    def __call__(self, tag: str, elements: list[Element]) -> list[Finding]:
        """What is wrong with a segment; decimal marks of its numbers are set to points in `elements`."""
        return closely(tag, elements, self._marks.decimal)


def closely(tag: str, elements: list[Element], decimal: str) -> list[Finding]:
    """What is wrong with a segment, component by component."""
    found: list[Finding] = []
    for place, slot in enumerate(SLOTS.get(tag, ()), start=1):
        element = elements[place] if place < len(elements) else ""
        values: Sequence[str] = element if isinstance(element, list) else [element]
        if not any(values):
            if slot.needed:
                found.append(Finding(tag, place, 0, MISSING, "", "given", True))
            continue
        for number, kind in enumerate(slot.parts, start=1):
            value = values[number - 1] if number <= len(values) else ""
            named = number if slot.composite else 0
            problem = _component(tag, place, named, value, kind, decimal)
            if problem is not None:
                found.append(problem)
            if kind.kind == "n" and "," in value and not (problem and problem.fatal):
                _set(elements, place, number, value.replace(",", "."))
        if len(values) > len(slot.parts) and any(values[len(slot.parts) :]):
            expected = f"{len(slot.parts)} components at most" if slot.composite else "an element without components"
            extra = values[len(slot.parts)]
            found.append(Finding(tag, place, len(slot.parts) + 1, TOO_MANY, extra, expected, False))
    return found


_NUMBER: Final = re.compile(r"-?\d+(?:[.,]\d+)?")
_ODD_NUMBER: Final = re.compile(r"-?(?:\d+[.,]|[.,]\d+)")


def _component(tag: str, place: int, number: int, value: str, kind: Kind, decimal: str) -> Finding | None:
    if not value:
        return Finding(tag, place, number, MISSING, "", "given", True) if kind.needed else None
    if kind.kind == "n":
        if not _NUMBER.fullmatch(value):
            if _NUMBER.fullmatch(value.strip()):
                return Finding(tag, place, number, BAD_CHARACTER, value, "a number without blanks around it", False)
            odd = _ODD_NUMBER.fullmatch(value) is not None
            expected = "a number with digits before and after its decimal mark" if odd else kind.expected()
            return Finding(tag, place, number, "38" if odd else BAD_CHARACTER, value, expected, not odd)
        if sum(each.isdigit() for each in value) > kind.most:
            return Finding(tag, place, number, TOO_LONG, value, kind.expected(), True)
        if decimal == "." and "," in value:
            return Finding(tag, place, number, BAD_CHARACTER, value, "a number with a point as its decimal mark", False)
        return None
    if len(value) > kind.most:
        return Finding(tag, place, number, TOO_LONG, value, kind.expected(), kind.kind == "c")
    return None


def _set(elements: list[Element], place: int, number: int, value: str) -> None:
    element = elements[place]
    if isinstance(element, list):
        element[number - 1] = value
    else:
        elements[place] = value


def _doubts(marks: Separators) -> str:
    """A pattern for the beginnings of segments of which it is not sure at a glance that all is well with them.

    They have a tag that the table knows, and do not match what it says.
    """
    end = re.escape(marks.terminator)
    letters: dict[str, list[str]] = {}
    for tag in sorted(SLOTS, key=lambda each: each not in _FREQUENT):
        letters.setdefault(tag[0], []).append(f"{tag[1:]}(?!{_pattern(SLOTS[tag], marks)}{end})")
    known = "|".join(f"{letter}(?:{'|'.join(rest)})" for letter, rest in letters.items())
    return f"{end}(?:{known})"


def _pattern(slots: tuple[Slot, ...], marks: Separators) -> str:
    """A pattern that matches, after a tag, elements with which all is well for sure."""
    special = re.escape(marks.special)
    component, element = re.escape(marks.component), re.escape(marks.element)
    inner = f"(?:{element}[^{re.escape(marks.terminator + marks.release)}]*)?"
    for slot in reversed(slots):
        part = ""
        for place in reversed(range(len(slot.parts))):
            kind = slot.parts[place]
            value = f"[^{special}]{{{int(kind.needed)},{kind.most}}}"
            if kind.kind == "n":
                value = _number_pattern(kind)
            rest = f"(?:{component}{part})" if part else ""
            # What follows may only be left out where nothing of it is needed.
            needed = any(each.needed for each in slot.parts[place + 1 :])
            part = value + (rest if not rest or needed else f"{rest}?")
        if not slot.needed:
            part = f"(?:{part})?"
        inner = f"{element}{part}{inner}" if slot.needed else f"(?:{element}{part}{inner})?"
    return inner


def _number_pattern(kind: Kind) -> str:
    whole = min(kind.most, 15)
    value = rf"-?\d{{1,{whole - 4}}}(?:\.\d{{1,4}})?" if whole > 4 else rf"-?\d{{1,{whole}}}"
    return value if kind.needed else f"(?:{value})?"
