"""Segments that come again are read once: what is wrong with one of them is told each time nevertheless."""

from __future__ import annotations

from interlock.connectors.formats.document import Document, Flaw
from tests.connectors.formats.edifact_parts import ORDER, documents, interchange, items, message, only

ODD = (*ORDER[:2], "FTX+AAI+++WHY? NOT", "NAD+BY+1+", "LIN+1", "QTY+21: 5", "LIN+2", "QTY+21:7", "UNS+S")


def test_a_segment_that_was_read_before_is_told_of_again_where_something_is_wrong_with_it() -> None:
    right = message(*ORDER[:2], "LIN+1", "QTY+21:7", "LIN+2", "UNS+S", reference="2")
    alone = only(interchange(message(*ODD)))

    first, second, third = documents(items(interchange(message(*ODD), right, message(*ODD, reference="3"))))

    assert len(alone.notes) == 3
    assert [first.notes, second.notes, third.notes] == [alone.notes, (), alone.notes]
    assert repr(first.data.children) == repr(third.data.children) == repr(alone.data.children)


def test_what_belongs_to_a_segment_is_its_own_where_the_same_text_comes_again() -> None:
    body = (*ORDER[:2], "LIN+1", "QTY+21:7", "LIN+1", "LIN+1", "QTY+21:7", "QTY+21:7", "UNS+S")

    read = documents(items(interchange(*(message(*body, reference=str(number)) for number in range(1, 4)))))

    assert [[len((line.children or {}).get("QTY", [])) for line in each.data.children["LIN"]] for each in read] == [
        [1, 0, 2]
    ] * 3


def test_a_control_character_is_refused_in_the_header_too_where_all_segments_were_read_before() -> None:
    right = [message(*ORDER, reference=number) for number in ("1", "2")]
    wrong = message(*ORDER, reference="3").replace("96A:UN", "96A:U\x01N", 1)

    found = [each for each in items(interchange(*right, wrong)) if isinstance(each, Document | Flaw)]

    assert [type(each) for each in found] == [Document, Document, Flaw]
    assert isinstance(found[2], Flaw)
    assert found[2].reason == "bad_character"


def test_a_control_character_in_a_segment_is_refused_each_time() -> None:
    wrong = [message(*ORDER[:2], "FTX+AAI+++A\x02B", "LIN+1", "UNS+S", reference=number) for number in ("1", "2")]

    found = [each for each in items(interchange(*wrong)) if isinstance(each, Document | Flaw)]

    assert [each.reason for each in found if isinstance(each, Flaw)] == ["bad_character"] * 2
