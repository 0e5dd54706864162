"""The estate for the eye: the system map as Mermaid text and as SVG, and the rows of `interlock estate show`.

The map reads from left to right: channels and the systems they belong to, Interlock, the systems that fulfill
and their nodes. An arrow into Interlock is what a system sends us, an arrow out of it is what we send; its
label names the transport. Many nodes of one kind on one system are drawn as one box that counts them: a map
with 400 stores is no map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TypeGuard

import msgspec

from interlock.domain.estate import FACTS, Estate, Node, System
from interlock.domain.links import (
    ApiIn,
    BrokerIn,
    BrokerOut,
    Files,
    FolderIn,
    FolderOut,
    HttpOut,
    LinkIn,
    SftpIn,
    SftpOut,
    TableIn,
    WebhookIn,
)

NODES_DRAWN_MAX = 6

Cell = str | int | float | bool | None | list[str]

_PLURAL = {"store": "stores", "dc": "DCs", "3pl": "3PL sites", "vendor": "vendors"}
_RECORDS = {
    "sales": "sales",
    "stock_counts": "counts",
    "stock_adjustments": "adjustments",
    "fulfillment": "fulfillment",
}


def as_mermaid(estate: Estate) -> str:
    """The map as a Mermaid flowchart, for a page or a pull request."""
    lines = ["flowchart LR", f'  interlock{{{{"{_mermaid_text("Interlock")}"}}}}']
    boxes: dict[tuple[str, str], str] = {}

    def name(kind: str, key: str) -> str:
        # Ids of an estate may hold what Mermaid reads as syntax, so boxes are numbered.
        return boxes.setdefault((kind, key), f"{kind}{len(boxes) + 1}")

    for block in _blocks(estate):
        system = name("system", block.system.id)
        lines.append(f'  {system}["{_mermaid_text(block.system.name)}<br/>{_mermaid_text(_subtitle(block.system))}"]')
        for channel in block.channels:
            box = name("channel", channel.title)
            lines += [f'  {box}(["{_mermaid_text(channel.title)}"])', f"  {box} --- {system}"]
        for place, group in enumerate(block.nodes):
            box = name("node", f"{block.system.id}/{place}")  # two nodes may have one name
            lines += [
                f'  {box}[("{_mermaid_text(group.title)}<br/>{_mermaid_text(group.subtitle)}")]',
                f"  {system} --- {box}",
            ]
        if block.inward:
            lines.append(f'  {system} -->|"{_mermaid_text(block.inward)}"| interlock')
        if block.outward:
            lines.append(f'  interlock -->|"{_mermaid_text(block.outward)}"| {system}')
    return "\n".join(lines) + "\n"


def as_svg(estate: Estate) -> str:
    """The map as an SVG document that needs nothing else: no script, no font, no file."""
    blocks = list(_blocks(estate))
    left = [block for block in blocks if block.channels]
    right = [block for block in blocks if not block.channels]
    height = max(_height(left), _height(right), _SYSTEM_H) + _TOP + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(f"System map of {estate.retailer}")}">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
        '<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>',
        f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
        _label(_MARGIN, 30, f"{estate.retailer}: system map", "title", _WIDTH - 2 * _MARGIN, "start"),
    ]
    heads = [(_OUTER_X[0], "Channels and nodes"), (_SYSTEM_X[0], "Systems that sell")]
    heads += [(_SYSTEM_X[1], "Systems that fulfill and keep"), (_OUTER_X[1], "Nodes")]
    parts += [_label(x, _TOP - 18, text, "head", _BOX_W + 40, "start") for x, text in heads]
    middle = (height - _TOP - _MARGIN) / 2 + _TOP
    parts.append(_box(_CENTER_X, _TOP, _CENTER_W, height - _TOP - _MARGIN, "center", "Interlock"))
    parts.append(_label(_CENTER_X + _CENTER_W / 2, middle, "Interlock", "name light", _CENTER_W))
    for side, column in enumerate((left, right)):
        y = float(_TOP)
        for block in column:
            parts += _drawn(block, side, y)
            y += _block_height(block) + _GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def estate_rows(estate: Estate) -> dict[str, list[dict[str, Cell]]]:
    """The estate as tables: `systems`, `nodes` and `channels`, each row a mapping from column to cell, ready
    for JSON.
    """
    return {
        "systems": [_system_row(estate, system) for system in estate.systems.values()],
        "nodes": [_node_row(node) for node in estate.nodes.values()],
        "channels": [
            {
                "channel": channel.id,
                "system": channel.system,
                "currency": channel.currency,
                "fulfills": list(channel.fulfills),
                "policy": channel.sourcing.version,
                "split_max": channel.sourcing.split_max,
                "unfillable": channel.sourcing.unfillable,
                "release": channel.release,
                "close_after_s": channel.close_after_s,
            }
            for channel in estate.channels.values()
        ],
    }


def _system_row(estate: Estate, system: System) -> dict[str, Cell]:
    return {
        "system": system.id,
        "name": system.name,
        "kind": system.kind,
        "owner": system.owner.team,
        "escalation": system.owner.escalation,
        "decides": [fact for fact in FACTS if system.authority.get(fact) == "decide"],
        "inbound": _inward(system),
        "outbound": _outward(system),
        "ack_within_s": system.ack_within_s,
        "time_zone": system.time_zone,
        "currency": system.currency,
        "order_scope": system.order_scope,
        "nodes": sum(node.system == system.id for node in estate.nodes.values()),
    }


def _node_row(node: Node) -> dict[str, Cell]:
    return {
        "node": node.id,
        "name": node.name,
        "kind": node.kind,
        "system": node.system,
        "country": node.place.country,
        "region": node.place.region,
        "time_zone": node.time_zone,
        "fulfills": list(node.fulfills),
        "channels": list(node.channels),
        "capacity_orders_per_day": node.capacity_orders_per_day,
        "paused": node.paused,
    }


class _Satellite(msgspec.Struct, frozen=True):
    """A channel, a node or a group of nodes, drawn beside its system."""

    kind: str
    title: str
    subtitle: str


class _Block(msgspec.Struct, frozen=True):
    """A system with what belongs to it. `inward` is how it sends to us, `outward` how we send to it; empty if
    not at all.
    """

    system: System
    inward: str
    outward: str
    channels: tuple[_Satellite, ...]
    nodes: tuple[_Satellite, ...]


def _blocks(estate: Estate) -> Iterator[_Block]:
    """One block a system, in the order of the file."""
    nodes: dict[str, list[Node]] = {}
    for node in estate.nodes.values():
        nodes.setdefault(node.system, []).append(node)
    for system in estate.systems.values():
        channels = tuple(
            _Satellite("channel", channel.id, ", ".join(channel.fulfills).replace("_", " "))
            for channel in estate.channels.values()
            if channel.system == system.id
        )
        groups = tuple(_groups(nodes.get(system.id, [])))
        yield _Block(system, _inward(system), _outward(system), channels, groups)


def _groups(nodes: Sequence[Node]) -> Iterator[_Satellite]:
    """The nodes of one system: each alone where they are few of a kind, else one box that counts them."""
    kinds: dict[str, list[Node]] = {}
    for node in nodes:
        kinds.setdefault(node.kind, []).append(node)
    for kind, group in kinds.items():
        if len(group) > NODES_DRAWN_MAX:
            paused = sum(node.paused for node in group)
            yield _Satellite("node", f"{len(group)} {_PLURAL[kind]}", f"{paused} paused" if paused else "none paused")
            continue
        for node in group:
            where = ", ".join(part for part in (node.place.region, node.place.country) if part)
            yield _Satellite("node", node.name, f"{kind} · {where}" + (" · paused" if node.paused else ""))


def _inward(system: System) -> str:
    """By which ways the system reaches us."""
    ways = ["API"] if system.api_key_sha256 else []
    if system.signature is not None and not system.signature.with_api_key:
        ways.append("signed calls")
    ways += dict.fromkeys(_way_in(link) for link in system.inbound if not _is_plain(link))
    plain = dict.fromkeys(_RECORDS[link.records or ""] for link in system.inbound if _is_plain(link))
    if plain:
        ways.append("files: " + ", ".join(plain))
    return " + ".join(ways)


def _is_plain(link: LinkIn) -> TypeGuard[Files]:
    """Whether it is a link of plain CSV files."""
    return isinstance(link, Files) and link.records is not None


def _way_in(link: LinkIn) -> str:
    """A link in a few words: the transport and the format."""
    kind = link.format.kind.replace("_", " ") if link.format is not None else "json"
    transports = {
        FolderIn: "files", SftpIn: "sftp", WebhookIn: "webhook", ApiIn: "api poll", BrokerIn: "broker", TableIn: "table",
    }  # fmt: skip
    return f"{transports[type(link)]}: {kind}"


def _outward(system: System) -> str:
    """By which way we reach the system."""
    out = system.outbound
    if out is None:
        return ""
    way = {FolderOut: "files", SftpOut: "sftp", HttpOut: "HTTP", BrokerOut: "broker"}[type(out)]
    return f"{way}: {out.format.kind.replace('_', ' ')}" if out.format is not None else way


def _subtitle(system: System) -> str:
    return f"{system.kind} · {system.owner.team}"


def _mermaid_text(text: str) -> str:
    """Text inside Mermaid's quotes: what it would read as markup is written as character codes."""
    return "".join(letter if letter.isalnum() or letter in " .,:-+·()/" else f"#{ord(letter)};" for letter in text)


# The drawing: five columns, every length in pixels.
_MARGIN, _TOP, _GAP = 24, 84, 26
_BOX_W, _SYSTEM_H, _SATELLITE_H, _SATELLITE_GAP = 232, 64, 44, 10
_LINK_W, _ARROW_W, _CENTER_W = 36, 160, 110
_OUTER_LEFT = _MARGIN
_SYSTEM_LEFT = _OUTER_LEFT + _BOX_W + _LINK_W
_CENTER_X = _SYSTEM_LEFT + _BOX_W + _ARROW_W
_SYSTEM_RIGHT = _CENTER_X + _CENTER_W + _ARROW_W
_OUTER_RIGHT = _SYSTEM_RIGHT + _BOX_W + _LINK_W
_SYSTEM_X = (_SYSTEM_LEFT, _SYSTEM_RIGHT)
_OUTER_X = (_OUTER_LEFT, _OUTER_RIGHT)
_WIDTH = _OUTER_RIGHT + _BOX_W + _MARGIN
_LETTER_W = 7.2  # of the widest usual face at 13 px; what would not fit is cut, and the whole text is in the tooltip

_STYLE = (
    "text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;fill:#1b2733}"
    ".page{fill:#fff}.title{font-size:18px;font-weight:600}.head{font-size:12px;fill:#5b6b7a}"
    ".name{font-weight:600}.small{font-size:11px;fill:#4a5968}.light{fill:#fff}"
    ".system{fill:#e8f0f8;stroke:#2f6690}.channel{fill:#eef7ea;stroke:#4b8b3b}.node{fill:#fdf3e1;stroke:#b9770e}"
    ".center{fill:#16324f;stroke:#16324f}.arrow{stroke:#2f6690;stroke-width:1.6;fill:none}.tip{fill:#2f6690}"
    ".link{stroke:#9aa8b5;stroke-width:1.2;fill:none}"
)


def _height(blocks: Sequence[_Block]) -> int:
    return sum(_block_height(block) for block in blocks) + _GAP * max(len(blocks) - 1, 0)


def _block_height(block: _Block) -> int:
    """A block is as high as its system or the pile of what belongs to it."""
    count = len(block.channels) + len(block.nodes)
    return max(_SYSTEM_H, count * (_SATELLITE_H + _SATELLITE_GAP) - _SATELLITE_GAP)


def _drawn(block: _Block, side: int, top: float) -> Iterator[str]:
    """A block on the left (side 0) or right (side 1) of Interlock."""
    middle = top + _block_height(block) / 2
    x = _SYSTEM_X[side]
    pile = (*block.channels, *block.nodes)
    y = middle - (len(pile) * (_SATELLITE_H + _SATELLITE_GAP) - _SATELLITE_GAP) / 2
    edge, far = (x, _OUTER_X[0] + _BOX_W) if side == 0 else (x + _BOX_W, _OUTER_X[1])
    for satellite in pile:
        center = y + _SATELLITE_H / 2
        bend = (edge + far) / 2
        curve = f"M{edge} {middle:g}C{bend:g} {middle:g} {bend:g} {center:g} {far} {center:g}"
        yield f'<path class="link" d="{curve}"/>'
        tip = f"{satellite.kind} {satellite.title}: {satellite.subtitle}"
        yield _box(_OUTER_X[side], y, _BOX_W, _SATELLITE_H, satellite.kind, tip)
        yield _label(_OUTER_X[side] + _BOX_W / 2, y + 19, satellite.title, "name", _BOX_W)
        yield _label(_OUTER_X[side] + _BOX_W / 2, y + 35, satellite.subtitle, "small", _BOX_W)
        y += _SATELLITE_H + _SATELLITE_GAP
    yield _box(
        x,
        middle - _SYSTEM_H / 2,
        _BOX_W,
        _SYSTEM_H,
        "system",
        f"system {block.system.id}: {block.system.name}",
    )
    yield _label(x + _BOX_W / 2, middle - 10, block.system.name, "name", _BOX_W)
    yield _label(x + _BOX_W / 2, middle + 8, _subtitle(block.system), "small", _BOX_W)
    decides = [fact for fact in FACTS if block.system.authority.get(fact) == "decide"]
    yield _label(x + _BOX_W / 2, middle + 23, f"decides {', '.join(decides) or 'nothing'}", "small", _BOX_W)
    near, center_edge = (x + _BOX_W, _CENTER_X) if side == 0 else (x, _CENTER_X + _CENTER_W)
    if block.inward:
        yield from _arrow(near, center_edge, middle - 12, block.inward, -6)
    if block.outward:
        yield from _arrow(center_edge, near, middle + 14, block.outward, 16)


def _arrow(start: float, end: float, y: float, text: str, text_below: float) -> Iterator[str]:
    """A level arrow with its words."""
    yield f'<path class="arrow" d="M{start:g} {y:g}H{end:g}" marker-end="url(#tip)"/>'
    yield _label((start + end) / 2, y + text_below, text, "small", _ARROW_W - 6)


def _box(x: float, y: float, width: float, height: float, kind: str, tip: str) -> str:
    body = f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="7"/>'
    return f"<g><title>{escape(tip)}</title>{body}</g>"


def _label(x: float, y: float, text: str, kind: str, width: float, anchor: str = "middle") -> str:
    """One line of text, cut to the width; the whole of it as a tooltip where it was cut."""
    letters = int((width - 8) / (_LETTER_W * {"title": 1.4, "small": 0.84, "head": 0.92, "name": 1.06}.get(kind, 1.0)))
    body = escape(text)
    if len(text) > letters:
        body = f"<title>{body}</title>{escape(text[: letters - 1].rstrip())}…"
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{body}</text>'
