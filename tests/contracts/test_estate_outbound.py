"""What the check of an estate says of outbound links in a partner's format, and of acknowledgments."""

from __future__ import annotations

from tests.contracts.tiny_estate import SMALL, changed

OUT = "      outbound: {kind: folder, path: out}\n"
X12 = "{kind: x12, envelope: {ours: {id: A}, theirs: {id: B}}}"


def test_a_format_without_a_mapping_says_nothing_of_our_messages() -> None:
    (mistake,) = changed(OUT, f"      outbound: {{kind: folder, path: out, format: {X12}}}\n")

    assert "nothing says what our messages become in x12" in mistake
    assert changed(OUT, "      outbound: {kind: folder, path: out, format: ndjson}\n") == []


def test_who_is_acknowledged_needs_an_outbound_connection() -> None:
    inbound = f"      inbound:\n        - {{kind: folder, path: in, format: {X12}, mapping: m, acknowledge: '997'}}\n"
    mapping = "mappings: {m: {records: [{skip: nothing}]}}\nchannels:"

    (mistake,) = changed(OUT, inbound + "      outbound: none\n", text=with_mapping(mapping))

    assert "'wms' is acknowledged, and has no outbound connection" in mistake
    assert changed(OUT, inbound + OUT, text=with_mapping(mapping)) == []


def with_mapping(mapping: str) -> str:
    return SMALL.replace("channels:", mapping)
