"""Which segment belongs to which: the segment groups of the trade messages, of D96A and D01B together, as data.

    LIN(PIA QTY PRI(CUX))   QTY and PRI belong to the LIN before them, CUX to the PRI

A segment belongs to the innermost group that is open and knows it. So the order within a group does not matter, and partners who
send a segment a little too early or too late are understood. A message that is not here is read flat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

_CONTACT: Final = "CTA(COM)"
_REFERENCE: Final = "RFF(DTM)"
_PARTY: Final = f"NAD(LOC FII {_REFERENCE} DOC(DTM) {_CONTACT})"
_TERMS: Final = "PAT(DTM PCD MOA)"
_TRANSPORT: Final = "TDT(LOC(DTM))"
_DELIVERY: Final = "TOD(LOC)"
_TAX: Final = "TAX(MOA LOC)"
_CHARGE: Final = "ALC(ALI DTM QTY(RNG) PCD(RNG) MOA(RNG) RTE(RNG) TAX(MOA))"
_SCHEDULE: Final = "SCC(FTX RFF QTY(DTM))"
_EQUIPMENT: Final = "EQD(HAN MEA FTX)"
_MARKS: Final = "PCI(RFF DTM GIN)"
_FACTS: Final = "RCS(RFF DTM FTX)"
_PRICE: Final = "PRI(CUX APR RNG DTM)"
_FOUND: Final = "CDI(INP)"

_ORDER_HEADER: Final = f"""
    BGM DTM PAI ALI IMD FTX GIR {_REFERENCE} AJT(FTX) {_PARTY} {_TAX} CUX(PCD DTM) {_TERMS} {_TRANSPORT} {_DELIVERY}
    PAC(MEA {_MARKS}) {_EQUIPMENT} {_SCHEDULE} APR(DTM RNG) {_CHARGE} {_FACTS} DGS(FTX {_CONTACT})"""
_ORDER_LINE: Final = f"""
    LIN(PIA IMD MEA QTY PCD ALI DTM MOA GEI GIS GIN GIR QVR DOC PAI MTD FTX CCI(CAV MEA) {_TERMS} AJT(FTX) {_PRICE}
        {_REFERENCE} PAC(MEA QTY DTM RFF(DTM) {_MARKS}) LOC(QTY PCD DTM) {_TAX} {_PARTY} {_CHARGE} {_TRANSPORT} {_DELIVERY}
        {_EQUIPMENT} {_SCHEDULE} APR(DTM RNG) {_FACTS} STG(QTY(MOA)) DGS(FTX {_CONTACT}))"""
_ORDER: Final = _ORDER_HEADER + _ORDER_LINE + "UNS MOA CNT"

GROUPS: Final = {
    "ORDERS": _ORDER,
    "ORDCHG": _ORDER,
    "ORDRSP": _ORDER,
    "DESADV": f"""
        BGM DTM ALI MEA MOA CUX {_REFERENCE} {_PARTY} TOD(LOC FTX) TDT(PCD TMD LOC(DTM)) EQD(MEA SEL EQA HAN(FTX))
        CPS(FTX QVR
            PAC(MEA QTY HAN(FTX) PCI(RFF DTM GIN(DLM) GIR(DTM)) GIN(DLM) COD(MEA QTY PCD))
            LIN(PIA IMD MEA QTY ALI GIN GIR DLM DTM NAD TDT TMD HAN FTX MOA RFF(NAD CTA DTM) DGS(QTY FTX)
                LOC(NAD DTM QTY) SGP(QTY) PCI(DTM MEA QTY GIN(DLM) HAN(FTX GIN)) QVR(DTM)))
        LIN(PIA IMD MEA QTY ALI GIN GIR DLM DTM NAD TDT TMD HAN FTX MOA RFF(NAD CTA DTM) DGS(QTY FTX)
            LOC(NAD DTM QTY) SGP(QTY) PCI(DTM MEA QTY GIN(DLM) HAN(FTX GIN)) QVR(DTM))
        CNT""",
    "RECADV": f"""
        BGM DTM ALI CUX FTX RFF(DTM GEI) DOC({_FOUND}) {_PARTY} TOD({_FOUND} LOC(CDI)) TDT(DTM CDI)
        EQD({_FOUND} SEL(CDI) EQA({_FOUND}))
        CPS(PAC(QTY QVR MEA {_FOUND} PCI(RFF DTM GIN {_FOUND}) GIN({_FOUND}))
            LIN(PIA IMD QTY QVR DTM PRI FTX NAD {_FOUND} DOC({_FOUND}) GIN({_FOUND}) RFF(DTM GEI) LOC
                PCI(QTY QVR {_FOUND} GIN({_FOUND}))))
        LIN(PIA IMD QTY QVR DTM PRI FTX NAD {_FOUND} DOC({_FOUND}) GIN({_FOUND}) RFF(DTM GEI) LOC
            PCI(QTY QVR {_FOUND} GIN({_FOUND})))
        CNT""",
    "INVRPT": f"""
        BGM DTM FTX {_REFERENCE} {_PARTY} CUX(DTM) CPS(PAC(PCI QTY(GIN DTM)))
        LIN(PIA IMD NAD MEA ALI LOC DTM FTX GIN PAC {_REFERENCE}
            INV(QTY GIN LOC DTM STS NAD(LOC) {_PRICE} {_REFERENCE} CPS(PAC(MEA QTY PCI(RFF DTM GIN GIR(DTM)))))
            QTY(INV GIN LOC DTM STS NAD(LOC) {_PRICE} {_REFERENCE} CPS(PAC(MEA PCI(RFF DTM GIN GIR(DTM)))))
            {_PRICE})
        UNS CNT""",
    "SLSRPT": f"""
        BGM DTM MKS {_REFERENCE} NAD({_CONTACT} {_REFERENCE}) CUX(DTM STS)
        LOC(DTM FTX {_REFERENCE} LIN(PIA IMD DTM PAC RFF DOC ALI MOA GIN PAI PRI(CUX)
            QTY(MKS NAD PRI DTM RFF STS)))
        GIS(LIN(PIA IMD PAC MOA LOC(RFF DTM MOA QTY(PRI DTM RFF STS))))
        LIN(PIA IMD DTM PAC RFF DOC ALI MOA GIN PAI PRI(CUX) LOC QTY(MKS NAD PRI DTM RFF STS LOC))
        UNS MOA CNT""",
    "CONTRL": "UCI(UCM(UCS(UCD)) UCF(UCM(UCS(UCD))))",
}
MANDATORY: Final[dict[str, tuple[str, ...]]] = {
    "ORDERS": ("BGM", "DTM"),
    "ORDCHG": ("BGM", "DTM"),
    "ORDRSP": ("BGM", "DTM"),
    "DESADV": ("BGM",),
    "RECADV": ("BGM", "DTM"),
    "INVRPT": ("BGM", "DTM"),
    "SLSRPT": ("BGM", "DTM"),
    "CONTRL": ("UCI",),
}
EXPECTED: Final[dict[str, tuple[str, ...]]] = {
    # Mandatory too, but left out by many: read without it, never written without it.
    "ORDERS": ("UNS",),
    "ORDCHG": ("UNS",),
    "ORDRSP": ("UNS",),
    "RECADV": ("NAD",),
    "SLSRPT": ("NAD", "UNS"),
}
BEGIN_WITH_BGM: Final = frozenset(
    re.findall(
        r"[A-Z]{6}",
        """APERAK COMDIS DELFOR DELJIT DESTIM GENRAL HANMOV IFCSUM IFTMAN IFTMBC IFTMBF IFTMBP IFTMCS IFTMIN IFTSTA INSDES
    INVOIC ITRRPT MSCONS OSTENQ OSTRPT PARTIN PAXLST PAYMUL PAYORD PRICAT PRODAT QUOTES REMADV REQOTE RETANN RETINS SLSFCT
    STATAC TAXCON UTILMD""",
    )
)
"""Messages without a table here whose second segment is BGM."""


class Move(NamedTuple):
    """Where a segment goes: below the open node at `level` (0: the message), after which `state` holds.

    `opens`: it begins a group itself.
    """

    level: int
    state: State
    opens: bool
    tag: str


State = dict[str, Move]
"""What may come next while a group is open: by tag and separator (`LIN+`), where it goes."""


class _Group:
    """A group: the segments that belong to it, those that begin groups of their own with them; and its state."""

    def __init__(self) -> None:
        self.own: dict[str, _Group | None] = {}
        self.state: State = {}

    def fill(self, separator: str, above: tuple[_Group, ...] = ()) -> None:
        """Fill the states of this group and of those in it."""
        chain = (*above, self)
        for level, group in enumerate(chain):  # from the outermost on, so that the innermost wins
            for tag, inner in group.own.items():
                self.state[tag + separator] = Move(level, (inner or group).state, inner is not None, tag)
        for inner in self.own.values():
            if inner is not None:
                inner.fill(separator, chain)


@cache
def start(message: str, separator: str) -> State | None:
    """The state at the beginning of a message, whose tags end with that separator; None for one that is read flat."""
    text = GROUPS.get(message)
    if text is None:
        return None
    whole = _group(iter(re.findall(r"[A-Z]{3}|[()]", text)))
    whole.fill(separator)
    return whole.state


def _group(tokens: Iterator[str]) -> _Group:
    group = _Group()
    last = ""
    for token in tokens:
        if token == ")":
            break
        if token == "(":
            group.own[last] = _group(tokens)
        else:
            last = token
            group.own.setdefault(last, None)
    return group
