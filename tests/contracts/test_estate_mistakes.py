"""Every kind of mistake in an estate, once: told at its line, with what was found, expected and probably meant."""

from __future__ import annotations

import hashlib
import time

import msgspec
import pytest
import ruamel.yaml

from interlock.contracts.estate_file import Mistake, read_estate
from interlock.contracts.estate_yaml import BYTES_MAX
from tests.contracts.tiny_estate import SMALL, changed, estate, mistakes

# Each row: what is replaced in SMALL, by what, and the mistakes that follow.
MISTAKES: list[tuple[str, str, list[str]]] = [
    (
        "currency: USD",
        "curency: USD",
        [
            "3:1: curency: unknown field 'curency'; expected one of interlock, retailer, currency, "
            "systems, nodes, channels, policies, sku_aliases, node_aliases, buffers, zones, "
            "exceptions, mappings, contracts, two_masters, subscriptions; did you mean currency?",
        ],
    ),
    (
        "retailer: Tiny\n",
        "",
        [
            "1:1: retailer: missing; expected one line of text of 1 to 200 characters, without blanks at its ends",
        ],
    ),
    (
        "interlock: 1",
        "interlock: 2",
        [
            "1:12: interlock: found 2; expected 1, the version of the estate schema that this program reads",
        ],
    ),
    (
        "kind: webshop",
        "kind: web-shop",
        [
            "7:11: systems.shop.kind: found 'web-shop'; expected one of pos, wms, erp, marketplace, "
            "webshop, returns, edi, replenishment, backoffice, 3pl; did you mean webshop?",
        ],
    ),
    (
        "name: Shop",
        "name: Shop\n    name: Store",
        [
            "7:5: systems.shop.name: written twice, first on line 6; expected each key once",
        ],
    ),
    (
        "name: Shop",
        "name:",
        [
            "6:5: systems.shop.name: found nothing; expected one line of text of 1 to 200 characters,"
            " without blanks at its ends",
        ],
    ),
    (
        "name: Shop",
        "name: 007",
        [
            "6:11: systems.shop.name: found 7; expected one line of text of 1 to 200 characters, "
            'without blanks at its ends; write it in quotes: "007"',
        ],
    ),
    (
        "name: Shop",
        "name: !!python/name:os.system x",
        [
            "6:11: systems.shop.name: found the tag tag:yaml.org,2002:python/name:os.system; expected"
            " a plain value without a tag",
        ],
    ),
    (
        "name: Shop",
        "name: ${SHOP}",
        [
            "6:11: systems.shop.name: found '${SHOP}'; expected the text itself: only token_env and secrets_env name"
            " variables, nothing else is filled in",
        ],
    ),
    (
        "name: DC",
        "name: DC\n    capacity_orders_per_day: '60'",
        [
            "21:30: nodes.dc.capacity_orders_per_day: found '60'; expected a whole number from 0 to "
            "10,000,000; write it without quotes: 60",
        ],
    ),
    (
        "currency: USD",
        "currency: UDS",
        [
            "3:11: currency: found 'UDS'; expected an ISO 4217 currency code such as USD; did you mean USD?",
        ],
    ),
    (
        "currency: USD",
        "currency: DEM",
        [
            "3:11: currency: found 'DEM'; expected an ISO 4217 currency code such as USD",
        ],
    ),
    (
        "country: US",
        "country: UK",
        [
            "23:22: nodes.dc.place.country: found 'UK'; expected an ISO 3166 country code of two "
            "letters such as US; did you mean GB?",
        ],
    ),
    (
        "America/New_York",
        "America/NewYork",
        [
            "10:16: systems.shop.time_zone: found 'America/NewYork'; expected an IANA time zone such "
            "as America/New_York; did you mean America/New_York?",
        ],
    ),
    (
        "system: wms",
        "system: wsm",
        [
            "22:13: nodes.dc.system: found 'wsm', which systems does not have; expected the id of one"
            " of systems (shop, wms); did you mean wms?",
        ],
    ),
    (
        "sourcing: {version: v1}",
        "sourcing: standrd",
        [
            "27:55: channels.web.sourcing: found 'standrd', which policies does not have; expected "
            "the id of one of policies",
        ],
    ),
    (
        "sourcing: {version: v1}",
        "sourcing: 3",
        [
            "27:55: channels.web.sourcing: found 3; expected the name of one of policies, or the fields of a policy",
        ],
    ),
    (
        "country: US}",
        "country: US, latitude: 91, longitude: 0}",
        [
            "23:36: nodes.dc.place.latitude: found 91; expected a number from -90 to 90",
        ],
    ),
    (
        "country: US}",
        "country: US, latitude: 9}",
        [
            "23:26: nodes.dc.place.latitude: there is a latitude without a longitude; expected both "
            "coordinates or none",
        ],
    ),
    (
        "kind: wms",
        "kind: wms\n    ack_within: 4 hours",
        [
            "14:17: systems.wms.ack_within: found '4 hours'; expected a duration of at most 366 days "
            "such as 90s, 15m, 4h or 2d (a bare number is seconds)",
        ],
    ),
    (
        "kind: wms",
        "kind: wms\n    ack_within: 400d",
        [
            "14:17: systems.wms.ack_within: found '400d'; expected a duration of at most 366 days "
            "such as 90s, 15m, 4h or 2d (a bare number is seconds)",
        ],
    ),
    (
        "kind: wms",
        "kind: wms\n    retry: {first: 1h, max: 15m}",
        [
            "14:24: systems.wms.retry.max: the longest wait is 900 s, the first 3600 s; expected a "
            "longest wait of no less than the first",
        ],
    ),
    (
        "kind: wms",
        "kind: wms\n    retry: {first: 0}",
        [
            "14:13: systems.wms.retry.first: found 0 s; expected a wait above zero",
        ],
    ),
    (
        "kind: wms",
        "kind: wms\n    retry: {attempts_max: 0, jitter: 1.5}",
        [
            "14:27: systems.wms.retry.attempts_max: found 0; expected a whole number from 1 to 100",
            "14:38: systems.wms.retry.jitter: found 1.5; expected a number from 0 to 1",
        ],
    ),
    (
        "kind: wms",
        "kind: wms\n    order_scope: shop",
        [
            "14:5: systems.wms.order_scope: found 'shop', which is the order scope of shop; expected "
            "a scope of its own for each system",
        ],
    ),
    (
        "kind: wms",
        "kind: wms\n    states: {Done: shipped, DONE: packed}",
        [
            "14:29: systems.wms.states.DONE: 'DONE' and 'Done' differ only in capitals; expected each state word once",
        ],
    ),
    (
        "kind: wms",
        "kind: wms\n    states: {Done: shiped}",
        [
            "14:20: systems.wms.states.Done: found 'shiped'; expected one of created, authorized, "
            "allocated, released, acknowledged, packed, shipped, closed, canceled, returned, "
            "refunded, short_pick, damaged, not_found, refused; did you mean shipped?",
        ],
    ),
    (
        "kind: folder,",
        "kind: foldr,",
        [
            "17:24: systems.wms.connection.outbound.kind: found 'foldr'; expected one of folder, "
            "sftp, http, broker; did you mean folder?",
        ],
    ),
    (
        "{kind: folder, path: out}",
        "{kind: http, url: 'http://u:pw@h/'}",
        [
            "17:35: systems.wms.connection.outbound.url: found a value that is not repeated here, "
            "because it may be a secret; expected an http:// or https:// address without a password "
            "in it",
        ],
    ),
    (
        "{kind: folder, path: out}",
        "{kind: http, url: 'http://h:99999/'}",
        [
            "17:35: systems.wms.connection.outbound.url: found 'http://h:99999/'; expected an http://"
            " or https:// address without a password in it",
        ],
    ),
    (
        "      outbound: {kind: folder, path: out}",
        "      inbound: []",
        [
            "22:5: nodes.dc.system: wms has no outbound connection: nobody would be told what to ship"
            " from dc; expected systems.wms.connection.outbound; write outbound: none if it asks for "
            "its work by the API",
        ],
    ),
    (
        "fulfills: [delivery]",
        "fulfills: [delivery, delivery]",
        [
            "25:26: nodes.dc.fulfills[1]: found 'delivery' again; expected each entry once",
        ],
    ),
    (
        "fulfills: [delivery]",
        "fulfills: []",
        [
            "25:5: nodes.dc.fulfills: found an empty list; expected at least one entry",
        ],
    ),
    (
        "fulfills: [delivery], s",
        "fulfills: [delivery, bopis], s",
        [
            "27:44: channels.web.fulfills[1]: no node can do bopis for web; expected a node that does"
            " bopis and serves web",
        ],
    ),
    (
        "    kind: dc\n",
        "    kind: dc\n    channels: [webb]\n",
        [
            "22:16: nodes.dc.channels[0]: found 'webb', which channels does not have; expected the id"
            " of one of channels (web); did you mean web?",
        ],
    ),
    (
        "    authority: {order: decide}\n",
        "",
        [
            "26:9: channels.web.system: shop may only observe orders, so every order of web would be "
            "refused; expected order: decide in systems.shop.authority",
        ],
    ),
    (
        "{version: v1}",
        "{version: v1, cost: zone}",
        [
            "27:69: channels.web.sourcing.cost: cost is zone, but the file has no zones; expected "
            "zones with their costs",
        ],
    ),
    (
        "nodes:\n",
        "buffers: [{units: 1, node: 'cd*'}]\nnodes:\n",
        [
            "18:22: buffers[0].node: found 'cd*', which matches no node; expected a pattern that "
            "matches the id of a node",
        ],
    ),
    (
        "nodes:\n",
        "buffers: [{units: 1}, {units: 2, kind: dc}]\nnodes:\n",
        [
            "18:23: buffers[1]: buffers[0] matches everything before it; expected the buffer for everything at the end",
        ],
    ),
    (
        "nodes:\n",
        "buffers: [{units: 1, kind: store}]\nnodes:\n",
        [
            "18:22: buffers[0].kind: no node that matches '*' is a store; expected the kind of a node"
            " that the buffer matches",
        ],
    ),
    (
        "nodes:\n",
        "zones: [{origin: OH, destination: '*', cost: 1}]\nnodes:\n",
        [
            "18:10: zones[0].origin: found 'OH', which matches the region of no node; expected a "
            "pattern that matches the region of a node",
        ],
    ),
    (
        "nodes:\n",
        "zones: [{origin: '[', destination: '*', cost: 0.00001}]\nnodes:\n",
        [
            "18:18: zones[0].origin: found '['; expected a pattern in which * stands for any text, ? "
            "for one character and [abc] for one of some",
            "18:47: zones[0].cost: found 1e-05; expected an amount of money of 0 or more with at most"
            " four decimal places",
        ],
    ),
    (
        "nodes:\n",
        "sku_aliases: {wmz: {A: B}}\nnodes:\n",
        [
            "18:15: sku_aliases.wmz: found 'wmz', which systems does not have; expected the id of one"
            " of systems (shop, wms); did you mean wms?",
        ],
    ),
    (
        "nodes:\n",
        "node_aliases: {wms: {1.5: cd}}\nnodes:\n",
        [
            "18:27: node_aliases.wms['1.5']: found 'cd', which nodes does not have; expected the id "
            "of one of nodes (dc)",
        ],
    ),
    (
        "  dc:\n",
        "  d c:\n",
        [
            "19:3: nodes['d c']: found 'd c'; expected an id: letters, digits, _, . and -, beginning "
            "with a letter or digit, 100 characters at most",
        ],
    ),
    (
        "systems:",
        "sytems:",
        [
            "4:1: sytems: unknown field 'sytems'; expected one of interlock, retailer, currency, "
            "systems, nodes, channels, policies, sku_aliases, node_aliases, buffers, zones, "
            "exceptions, mappings, contracts, two_masters, subscriptions; did you mean systems?",
        ],
    ),
    (
        "place: {country: US}",
        "place: US\n    hours: [{days: [mon], opens: 8:00, closes: '24:00'}]",
        [
            "23:12: nodes.dc.place: found 'US'; expected a mapping with the fields country",
            "24:34: nodes.dc.hours[0].opens: found '8:00'; expected a time of day from 00:00 to 23:59, such as 09:30",
            "24:48: nodes.dc.hours[0].closes: found '24:00'; expected a time of day from 00:00 to 23:59, such as 09:30",
        ],
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), MISTAKES, ids=[row[1].strip()[:40] or "nothing" for row in MISTAKES]
)
def test_each_mistake_is_told_once_with_its_place_and_what_was_meant(old: str, new: str, expected: list[str]) -> None:
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
    assert mistakes(bomb)[-1].endswith("too large here; expected 1,000,000 values at most, aliases written out")
    assert time.monotonic() - started < 5.0
    assert mistakes("#" * (BYTES_MAX + 1)) == ["1:1: the file has 5,000,001 bytes; expected 5,000,000 bytes at most"]


def test_a_mistake_is_one_line_and_goes_into_json() -> None:
    found = read_estate(SMALL.replace("kind: dc", "kind: 'd\\nc'"), "e.yaml")[1]
    assert all("\n" not in str(mistake) for mistake in found)
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Mistake]) == found
