"""The system map and the rows of the estate: everything is on them, whatever its names are made of."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import pytest

from interlock.contracts.estate_file import read_estate, starter
from interlock.contracts.estate_map import as_mermaid, as_svg, estate_rows
from interlock.domain.estate import Estate
from interlock.domain.values import NodeId

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def shop() -> Estate:
    estate, mistakes = read_estate(starter(), "estate.yaml")
    assert mistakes == []
    assert estate is not None
    return estate


def texts(svg: str) -> list[str]:
    """The words that are drawn, with the tooltips of those that were cut."""
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_mermaid_names_every_system_channel_and_node_and_every_arrow(shop: Estate) -> None:
    drawn = as_mermaid(shop)
    lines = [line.strip() for line in drawn.splitlines()]
    assert lines[0] == "flowchart LR"
    assert [line for line in lines if "interlock" in line and "--" in line] == [
        'system1 -->|"API"| interlock',
        'system3 -->|"files: sales"| interlock',
        'system5 -->|"API"| interlock',
        'interlock -->|"HTTP"| system5',
        'system8 -->|"files: fulfillment, counts"| interlock',
        'interlock -->|"files"| system8',
        'system10 -->|"API"| interlock',
        'interlock -->|"HTTP"| system10',
        'system12 -->|"API"| interlock',
    ]
    for name in ("Web shop", "Columbus DC", "Boston, Seaport", "(web)", "till"):
        assert name.strip("()") in drawn
    assert [line for line in lines if " --- " in line] == [
        "channel2 --- system1",
        "channel4 --- system3",
        "system5 --- node6",
        "system5 --- node7",
        "system8 --- node9",
        "system10 --- node11",
    ]


def test_the_svg_holds_every_system_channel_and_node_inside_its_frame(shop: Estate) -> None:
    svg = as_svg(shop)
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [
        (box.attrib["class"], *(float(box.attrib[side]) for side in ("x", "y", "width", "height")))
        for box in root.iter(f"{SVG}rect")
        if box.attrib["class"] != "page"
    ]
    assert sorted(box[0] for box in boxes) == ["center", *["channel"] * 2, *["node"] * 4, *["system"] * 6]
    for _, x, y, wide, high in boxes:
        assert 0 <= x <= width - wide
        assert 0 <= y <= height - high
    for number, (_, x, y, wide, high) in enumerate(boxes):
        for _, left, top, across, down in boxes[:number]:
            assert x + wide <= left or left + across <= x or y + high <= top or top + down <= y
    assert len([path for path in root.iter(f"{SVG}path") if path.attrib["class"] == "arrow"]) == 9
    drawn = texts(svg)
    for name in ("Web shop", "Columbus DC", "Boston, Seaport", "web", "till", "files: sales", "HTTP"):
        assert name in drawn


def test_the_svg_needs_nothing_from_outside(shop: Estate) -> None:
    svg = as_svg(shop)
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert "<script" not in svg


def test_names_of_markup_are_drawn_as_names(shop: Estate) -> None:
    name = "</text><script>alert(\"1\")</script> & ]] | 'ü'"
    system = msgspec.structs.replace(shop.systems[next(iter(shop.systems))], name=name)
    changed = msgspec.structs.replace(shop, systems={**shop.systems, system.id: system}, retailer=name)
    svg = as_svg(changed)
    assert "<script" not in svg
    assert any(name in text for text in texts(svg))
    box = next(line for line in as_mermaid(changed).splitlines() if "alert" in line)
    assert re.fullmatch(r'  system1\["[^"\[\]<>|&]*<br/>webshop · Digital"\]', box)


def test_many_nodes_of_a_kind_are_one_box_that_counts_them(shop: Estate) -> None:
    one = shop.nodes[NodeId("store-boston")]
    many = {
        NodeId(f"s{n}"): msgspec.structs.replace(one, id=NodeId(f"s{n}"), name="Same", paused=n < 3) for n in range(447)
    }
    changed = msgspec.structs.replace(shop, nodes={**shop.nodes, **many})
    svg = as_svg(changed)
    assert "449 stores" in texts(svg)
    assert "3 paused" in texts(svg)
    assert len(svg) < 20_000
    assert as_mermaid(changed).count("449 stores") == 1


def test_nodes_of_one_name_are_boxes_of_their_own(shop: Estate) -> None:
    nodes = {key: msgspec.structs.replace(node, name="Portland") for key, node in shop.nodes.items()}
    assert as_mermaid(msgspec.structs.replace(shop, nodes=nodes)).count("Portland") == 4


def test_the_rows_tell_the_whole_estate_and_go_into_json(shop: Estate) -> None:
    rows = estate_rows(shop)
    assert [row["system"] for row in rows["systems"]] == list(shop.systems)
    assert [row["node"] for row in rows["nodes"]] == list(shop.nodes)
    assert [row["channel"] for row in rows["channels"]] == list(shop.channels)
    assert rows["systems"][3] == {
        "system": "dc-wms",
        "name": "Distribution center WMS",
        "kind": "wms",
        "owner": "Logistics IT",
        "escalation": "wms-duty@example.com",
        "decides": ["fulfillment", "stock", "return"],
        "inbound": "files: fulfillment, counts",
        "outbound": "files",
        "ack_within_s": 14_400.0,
        "time_zone": "America/Chicago",
        "currency": "USD",
        "order_scope": "dc-wms",
        "nodes": 1,
    }
    assert msgspec.json.decode(msgspec.json.encode(rows)) == rows
    for section in rows.values():
        assert len({tuple(row) for row in section}) == 1
