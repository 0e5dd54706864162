"""Real EDIFACT files of many partners, where they lie: what each comes to, said file by file."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.connectors.formats.document import Document, Flaw, FormatUnreadable, Interchange
from tests.connectors.formats.edifact_parts import items

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "02-edifact"

# A document as KIND with its notes, a flaw as !reason FIELD, an interchange's end as = with what is strange about it.
BARE = "no interchange around the message: UNB is missing"
EXPECTED = {
    "APERAK__edinet__Apperak_edi_out_issue235.edi": ["APERAK (UNB comes twice)", "="],
    # It counts itself as 8 segments, and has 7.
    "APERAK__pydifact__aperak.edi": ["!wrong_count UNT.01", "="],
    "APERAK__pydifact__v4_aperak.edi": ["!wrong_count UNT.01", "="],
    # Shortened by hand: 331 and 787 segments are stated.
    "DELFOR__edinet__edifact.Issue196.edi": ["!wrong_count UNT.01", "="],
    "IFCSUM__edinet__edifact.D01B.IFCSUM.NewLines.edi": ["!wrong_count UNT.01", "="],
    "IFCSUM__edinet__edifact.D01B.IFCSUM.edi": ["!wrong_count UNT.01", "="],
    "INVOIC__edifactrs__d01b_invoic_conforming.edi": [f"INVOIC ({BARE})"],
    "INVOIC__edifactrs__d01b_invoic_malformed.edi": ["!missing_segment BGM"],
    "INVOIC__edifactrs__d96a_invoic_conforming.edi": [f"INVOIC ({BARE})"],
    "INVOIC__edifactrs__d96a_invoic_malformed.edi": ["!missing_segment BGM"],
    "INVOIC__edifactrs__invoic_conforming.edi": [f"INVOIC ({BARE})"],
    "INVOIC__edinet__edifact.Issue203.edi": ["!missing_segment BGM", "="],
    "INVOIC__pydifact__invoice1.edi": ["INVOIC", "="],
    "INVOIC__pydifact__invoice_with_colon_at_end.edi": ["INVOIC (separators at the end of a segment)", "="],
    "INVOIC__staedi__invoic_d97b.edi": ["INVOIC (letters outside of UNOA, read as UTF-8)", "="],
    "INVOIC__staedi__invoic_d97b_bad.edi": ["!too_long NAD.01", "="],
    "INVOIC__staedi__wrapped_invoic_d97b.edi": [
        "INVOIC (letters outside of UNOA, read as UTF-8; line ends inside of segments were left out)",
        "=",
    ],
    "ORDERS__edifactrs__d01b_orders_conforming.edi": [f"ORDERS ({BARE}; UNS is missing)"],
    "ORDERS__edifactrs__d11a_conforming.edi": [f"ORDERS ({BARE}; UNS is missing)"],
    "ORDERS__edifactrs__d11a_malformed.edi": ["!segment_outside BGM", "!missing_segment BGM"],
    "ORDERS__edifactrs__d96a_orders_conforming.edi": [f"ORDERS ({BARE}; UNS is missing)"],
    "ORDERS__pydifact__order2.edi": ["ORDERS", "!truncated UNZ", "= 13 UNZ: the interchange does not end"],
    # UNZ repeats the application reference instead of the control reference.
    "ORDERS__vscode__sample_auto_detect_no_una.edi": ["ORDERS", "= 28 UNZ.02: 1234567, not 1"],
    "ORDERS__vscode__sample_auto_detect_with_una.edi": ["ORDERS", "= 28 UNZ.02: 1234567, not 1"],
    "ORDERS__vscode__sample_crlf_line_ending_formatted.edi": ["ORDERS", "= 28 UNZ.02: 1234567, not 1"],
    "ORDERS__vscode__sample_esc_release_char_before_seg_delimiter_formatted.edi": [
        "ORDERS",
        "= 28 UNZ.02: 1234567, not 1",
    ],
    "ORDERS__vscode__sample_hash_seg_delimiter_formatted.edi": ["ORDERS", "= 28 UNZ.02: 1234567, not 1"],
    "ORDRSP__edinet__edifact.ORDRSP-formatted.edi": [
        "!wrong_count UNT.01",
        "!wrong_reference UNZ.02",
        "= 28 UNZ.02: DAREFNR00001, not DAREFNR0000001",
    ],
    "TRADACOMS__staedi__order.edi": ["refused: tradacoms"],
}

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora of real inputs are not beside this checkout")


def told(path: Path) -> list[str]:
    """What a file comes to, in the words of the table."""
    try:
        found = items(path.read_bytes())
    except FormatUnreadable as refused:
        return [f"refused: {refused.reason}"]
    lines = []
    for item in found:
        match item:
            case Document():
                lines.append(f"{item.kind} ({'; '.join(item.notes)})" if item.notes else item.kind)
            case Flaw():
                lines.append(f"!{item.reason} {item.field}")
            case Interchange():
                lines.append(" ".join(["=", *item.errors]))
    return lines


@needs_corpus
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_file_is_read_or_refused_for_the_right_reason(name: str) -> None:
    assert told(CORPUS / name) == EXPECTED[name]


@needs_corpus
def test_no_file_is_left_out() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(EXPECTED)


@needs_corpus
def test_wrapped_lines_hold_the_same_invoice() -> None:
    plain, wrapped = (
        items((CORPUS / f"INVOIC__staedi__{name}invoic_d97b.edi").read_bytes()) for name in ("", "wrapped_")
    )

    assert isinstance(plain[0], Document)
    assert isinstance(wrapped[0], Document)
    assert repr(wrapped[0].data) == repr(plain[0].data)


@needs_corpus
def test_released_characters_of_each_dialect_are_the_same_text() -> None:
    names = ("auto_detect_no_una", "auto_detect_with_una", "crlf_line_ending_formatted", "hash_seg_delimiter_formatted")
    buyers = set()
    for name in names:
        document = items((CORPUS / f"ORDERS__vscode__sample_{name}.edi").read_bytes())[0]
        assert isinstance(document, Document)
        buyers.add(repr(document.data.children["NAD"][0].elements))

    assert buyers == {
        repr(["NAD", "BY", "", "", "Customer's name", "High Street", "Example Town", "", "23436", "xx"]),
    }
