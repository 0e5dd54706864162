"""Real X12 of many partners and dialects, read where it lies: each file to its documents, or refused for its reason.

A line of the table: the file, its documents by kind, how many answers (997, 999, TA1) are in it, and what is refused as
reason:field:value (blanks as _). Files that are broken on purpose say so in their names (fail, ERR, Failed, invalid): they are
all refused. Many of the others are samples whose trailers were never counted; what these say is refused as well.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from interlock.connectors.formats.document import Document, Flaw, Interchange, Item, Node
from interlock.connectors.formats.x12_segments import segments
from interlock.connectors.formats.x12_sets import ACKNOWLEDGMENTS
from tests.connectors.formats.x12_making import everything

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "01-x12"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora of real inputs are not beside this checkout")

TABLE = """
180__oopfactory__FromEasistandards.edi 180x1 0 -
180__x12types5010__bare_full.edi 180x1 0 -
204__edinet__204-MGCTLYST-SAMPLE.edi - 0 control_count:SE:41
204__x12types__02.edi 204x1 0 -
204__x12types__03.edi 204x1 0 -
210__edinet__210-MGCTLYST-SAMPLE.edi 210x1 0 -
210__oopfactory__CN_FreightInvoiceSample1.edi 210x1 0 -
210__oopfactory__CN_FreightInvoiceSample2.edi 210x1 0 -
214__edinet__214-MGCTLYST-SAMPLE.edi 214x1 0 -
214__edinet__x12.214.edi 214x1 0 -
214__omniparser__1_canadapost_edi_214.input.edi 214x19 0 -
214__x12types__01.edi 214x1 0 control_number:IEA02:000002510
214__x12types__02.edi 214x1 0 control_number:SE:001_N/L
810__edinet__x12.810a.edi 810x1 0 -
810__edinet__x12.810c.edi 810x1 0 -
810__oopfactory__2011110815164104.edi 810x1 0 -
810__oopfactory__Example1_CaliforniaISO.edi 810x1 0 -
810__oopfactory__Example2_ManualBilling.edi 810x1 0 -
810__oopfactory__Example4_Adobe.edi 810x1 0 -
810__staedi__simple810.edi 810x2 0 -
810__stupidedi__004010_X348_SC810_pass_basic-invoice.edi 810x1 0 -
810__x12types__02.edi 810x1 0 -
810__x12types__bare_03.edi 810x1 0 -
811__oopfactory__GXSOLC_Example.edi 811x1 0 -
811__oopfactory__GraniteNetExample.edi 811x2 0 -
811__oopfactory__WayneBrantley.edi 811x2 0 -
816__oopfactory__Steinmart_Example2.edi - 0 control_number:SE:100002
824__oopfactory__FromTmhpSpec.edi 824x1 0 -
824__stupidedi__005010_X186A1_AG824_pass_complete-transaction-set-reject-reporting.edi 824x1 0 -
824__stupidedi__005010_X186A1_AG824_pass_positive-acknowledgment.edi 824x1 0 -
824__x12types__005010_824.edi 824x1 0 -
830__stupidedi__002001_PO830_fail_1.edi - 0 version:ST:002001
830__stupidedi__004010_PS830_pass_1.edi 830x1 0 -
832__edinet__x12.832.edi - 0 control_count:SE:17
832__oopfactory__Example1_HIBCC.edi 832x1 0 -
832__oopfactory__Example2_HIBCC.edi 832x1 0 -
832__stupidedi__004010_SC832_fail_1.edi - 0 control_count:SE:1659
832__stupidedi__004010_SC832_fail_2.edi - 0 syntax:BCT:
832__stupidedi__006020_X304_SC832_pass_price-sheet.edi 832x1 0 -
846__oopfactory__846_Example1.edi 846x1 0 -
850__ediengine__850.Composite.SLN.OK.edi 850x1 0 -
850__ediengine__850.OK.edi 850x1 0 -
850__ediengine__850.SyntaxNotes.ERR.edi - 0 syntax:PO107:
850__edinet__x12.810.mandatory-conditions.edi - 0 control_count:SE:50 control_number:IEA02:000000001
850__edinet__x12.850.edi 850x1 0 control_number:IEA02:000000001
850__edinet__x12.850a.edi 850x1 0 control_number:IEA02:000000001
850__edinet__x12.Issue101.edi - 0 control_count:SE:50 control_number:IEA02:000000001
850__edinet__x12.Issue172.edi - 0 control_count:SE:50 control_number:IEA02:000000001
850__edinet__x12.Issue91.edi - 0 control_count:SE:50 control_number:IEA02:000000001
850__oopfactory__Example2_Adobe_TLP.edi 850x1 0 -
850__oopfactory__From_aojuk.edi 850x1 0 -
850__stupidedi__003010_PO850_fail_1.edi - 0 control_count:SE:28
850__stupidedi__003050_PO850_fail_1.edi - 0 bad_envelope:ISA08:123456789NPPT
850__stupidedi__004010_X357_SC850_pass_basic-po.edi 850x1 0 -
850__stupidedi__004010_X357_SC850_pass_taxexempt-po.edi 850x1 0 -
850__x12types__004010_850.edi 850x1 0 -
850__x12types__02.edi 850x1 0 -
850__x12types__03.edi 850x1 0 -
850__x12types__bare_05.edi 850x1 0 -
850__x12types__bare_06.edi 850x1 0 -
850__x12types__bare_07.edi 850x1 0 -
850__x12types__bare_08.edi - 0 control_count:SE:16
850__x12types__bare_09.edi - 0 control_count:SE:16
850__x12types__bare_10.edi 850x1 0 -
850__x12types__bare_11.edi 850x1 0 -
850__x12types__bare_12.edi - 0 control_number:SE:16246
852__oopfactory__AftermarketExample.edi 852x1 0 -
855__stupidedi__004010_PR855_pass_1.edi 855x1 0 -
855__stupidedi__004010_X358_SC855_pass_basic-po-ack-accepted.edi 855x1 0 -
855__stupidedi__004010_X358_SC855_pass_basic-po-ack-rejected.edi 855x1 0 -
855__stupidedi__004010_X358_SC855_pass_po-ack-minor-changes.edi 855x1 0 -
855__x12types__01.edi - 0 control_count:SE:10
856__oopfactory__856_Example1.edi 856x1 0 -
856__oopfactory__856_Example2.edi - 0 syntax:BSN02:
856__oopfactory__856_Example4.edi 856x1 0 -
856__x12types__01.edi - 0 control_count:SE:36
856__x12types__02.edi - 0 syntax:DTM02:200 control_count:GE01:2
856__x12types__04.edi - 0 control_count:SE:15
856__x12types__05.edi - 0 control_count:SE:13
856__x12types__06.edi 856x1 0 -
857__oopfactory__Kroger_DeliveryExample.edi 857x1 0 -
860__oopfactory__860_Example1.edi - 0 control_count:SE:10
862__stupidedi__004010_SS862_fail_1.edi - 0 bad_envelope:ISA08:CEVANISSAN
865__oopfactory__FromAdvanceAutoParts.edi 865x1 0 -
866__oopfactory__866_Sample1.edi 866x1 0 -
866__stupidedi__004010_SQ866_pass_1.edi 866x1 0 -
867__oopfactory__867_Example1.edi 867x1 0 -
867__oopfactory__867_Example2.edi 867x1 0 -
867__oopfactory__867_Example3.edi 867x1 0 -
875__oopfactory__AmasoftExample1.edi 875x1 0 -
940__ediengine__940.2.OK.edi 940x1 0 -
940__ediengine__940.W05.Only.edi 940x1 0 -
940__ediengine__940_Failed_SE01.edi - 0 control_count:SE:12
940__x12types__01.edi 940x1 0 control_number:GE02:575103 control_number:IEA02:3317
940__x12types__02.edi 940x1 0 -
940__x12types__05.edi 940x1 0 -
945__x12types__02.edi - 0 control_count:SE:12
945__x12types__bare_04.edi - 0 control_count:SE:32
997__staedi__invalid997.edi - 0 syntax:AK101:HC_NOT_IN_CODESET
997__staedi__invalid997_min.edi - 0 syntax:AK101:<NOT_IN_CODESET> control_number:GE02:<TOO_LONG_AND_NOT_NUMERIC>
997__staedi__optionalInterchangeServices.edi - 1 -
997__staedi__simple997.edi - 1 -
997__stupidedi__004010_FA997_pass_1.edi - 1 -
997__stupidedi__005010_X230_FA997_pass_response-to-functional-group-containing-837s.edi - 1 -
997__x12types__bare_02.edi - 1 -
997__x12types__bare_03.edi - 2 -
997__x12types__bare_04.edi - 1 -
999__staedi__simple999.edi - 1 -
999__stupidedi__005010_X231A1_FA999_pass_response-to-functional-group-containing-3-837s.edi - 1 -
999__x12types__01.edi - 1 -
TA1__oopfactory__TechnicalAcknowledgment_Sample1.edi - 2 -
TA1__staedi__x12_interchange_ack.edi - 1 -
"""
EXPECTED = {line.split()[0]: line.split()[1:] for line in TABLE.strip().splitlines()}
BROKEN = re.compile(r"fail|ERR|Failed|invalid")
FILES = sorted(CORPUS.glob("*.edi"))


def found(path: Path) -> list[Item]:
    return everything(path.read_bytes())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_file_is_read_to_its_documents_or_refused_for_its_reason(name: str) -> None:
    items = found(CORPUS / name)

    kinds = Counter(each.kind for each in items if isinstance(each, Document))
    refused = [
        f"{each.reason}:{each.field}:{each.value.strip().replace(' ', '_')}" for each in items if isinstance(each, Flaw)
    ]
    answers = sum(len(each.answers) for each in items if isinstance(each, Interchange))
    read = " ".join(f"{kind}x{count}" for kind, count in kinds.items()) or "-"
    assert [read, str(answers), *(refused or ["-"])] == EXPECTED[name]


def test_the_table_has_every_file_and_no_other() -> None:
    assert [path.name for path in FILES] == sorted(EXPECTED)


@pytest.mark.parametrize("path", [path for path in FILES if BROKEN.search(path.name)], ids=lambda path: path.stem)
def test_what_is_broken_on_purpose_is_refused(path: Path) -> None:
    items = found(path)

    assert not any(isinstance(each, Document) for each in items)
    assert any(isinstance(each, Flaw) for each in items)
    assert not any(each.answers for each in items if isinstance(each, Interchange))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_set_is_lost(path: Path) -> None:
    """What begins as a set is a document, an acknowledgment or a flaw, whatever its envelope is worth."""
    begun = len(re.findall(rb"(?:^|[\r\n~!}^`'])[ \t]*ST[*~^]\d{3}[*~^]", path.read_bytes()))
    items = found(path)
    whole = [each for each in items if isinstance(each, Flaw) and each.reason == "bad_envelope"]

    answered = sum(
        result.kind in ACKNOWLEDGMENTS and result.accepted
        for each in items
        if isinstance(each, Interchange)
        for group in each.groups
        for result in group.sets
    )
    given = sum(isinstance(each, Document) or (isinstance(each, Flaw) and each.kind != "") for each in items)
    assert begun == given + answered + len(whole)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_tree_holds_every_segment_once_and_in_its_order(path: Path) -> None:
    for document in found(path):
        if isinstance(document, Document):
            tags = Counter(_tags(document.data))
            # The third way to count: SE01 itself, which is right in what is read.
            stated = re.findall(rb"SE.0*(\d+)", document.raw)[-1]
            assert sum(tags.values()) == int(stated) - 1
            assert all(tag in segments() or tag.isalnum() for tag in tags)


def _tags(node: Node) -> list[str]:
    below = [tag for nodes in (node.children or {}).values() for each in nodes for tag in _tags(each)]
    return [str(node.elements[0]), *below]
