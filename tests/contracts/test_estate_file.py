"""The estate file: what is right loads as it was meant, and what is wrong is told once, at its line, in words
that help.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest
import ruamel.yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.contracts import estate_checks, estate_fields
from interlock.contracts.estate_file import Mistake, check_estate, load_estate, read_estate, schema, starter
from interlock.contracts.estate_schema import KEYWORDS
from interlock.contracts.estate_yaml import BYTES_MAX, Spot, compose
from interlock.domain import estate as domain
from interlock.domain.errors import EstateInvalid
from interlock.domain.estate import Estate, HttpOut

ROOT = Path(__file__).parents[2]

SMALL = """\
interlock: 1
retailer: Tiny
currency: USD
systems:
  shop:
    name: Shop
    kind: webshop
    owner: {team: A, escalation: a@example.com}
    authority: {order: decide}
    time_zone: America/New_York
  wms:
    name: WMS
    kind: wms
    owner: {team: B, escalation: b@example.com}
    time_zone: UTC
    connection:
      outbound: {kind: folder, path: out}
nodes:
  dc:
    name: DC
    kind: dc
    system: wms
    place: {country: US}
    time_zone: UTC
    fulfills: [delivery]
channels:
  web: {system: shop, fulfills: [delivery], sourcing: {version: v1}}
"""


def mistakes(text: str) -> list[str]:
    """The mistakes of a text, without the file's name."""
    return [str(mistake).removeprefix("estate.yaml:") for mistake in read_estate(text, "estate.yaml")[1]]


def changed(old: str, new: str, text: str = SMALL) -> list[str]:
    """The mistakes after one replacement."""
    assert old in text
    return mistakes(text.replace(old, new, 1))


def estate(text: str = SMALL) -> Estate:
    read, wrong = read_estate(text, "estate.yaml")
    assert wrong == []
    assert read is not None
    return read


def test_the_starter_is_a_valid_estate_with_what_it_promises() -> None:
    read = estate(starter())
    assert sorted(read.systems) == ["back-office", "dc-wms", "pos", "quick-3pl", "store-app", "webshop"]
    assert sorted(read.nodes) == ["dc-columbus", "quick-reno", "store-boston", "store-portland"]
    assert sorted(read.channels) == ["till", "web"]
    assert read.channels["web"].sourcing.version == "standard-1"
    assert read.channels["till"].sourcing.version == "till-1"
    assert read.channels["web"].close_after_s == 1_209_600.0
    assert read.state("pos", "TENDERED") == "shipped"
    assert read.node_id("pos", "0101") == "store-portland"
    assert read.buffer("TENT", "store-boston") == 1
    assert read.duty("short_pick").within_s == 14_400.0
    assert read.duty("anything else").owner == "Order desk"


def test_values_arrive_in_the_domain_with_their_units() -> None:
    read = estate(starter())
    threepl = read.systems["quick-3pl"]
    assert threepl.outbound == HttpOut(
        url="https://api.quickship.example.com/v2/orders", token_env="QUICKSHIP_TOKEN", timeout_s=5.0
    )
    assert (threepl.retry.first_s, threepl.retry.max_s, threepl.ack_within_s) == (2.0, 600.0, 900.0)
    assert read.channels["web"].sourcing.opens_within_h == 36.0
    assert read.channels["web"].sourcing.cost_per_km == Decimal("0.004")
    assert read.nodes["dc-columbus"].handling_cost == Decimal("1.2")
    assert read.nodes["dc-columbus"].hours[1].opens == clock(8, 0)
    assert read.nodes["dc-columbus"].place.postal_code == "43217"


def test_what_is_not_written_has_its_documented_value() -> None:
    read = estate()
    shop = read.systems["shop"]
    assert shop.order_scope == "shop"
    assert shop.currency == "USD"
    assert read.channels["web"].currency == "USD"
    assert shop.authority == {fact: "decide" if fact == "order" else "observe" for fact in domain.FACTS}
    assert read.default_duty == Estate.__struct_defaults__[-1]


def test_a_file_that_never_closes_orders_says_never() -> None:
    read = estate(SMALL.replace("sourcing: {", "close_after: never, sourcing: {"))
    assert read.channels["web"].close_after_s is None


def test_relative_folders_begin_at_the_estate_file(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(SMALL)
    outbound = load_estate(path).systems["wms"].outbound
    assert isinstance(outbound, domain.FolderOut)
    assert outbound.path == str(tmp_path / "out")
    path.write_text(SMALL.replace("path: out", "path: /srv/../srv/out"))
    absolute = load_estate(path).systems["wms"].outbound
    assert isinstance(absolute, domain.FolderOut)
    assert absolute.path == "/srv/out"


def test_load_raises_with_every_mistake_and_check_lists_them(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(SMALL.replace("kind: dc", "kind: warehouse").replace("country: US", "country: UK"))
    with pytest.raises(EstateInvalid) as caught:
        load_estate(path)
    found = check_estate(path)
    assert [(mistake.line, mistake.path) for mistake in found] == [
        (21, "nodes.dc.kind"),
        (23, "nodes.dc.place.country"),
    ]
    assert caught.value.mistakes == tuple(map(str, found))


def test_a_file_that_cannot_be_read_is_a_mistake_not_a_crash(tmp_path: Path) -> None:
    missing = check_estate(tmp_path / "none.yaml")
    assert [mistake.problem for mistake in missing] == ["No such file or directory"]
    (tmp_path / "latin.yaml").write_bytes(b"interlock: 1\nretailer: Caf\xe9\n")
    latin = check_estate(tmp_path / "latin.yaml")
    assert [(m.line, m.problem, m.expected) for m in latin] == [(2, "found the byte 0xe9", "text in UTF-8")]
    assert check_estate(tmp_path)[0].problem == "Is a directory"


@pytest.mark.parametrize("pure", [True, False], ids=["pure parser", "libyaml"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty; expected an estate; `interlock init` writes one to begin with"),
        ("a: [1\nb: 2", "2:2: while parsing a flow sequence, expected ',' or ']', but got ':'; expected valid YAML"),
        ("a: 'x", "1:6: while scanning a quoted scalar, found unexpected end of stream; expected valid YAML"),
        ("a: b\n---\nc: d", "2:1: a second document begins; expected one document"),
        ("? [a]\n: b", "1:3: found a key that is a list, a mapping or an alias; expected a key of plain text"),
        ("a: *b", "1:4: a: found the alias *b; expected an anchor &b before it"),
        ("a: &x {b: *x}", "1:11: a.b: the alias *x is inside its own anchor; expected a value that ends"),
        ("a: \x01", "1:4: found the control character U+0001; expected text without control characters"),
        ("a: \ud800", "1:4: found the control character U+D800; expected text without control characters"),
        ("[" * 99, "1:33: " + "[0]" * 32 + ": nested 33 deep; expected 32 levels at most"),
        ("- a", "1:1: found a list of 1 entries; expected a mapping with the fields interlock, retailer, currency, "
         "systems, nodes, channels"),
    ],
)  # fmt: skip
def test_text_that_is_no_estate_is_one_mistake_with_either_parser(
    text: str, expected: str, pure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not pure and not ruamel.yaml.__with_libyaml__:
        pure = True  # without libyaml both runs are of the one parser there is
    monkeypatch.setattr(ruamel.yaml, "__with_libyaml__", not pure)
    assert mistakes(text) == [expected]


def test_a_billion_laughs_stop_at_the_limit() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    started = time.monotonic()
    assert mistakes(bomb)[-1].endswith(
        "too large here; expected 1,000,000 values at most, aliases written out"
    )
    assert time.monotonic() - started < 5.0
    assert mistakes("#" * (BYTES_MAX + 1)) == [
        "1:1: the file has 5,000,001 bytes; expected 5,000,000 bytes at most"
    ]


def test_both_parsers_read_the_starter_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    for fast in (False, ruamel.yaml.__with_libyaml__):
        monkeypatch.setattr(ruamel.yaml, "__with_libyaml__", fast)
        read.append(compose(starter()))
    assert read[0] == read[1]


def test_an_anchor_may_be_used_again() -> None:
    text = SMALL.replace("owner: {team: A", "owner: &team {team: A").replace(
        "owner: {team: B, escalation: b@example.com}", "owner: *team"
    )
    assert estate(text).systems["wms"].owner.team == "A"


# Each row: what is replaced in SMALL, by what, and the mistakes that follow.
MISTAKES = [
    ("currency: USD", "curency: USD", ["3:1: curency: unknown field 'curency'; expected one of interlock, retailer, "
     "currency, systems, nodes, channels, policies, sku_aliases, node_aliases, buffers, zones, exceptions; "
     "did you mean currency?"]),
    ("retailer: Tiny\n", "", ["1:1: retailer: missing; expected one line of text of 1 to 200 characters, without "
     "blanks at its ends"]),
    ("interlock: 1", "interlock: 2", ["1:12: interlock: found 2; expected 1, the version of the estate schema that "
     "this program reads"]),
    ("kind: webshop", "kind: web-shop", ["7:11: systems.shop.kind: found 'web-shop'; expected one of pos, wms, erp, "
     "marketplace, webshop, returns, edi, replenishment, backoffice, 3pl; did you mean webshop?"]),
    ("name: Shop", "name: Shop\n    name: Store", ["7:5: systems.shop.name: written twice, first on line 6; expected "
     "each key once"]),
    ("name: Shop", "name:", ["6:5: systems.shop.name: found nothing; expected one line of text of 1 to 200 characters, "
     "without blanks at its ends"]),
    ("name: Shop", "name: 007", ["6:11: systems.shop.name: found 7; expected one line of text of 1 to 200 characters, "
     'without blanks at its ends; write it in quotes: "007"']),
    ("name: Shop", "name: !!python/name:os.system x", ["6:11: systems.shop.name: found the tag "
     "tag:yaml.org,2002:python/name:os.system; expected a plain value without a tag"]),
    ("name: Shop", "name: ${SHOP}", ["6:11: systems.shop.name: found '${SHOP}'; expected the text itself: only "
     "token_env names a variable, nothing else is filled in"]),
    ("name: DC", "name: DC\n    capacity_orders_per_day: '60'", ["21:30: nodes.dc.capacity_orders_per_day: found '60'; "
     "expected a whole number from 0 to 10,000,000; write it without quotes: 60"]),
    ("currency: USD", "currency: UDS", ["3:11: currency: found 'UDS'; expected an ISO 4217 currency code such as USD; "
     "did you mean USD?"]),
    ("currency: USD", "currency: DEM", ["3:11: currency: found 'DEM'; expected an ISO 4217 currency code such as USD"]),
    ("country: US", "country: UK", ["23:22: nodes.dc.place.country: found 'UK'; expected an ISO 3166 country code of two "
     "letters such as US; did you mean GB?"]),
    ("America/New_York", "America/NewYork", ["10:16: systems.shop.time_zone: found 'America/NewYork'; expected an IANA "
     "time zone such as America/New_York; did you mean America/New_York?"]),
    ("system: wms", "system: wsm", ["22:13: nodes.dc.system: found 'wsm', which systems does not have; expected the id "
     "of one of systems (shop, wms); did you mean wms?"]),
    ("sourcing: {version: v1}", "sourcing: standrd", ["27:55: channels.web.sourcing: found 'standrd', which policies "
     "does not have; expected the id of one of policies"]),
    ("sourcing: {version: v1}", "sourcing: 3", ["27:55: channels.web.sourcing: found 3; expected the name of one of "
     "policies, or the fields of a policy"]),
    ("country: US}", "country: US, latitude: 91, longitude: 0}", ["23:36: nodes.dc.place.latitude: found 91; expected "
     "a number from -90 to 90"]),
    ("country: US}", "country: US, latitude: 9}", ["23:26: nodes.dc.place.latitude: there is a latitude without a "
     "longitude; expected both coordinates or none"]),
    ("kind: wms", "kind: wms\n    ack_within: 4 hours", ["14:17: systems.wms.ack_within: found '4 hours'; expected a "
     "duration of at most 366 days such as 90s, 15m, 4h or 2d (a bare number is seconds)"]),
    ("kind: wms", "kind: wms\n    ack_within: 400d", ["14:17: systems.wms.ack_within: found '400d'; expected a "
     "duration of at most 366 days such as 90s, 15m, 4h or 2d (a bare number is seconds)"]),
    ("kind: wms", "kind: wms\n    retry: {first: 1h, max: 15m}", ["14:24: systems.wms.retry.max: the longest wait is "
     "900 s, the first 3600 s; expected a longest wait of no less than the first"]),
    ("kind: wms", "kind: wms\n    retry: {first: 0}", ["14:13: systems.wms.retry.first: found 0 s; expected a wait above "
     "zero"]),
    ("kind: wms", "kind: wms\n    retry: {attempts_max: 0, jitter: 1.5}", ["14:27: systems.wms.retry.attempts_max: "
     "found 0; expected a whole number from 1 to 100", "14:38: systems.wms.retry.jitter: found 1.5; expected a number "
     "from 0 to 1"]),
    ("kind: wms", "kind: wms\n    order_scope: shop", ["14:5: systems.wms.order_scope: found 'shop', which is the order "
     "scope of shop; expected a scope of its own for each system"]),
    ("kind: wms", "kind: wms\n    states: {Done: shipped, DONE: packed}", ["14:29: systems.wms.states.DONE: 'DONE' and "
     "'Done' differ only in capitals; expected each state word once"]),
    ("kind: wms", "kind: wms\n    states: {Done: shiped}", ["14:20: systems.wms.states.Done: found 'shiped'; expected "
     "one of created, authorized, allocated, released, acknowledged, packed, shipped, closed, canceled, "
     "returned, refunded, short_pick, damaged, not_found, refused; did you mean shipped?"]),
    ("kind: folder,", "kind: foldr,", ["17:24: systems.wms.connection.outbound.kind: found 'foldr'; expected one of "
     "folder, http; did you mean folder?"]),
    ("{kind: folder, path: out}", "{kind: http, url: 'http://u:pw@h/'}", ["17:35: systems.wms.connection.outbound.url: "
     "found a value that is not repeated here, because it may be a secret; expected an http:// or https:// address "
     "without a password in it"]),
    ("{kind: folder, path: out}", "{kind: http, url: 'http://h:99999/'}", ["17:35: systems.wms.connection.outbound.url: "
     "found 'http://h:99999/'; expected an http:// or https:// address without a password in it"]),
    ("      outbound: {kind: folder, path: out}", "      inbound: []", ["22:5: nodes.dc.system: wms has no outbound "
     "connection: nobody would be told what to ship from dc; expected systems.wms.connection.outbound; "
     "write outbound: none if it asks for its work by the API"]),
    ("fulfills: [delivery]", "fulfills: [delivery, delivery]", ["25:26: nodes.dc.fulfills[1]: found 'delivery' again; "
     "expected each entry once"]),
    ("fulfills: [delivery]", "fulfills: []", ["25:5: nodes.dc.fulfills: found an empty list; expected at least one "
     "entry"]),
    ("fulfills: [delivery], s", "fulfills: [delivery, bopis], s", ["27:44: channels.web.fulfills[1]: no node can do "
     "bopis for web; expected a node that does bopis and serves web"]),
    ("    kind: dc\n", "    kind: dc\n    channels: [webb]\n", ["22:16: nodes.dc.channels[0]: found 'webb', which "
     "channels does not have; expected the id of one of channels (web); did you mean web?"]),
    ("    authority: {order: decide}\n", "", ["26:9: channels.web.system: shop may only observe orders, so every order "
     "of web would be refused; expected order: decide in systems.shop.authority"]),
    ("{version: v1}", "{version: v1, cost: zone}", ["27:69: channels.web.sourcing.cost: cost is zone, but the file has "
     "no zones; expected zones with their costs"]),
    ("nodes:\n", "buffers: [{units: 1, node: 'cd*'}]\nnodes:\n", ["18:22: buffers[0].node: found 'cd*', which matches no "
     "node; expected a pattern that matches the id of a node"]),
    ("nodes:\n", "buffers: [{units: 1}, {units: 2, kind: dc}]\nnodes:\n", ["18:23: buffers[1]: buffers[0] matches "
     "everything before it; expected the buffer for everything at the end"]),
    ("nodes:\n", "buffers: [{units: 1, kind: store}]\nnodes:\n", ["18:22: buffers[0].kind: no node that matches '*' is a "
     "store; expected the kind of a node that the buffer matches"]),
    ("nodes:\n", "zones: [{origin: OH, destination: '*', cost: 1}]\nnodes:\n", ["18:10: zones[0].origin: found 'OH', which "
     "matches the region of no node; expected a pattern that matches the region of a node"]),
    ("nodes:\n", "zones: [{origin: '[', destination: '*', cost: 0.00001}]\nnodes:\n", ["18:18: zones[0].origin: found "
     "'['; expected a pattern in which * stands for any text, ? for one character and [abc] for one of some",
     "18:47: zones[0].cost: found 1e-05; expected an amount of money of 0 or more with at most four decimal places"]),
    ("nodes:\n", "sku_aliases: {wmz: {A: B}}\nnodes:\n", ["18:15: sku_aliases.wmz: found 'wmz', which systems does not "
     "have; expected the id of one of systems (shop, wms); did you mean wms?"]),
    ("nodes:\n", "node_aliases: {wms: {1.5: cd}}\nnodes:\n", ['18:27: node_aliases.wms[\'1.5\']: found \'cd\', which nodes '
     "does not have; expected the id of one of nodes (dc)"]),
    ("  dc:\n", "  d c:\n", ["19:3: nodes['d c']: found 'd c'; expected an id: letters, digits, _, . and -, beginning with "
     "a letter or digit, 100 characters at most"]),
    ("systems:", "sytems:", ["4:1: sytems: unknown field 'sytems'; expected one of interlock, retailer, currency, systems, "
     "nodes, channels, policies, sku_aliases, node_aliases, buffers, zones, exceptions; did you mean systems?"]),
    ("place: {country: US}", "place: US\n    hours: [{days: [mon], opens: 8:00, closes: '24:00'}]", ["23:12: nodes.dc."
     "place: found 'US'; expected a mapping with the fields country", "24:34: nodes.dc.hours[0].opens: found '8:00'; "
     "expected a time of day from 00:00 to 23:59, such as 09:30", "24:48: nodes.dc.hours[0].closes: found '24:00'; "
     "expected a time of day from 00:00 to 23:59, such as 09:30"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "expected"), MISTAKES, ids=[row[1].strip()[:40] or "nothing" for row in MISTAKES]
)
def test_each_mistake_is_told_once_with_its_place_and_what_was_meant(
    old: str, new: str, expected: list[str]
) -> None:
    assert changed(old, new) == expected


FOLDERS = """\
      inbound:
        - {kind: folder, path: in, records: sales}
        - {kind: folder, path: ./in/, records: stock_counts}
        - {kind: folder, path: x/../out, records: fulfillment, columns: {sku: ITEM}, fixed: {sku: A}}
"""


def test_folders_are_used_for_one_thing_only() -> None:
    assert changed("      outbound:", FOLDERS + "      outbound:") == [
        "19:26: systems.wms.connection.inbound[1].path: found './in/', which "
        "systems.wms.connection.inbound[0].path uses; expected a folder of its own for each kind of record",
        "20:94: systems.wms.connection.inbound[2].fixed.sku: 'sku' is also in columns; expected each field in "
        "columns or in fixed, not both",
        "21:32: systems.wms.connection.outbound.path: found 'out', which "
        "systems.wms.connection.inbound[2].path uses; expected different folders for what comes in and what "
        "goes out",
    ]


def test_a_key_in_clear_is_refused_and_never_repeated() -> None:
    secret = "sk_live_4f9a"
    for field in (
        "api_key_sha256: [%s]",
        "api_key_sha256: %s",
        "api_key: %s",
        "token: %s",
        "api_key_sha256: [{k: %s}]",
    ):
        told = changed("    connection:\n", f"    connection:\n      {field % secret}\n")
        assert len(told) == 1
        assert secret not in told[0]
    assert changed("    connection:\n", f"    connection:\n      api_key_sha256: [{secret}]\n")[0].endswith(
        "expected the SHA-256 of the key as 64 hex digits; store only its hash under api_key_sha256: "
        "printf %s 'THE-KEY' | sha256sum"
    )


def test_one_key_belongs_to_one_system() -> None:
    key = hashlib.sha256(b"a key").hexdigest()
    text = SMALL.replace("    connection:\n", f"    connection:\n      api_key_sha256: [{key.upper()}]\n")
    assert estate(text).systems["wms"].api_key_sha256 == (key,)
    told = changed("kind: webshop", f"kind: webshop\n    connection: {{api_key_sha256: [{key}]}}", text)
    assert told == [
        f"18:24: systems.wms.connection.api_key_sha256[0]: found {key[:8]}..., which is a key of shop; "
        "expected keys of its own for each system"
    ]


def test_a_system_that_asks_for_its_work_says_outbound_none() -> None:
    assert estate(SMALL.replace("{kind: folder, path: out}", "none")).systems["wms"].outbound is None


def test_every_mistake_is_told_in_one_go_in_the_order_of_lines() -> None:
    text = SMALL
    for old, new in [
        ("kind: webshop", "kind: x"),
        ("time_zone: UTC", "time_zone: Mars"),
        ("system: wms", "system: y"),
    ]:
        text = text.replace(old, new, 1)
    found = read_estate(text.replace("version: v1", "version: [v1]"), "e.yaml")[1]
    assert [(mistake.line, mistake.path, mistake.value) for mistake in found] == [
        (7, "systems.shop.kind", "x"),
        (15, "systems.wms.time_zone", "Mars"),
        (22, "nodes.dc.system", "y"),
        (27, "channels.web.sourcing.version", "a list of 1 entries"),
    ]


LINES = starter().splitlines()
VALIDATOR = jsonschema_rs.Draft202012Validator(dict(schema()))


def spots(spot: Spot, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], int, int]]:
    """Every key of the document: its path, line and column."""
    found: list[tuple[tuple[Any, ...], int, int]] = []
    if isinstance(spot.value, dict):
        for key, child in spot.value.items():
            found += [((*path, key), *spot.keys[key]), *spots(child, (*path, key))]
    elif isinstance(spot.value, list):
        for place, child in enumerate(spot.value):
            found += spots(child, (*path, place))
    return found


def scalars(spot: Spot) -> list[Spot]:
    """Every scalar of the document."""
    if isinstance(spot.value, dict):
        return [below for child in spot.value.values() for below in scalars(child)]
    if isinstance(spot.value, list):
        return [below for child in spot.value for below in scalars(child)]
    return [spot]


DOCUMENT = compose(starter())[0]
assert DOCUMENT is not None
KEYS = spots(DOCUMENT)
# In these mappings the file's author chooses the keys, so that another key is no mistake by itself.
FREE = {
    "systems",
    "nodes",
    "channels",
    "policies",
    "sku_aliases",
    "node_aliases",
    "states",
    "columns",
    "exceptions",
}


def is_free(path: tuple[Any, ...]) -> bool:
    return len(path) > 1 and (path[-2] in FREE or path[0] in ("sku_aliases", "node_aliases"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([key for key in KEYS if not is_free(key[0])]), st.randoms(use_true_random=False))
def test_a_misspelt_key_is_found_at_its_line(
    key: tuple[tuple[Any, ...], int, int], chance: random.Random
) -> None:
    path, line, column = key
    name = str(path[-1])
    place = chance.randrange(len(name) + 1)
    spelt = name[:place] + "q" + name[place:]
    lines = list(LINES)
    before = lines[line - 1]
    lines[line - 1] = before[: column - 1] + spelt + before[column - 1 + len(name) :]
    found = read_estate("\n".join(lines), "e.yaml")[1]
    assert [(m.line, m.column) for m in found if m.problem == f"unknown field {spelt!r}"] == [(line, column)]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(scalars(DOCUMENT)),
    st.sampled_from(["[[]]", "{q: {}}", "true", "17.5e7", '""', "-1", "~", "'\\'"]),
)
def test_a_value_of_another_type_is_found_at_its_line(scalar: Spot, value: str) -> None:
    lines = list(LINES)
    before, rest = lines[scalar.line - 1][: scalar.column - 1], lines[scalar.line - 1][scalar.column - 1 :]
    written = len(scalar.raw) + (0 if rest.startswith(scalar.raw) else 2)
    lines[scalar.line - 1] = before + value + rest[written:]
    read, found = read_estate("\n".join(lines), "e.yaml")
    document = compose("\n".join(lines))[0]
    assert document is not None
    if VALIDATOR.is_valid(document.plain()):
        # It may stand there, unless a rule between fields says no: then the line is that of one of them.
        assert (read is None) == bool(found)
    else:
        assert read is None
        assert scalar.line in [mistake.line for mistake in found]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(range(len(LINES))), st.integers(0, 3))
def test_any_line_may_go_missing_without_a_crash(line: int, more: int) -> None:
    text = "\n".join(LINES[:line] + LINES[line + 1 + more :])
    read, found = read_estate(text, "e.yaml")
    assert (read is None) == bool(found)
    assert all(1 <= mistake.line <= len(LINES) for mistake in found)
    assert not any("published schema" in mistake.problem for mistake in found)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_scribble_ends_in_an_estate_or_in_mistakes_never_in_a_crash(data: st.DataObject) -> None:
    text = starter()
    at = data.draw(st.integers(0, len(text)))
    gone = data.draw(st.integers(0, 40))
    ink = data.draw(st.text(st.characters() | st.sampled_from("{}[]:,&*!|>'\"%@`#-?\n \t"), max_size=12))
    read, found = read_estate(text[:at] + ink + text[at + gone :], "e.yaml")
    assert (read is None) == bool(found)
    assert all("\n" not in str(mistake) for mistake in found)


def objects() -> dict[str, dict[str, Any]]:
    """The parts of the schema that have fields, by name."""
    parts = {name: part for name, part in schema()["$defs"].items() if "properties" in part}
    return {"estate": dict(schema()), **parts}


STRUCTS: dict[str, type[msgspec.Struct]] = {
    "contact": domain.Contact, "limits": domain.Limits, "retry": domain.RetryPolicy, "folder_in": domain.FolderIn,
    "folder_out": domain.FolderOut, "http_out": domain.HttpOut, "place": domain.Place, "opening": domain.Opening,
    "policy": domain.SourcingPolicy, "buffer": domain.Buffer, "zone": domain.Zone, "duty": domain.Duty,
    "node": domain.Node, "channel": domain.Channel, "system": domain.System, "estate": domain.Estate,
}  # fmt: skip
# Where the file and the struct differ on purpose: only in the file, only in the struct.
ONLY_FILE = {
    "folder_in": {"kind"}, "folder_out": {"kind"}, "http_out": {"kind"}, "system": {"connection"},
    "estate": {"interlock", "policies", "exceptions"},
}  # fmt: skip
ONLY_STRUCT = {
    "node": {"id"}, "channel": {"id"}, "system": {"id", "api_key_sha256", "inbound", "outbound"},
    "estate": {"duties", "default_duty"},
}  # fmt: skip


def test_every_field_of_the_schema_is_in_the_structs_and_the_other_way_round() -> None:
    parts = objects()
    assert set(parts) == {*STRUCTS, "connection", "authority"}
    assert set(parts["connection"]["properties"]) == {"api_key_sha256", "inbound", "outbound"}
    assert tuple(parts["authority"]["properties"]) == domain.FACTS
    for name, struct in STRUCTS.items():
        properties = parts[name]["properties"]
        file = {properties[key].get("x-field", key) for key in properties} - ONLY_FILE.get(name, set())
        assert file == set(struct.__struct_fields__) - ONLY_STRUCT.get(name, set()), name


def test_the_words_of_the_schema_are_those_of_the_domain() -> None:
    parts = objects()
    pairs = [
        (parts["system"]["properties"]["kind"]["enum"], domain.SystemKind),
        (parts["node"]["properties"]["kind"]["enum"], domain.NodeKind),
        (parts["buffer"]["properties"]["kind"]["enum"], domain.NodeKind),
        (parts["folder_in"]["properties"]["records"]["enum"], domain.RecordKind),
        (parts["opening"]["properties"]["days"]["items"]["enum"], domain.Day),
        (schema()["$defs"]["fulfillment"]["enum"], domain.Fulfillment),
        (schema()["$defs"]["authority_word"]["enum"], domain.Authority),
    ]
    for words, literal in pairs:
        assert tuple(words) == get_args(literal)


def test_the_defaults_of_the_schema_are_those_of_the_structs() -> None:
    for name in (
        "limits",
        "retry",
        "folder_in",
        "folder_out",
        "http_out",
        "place",
        "policy",
        "buffer",
        "duty",
    ):
        fields = {field.encode_name: field for field in msgspec.structs.fields(STRUCTS[name])}
        for key, part in objects()[name]["properties"].items():
            if "default" not in part:
                continue
            field = fields[part.get("x-field", key)]
            ours = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
            written = part["default"]
            if "x-field" in part:
                written = estate_checks.duration(written)
                assert written is not None
                written /= 3600 if part["x-field"].endswith("_h") else 1
            assert ours == (Decimal(str(written)) if isinstance(ours, Decimal) else written), (name, key)


def parts_below(part: Any, inside: str = "") -> list[dict[str, Any]]:
    """Every subschema in the schema."""
    if isinstance(part, list):
        return [below for item in part for below in parts_below(item)]
    if not isinstance(part, dict):
        return []
    maps = ("properties", "$defs")
    found = [] if inside in maps else [part]
    for key, value in part.items():
        if inside in maps or key in ("items", "additionalProperties", "propertyNames", "oneOf", *maps):
            found += parts_below(value, "" if inside in maps else key)
    return found


def test_the_schema_is_valid_described_and_uses_only_keywords_that_our_walk_knows() -> None:
    jsonschema_rs.meta.validate(dict(schema()))
    assert VALIDATOR.is_valid(DOCUMENT.plain() if DOCUMENT else None)
    for part in parts_below(dict(schema())):
        assert set(part) - {"$schema", "$id", "$defs", "title"} <= KEYWORDS
        assert part.get("description") or set(part) <= {"$ref", "x-names"}, part
        assert "pattern" not in part or re.fullmatch(r"\^.*\$", part["pattern"])
        assert part.get("x-check", "currency") in estate_checks.CHECKS
    for name, part in objects().items():
        for key, field in part["properties"].items():
            assert field.get("description"), (name, key)


def test_the_page_has_every_field_as_the_schema_describes_it() -> None:
    page = (ROOT / "docs" / "estate.md").read_text("utf-8")
    assert estate_fields.with_tables(page) == page


def test_a_thousand_nodes_and_a_hundred_systems_load_in_time() -> None:
    systems = "".join(
        f"  s{n}: {{name: S{n}, kind: wms, owner: {{team: T, escalation: e}}, time_zone: UTC, "
        f"connection: {{outbound: {{kind: folder, path: s{n}}}}}}}\n"
        for n in range(100)
    )
    nodes = "".join(
        f"  n{n}:\n    name: N{n}\n    kind: store\n    system: s{n % 100}\n    place: {{country: US, region: R{n % 50}}}\n"
        f"    time_zone: America/Chicago\n    fulfills: [delivery, bopis]\n    hours: [{{days: [mon], opens: 08:00, "
        f"closes: 20:00}}]\n"
        for n in range(1000)
    )
    text = SMALL.replace("nodes:\n", systems + "nodes:\n" + nodes)
    started = time.process_time()
    read = estate(text)
    took = time.process_time() - started
    assert (len(read.nodes), len(read.systems)) == (1001, 102)
    assert took < 5.0  # measured: 0.3 s with libyaml, 1.5 s without; a shared machine may be slower


def test_a_mistake_is_one_line_and_goes_into_json() -> None:
    found = read_estate(SMALL.replace("kind: dc", "kind: 'd\\nc'"), "e.yaml")[1]
    assert all("\n" not in str(mistake) for mistake in found)
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Mistake]) == found
