"""X12 transaction sets as data: how segments nest, which must be there, and in which functional group a set travels.

    BEG! N1>( N3 N4 ) PO1!>( PID>( MEA ) $N1 )
       │   └ begins a loop: the segments in it belong to it       └ another table, named below
       └ mandatory in its loop

A segment belongs to the innermost open loop that may have it. `HL` loops nest by the number of their parent.
A set without a table is read flat: all its segments are children of ST.
"""

from __future__ import annotations

from functools import cache
from typing import Final

_SHARED: Final = {
    "$N1": "N1>( N2 N3 N4 NX2 REF PER SI FOB TD1 TD5 TD3 TD4 PKG MSG DMG )",
    "$N1W": "N1>( N2 N3 N4 PER )",
    "$SAC": "SAC>( CUR CTP )",
    "$SLN": """SLN>( MSG SI PID CTP PO4 TAX ACK ADV QTY DTM PER SAC TXI REF TD1 TD5 N9>( DTM MSG MTX )
        N1>( N2 N3 N4 REF PER SI ) )""",
    "$N9": "N9>( DTM MTX MSG MEA PWK )",
    "$LM": "LM>( LQ )",
    "$AMT": "AMT>( REF DTM PCT FA1 FA2 )",
    "$SCH": "SCH>( TD1 TD5 TD3 TD4 REF MAN N1>( N2 N3 N4 ) )",
    "$ITEM": """LIN SI CUR CN1 PO3 CTP>( CUR ) PAM MEA PID>( MEA ) PWK PO4 REF PER $SAC IT8 CSH ITD DIS INC TAX FOB SDQ IT3
        DTM TC2 TD1 TD5>( FOB ) TD3 TD4 PCT MAN MSG SPI TXI CTB QTY>( SI ) $SCH PKG>( MEA ) LS LE LDT>( QTY REF LM>( LQ ) )
        $N9 $N1 $SLN $AMT $LM""",
}

_TABLES: Final = {
    "850": """BEG! CUR REF PER TAX FOB CTP PAM CSH $SAC ITD DIS INC DTM LDT LIN SI PID MEA PWK PKG TD1 TD5 TD3 TD4 MAN PCT
        CTB TXI NTE $AMT $N9 $N1 $LM SPI>( REF DTM MSG N1>( N2 N3 N4 REF PER G61 ) CB1>( REF DTM LDT MSG ) )
        ADV>( DTM MTX ) PO1!>( $ITEM ) CTT>( AMT )""",
    "855": """BAK! CUR REF PER TAX FOB CTP PAM CSH $SAC ITD DIS INC DTM LDT LIN SI PID MEA PWK PKG TD1 TD5 TD3 TD4 MAN PCT
        CTB TXI $AMT $N9 $N1 $LM ADV>( DTM MTX ) PO1>( ACK>( DTM ) $ITEM ) CTT>( AMT )""",
    "860": """BCH! CUR REF PER TAX FOB CTP PAM CSH $SAC ITD DIS INC DTM LDT LIN SI PID MEA PWK PKG TD1 TD5 TD3 TD4 MAN PCT
        CTB TXI $AMT $N9 $N1 $LM SPI>( REF DTM MSG N1>( N2 N3 N4 REF PER G61 ) ) ADV>( DTM MTX ) POC>( $ITEM ) CTT>( AMT )""",
    "856": """BSN! DTM TD1 TD5 REF N1>( N2 N3 N4 REF PER ) HL!>( LIN SN1 SLN>( N9 ) PRF PO4 PID MEA PWK PKG TD1 TD5
        TD3 TD4 TSD REF PER LS LE MAN DTM FOB PAL N1>( N2 N3 N4 REF PER FOB ) SDQ ETD CUR CAD SAC>( CUR ) GF YNQ $LM
        CLD>( REF DTP DTM ) ITA EFI PO1 IT8 QTY TAX CTP LOC ) CTT""",
    "940": """W05! $N1W N9 G61 G62 NTE W09 W66 PER LX>( MAN W01>( G69 N9 W20 QTY MEA AMT R4 G66 LS LE
        NTE G62 $N1W SLN PWK ) N9 W20 MEA SDQ AMT ) W76 W6 LH1""",
    "943": """W06! $N1W N9 G61 G62 NTE W27 W28 W6 LX W04>( G69 N9 W20 NTE MEA G62 LX ) W03""",
    "944": """W17! $N1W N9 G61 G62 NTE W08 W6 LX W07>( G69 N9 W20 W13 NTE MEA G62 QTY QCR LX ) W14""",
    "945": """W06! $N1W N9 G61 G62 NTE W27 W28 W10 W6 G72 LX!>( MAN PAL N9 TD1 W27
        W12>( G69 N9 W20 NTE G62 AMT MEA QTY R4 N1>( N2 N3 N4 ) LS LE SLN MAN ) ) W03""",
    "846": """BIA! CUR REF PER MEA DTM LM>( LQ ) N1>( N2 N3 N4 REF PER DTM FOB ) LIN!>( PID MEA PKG DTM CTP CUR SAC REF PER
        LDT>( MEA DTM ) N9>( MSG DTM ) TD5 MAN FOB SSD N1>( N2 N3 N4 REF PER LDT>( MEA ) QTY>( UIT DTM LDT MEA LS LE REF ) )
        QTY>( UIT MEA DTM LDT LS LE LM>( LQ ) REF N1>( N2 N3 N4 ) SCH>( TD1 TD5 ) ) SCH>( TD5 ) SLN>( PID QTY ) CTP ) CTT""",
    "947": """W15! N9 G61 G62 NTE $N1W W19>( G69 N9 W20 NTE QTY G62 N1>( N2 N3 N4 ) LS LM>( LQ ) LE )""",
    "180": """BGN! RDR PRF REF N9>( MSG DTM ) DTM DTP PID PKG TD5 SAC CUR PWK MEA G53 YNQ N1>( N2 N3 N4 REF PER TD5 DTM )
        LM>( LQ ) LS LE
        BLI>( N9>( MSG DTM ) PID RDR PRF REF PKG MEA DTM DTP QTY>( DTM AMT MEA ) AMT SAC G53 IT1 CUR TD5 YNQ LM>( LQ )
        N1>( N2 N3 N4 REF PER ) LX>( N9 REF DTM QTY RDR ) FA1>( FA2 ) SLN )""",
    "810": """BIG! NTE CUR REF YNQ PER N1>( N2 N3 N4 REF PER DMG ) ITD DTM FOB PID MEA PWK PKG L7 BAL INC PAM $LM
        N9>( MSG MTX ) V1>( R4>( DTM ) DTM ) FA1>( FA2 )
        IT1>( CRC QTY CUR IT3 TXI CTP PAM MEA PID>( MEA ) PWK PKG PO4 ITD REF YNQ PER SDQ DTM CAD L7 SR SAC>( TXI )
        SLN>( DTM REF PID SAC TC2 TXI N1>( N2 N3 N4 REF PER ) ) N1>( N2 N3 N4 REF PER DMG ) $LM FA1>( FA2 ) MSG )
        TDS! TXI CAD AMT SAC>( TXI ) ISS>( PID ) CTT""",
    "997": "AK1! AK2>( AK3>( AK4 ) AK5 ) AK9!",
    "999": "AK1! AK2>( IK3>( CTX IK4>( CTX ) ) IK5 ) AK9!",
}

BEGINNINGS: Final = {
    **{"850": "BEG", "855": "BAK", "860": "BCH", "856": "BSN", "940": "W05", "943": "W06", "944": "W17", "945": "W06"},
    **{"846": "BIA", "947": "W15", "180": "BGN", "810": "BIG", "997": "AK1", "999": "AK1", "832": "BCT", "830": "BFR"},
    **{"862": "BSS", "866": "BSS", "852": "XQ", "867": "BPT", "857": "BHT", "875": "G50", "865": "BCA", "824": "BGN"},
    **{"204": "B2", "210": "B3", "214": "B10", "820": "BPR", "753": "BGN", "754": "BGN", "869": "BSI", "870": "BSR"},
}
"""The segment that comes first after ST, by set."""

GROUPS: Final = {
    **{"850": "PO", "855": "PR", "860": "PC", "856": "SH", "940": "OW", "943": "AR", "944": "RE", "945": "SW"},
    **{"846": "IB", "947": "AW", "180": "AN", "810": "IN", "997": "FA", "999": "FA", "832": "SC", "830": "PS"},
    **{"862": "SS", "866": "SQ", "852": "PD", "867": "PT", "857": "BS", "875": "OG", "865": "CA", "824": "AG"},
    **{"204": "SM", "210": "IM", "214": "QM", "820": "RA", "753": "RF", "754": "RG", "869": "RS", "870": "RS"},
}
"""The functional identifier code of the group that a set travels in, by set."""

ACKNOWLEDGMENTS: Final = frozenset({"997", "999"})


class Loop:
    """A loop of a set: what may be in it, which of that begins a loop of its own, and what must be in it."""

    __slots__ = ("loops", "mandatory", "plain", "tag")

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.plain: set[str] = set()
        self.loops: dict[str, Loop] = {}
        self.mandatory: list[str] = []


@cache
def loops(kind: str) -> Loop | None:
    """The table of a set; None for a set that is read flat."""
    table = _TABLES.get(kind)
    return _loop("ST", iter(_words(table))) if table is not None else None


def known_tags(kind: str) -> frozenset[str]:
    """Every segment that may be anywhere in a set."""
    table = loops(kind)
    return frozenset(_tags(table)) if table is not None else frozenset()


def _words(table: str) -> list[str]:
    words: list[str] = []
    for word in table.split():
        words += _words(_SHARED[word]) if word.startswith("$") else [word]
    return words


def _loop(tag: str, words: object) -> Loop:
    loop = Loop(tag)
    for word in words:  # type: ignore[attr-defined]
        if word == ")":
            break
        name = word.removesuffix(">(").removesuffix("!")
        if word.removesuffix(">(").endswith("!"):
            loop.mandatory.append(name)
        if word.endswith(">("):
            loop.loops[name] = _loop(name, words)
        else:
            loop.plain.add(name)
    return loop


def _tags(loop: Loop) -> set[str]:
    found = loop.plain | loop.loops.keys()
    for inner in loop.loops.values():
        found |= _tags(inner)
    return found
