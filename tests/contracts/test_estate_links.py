"""Links in the estate: transports, formats and mappings are chosen freely, and what cannot work is told at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.contracts.estate_file import check_estate, load_estate
from interlock.contracts.mapping_files import read_mapping
from interlock.domain.links import (
    ApiIn,
    BrokerIn,
    BrokerOut,
    Envelope,
    Format,
    Host,
    Party,
    SftpIn,
    SftpOut,
    TableIn,
    TwoMasters,
    WebhookIn,
)
from tests.contracts.tiny_estate import SMALL, changed, estate, mistakes

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBMnVQpQWJq5gQqZkTj8Gq1r"
OWN = "mappings: {own: {records: []}}\n"


def with_inbound(*links: str, more: str = OWN) -> str:
    """The small estate, whose shop has these inbound links."""
    listed = "".join(f"        - {link}\n" for link in links)
    told = "      outbound: {kind: folder, path: told}\n"
    connection = f"{ZONE}    connection:\n{told}      inbound:\n{listed}"
    return SMALL.replace("    time_zone: America/New_York\n", connection, 1) + more


ZONE = "    time_zone: America/New_York\n"


def test_every_transport_takes_a_format_and_a_mapping() -> None:
    read = estate(
        with_inbound(
            f'{{kind: sftp, server: {{host: h, user: u, host_key: "{KEY}"}}, path: out, format: x12, mapping: own, every: 5s}}',
            "{kind: webhook, name: hook, format: {kind: json, item: orders}, mapping: own, settings: {channel: web}}",
            '{kind: api, url: "https://shop.example.com/orders", mapping: own, page: link, watermark: updated_at, overlap: 1m}',
            "{kind: broker, broker: nats, url_env: NATS_URL, topic: orders, format: ndjson, mapping: own}",
            "{kind: table, url_env: ERP_DB, table: dbo.orders, key: [id], mapping: own}",
        )
    )
    sftp, hook, api, broker, table = read.systems["shop"].inbound
    assert sftp == SftpIn(
        server=Host(host="h", user="u", host_key=KEY), path="out", format=Format(kind="x12"), mapping="own", every_s=5
    )
    assert hook == WebhookIn(
        name="hook", format=Format(kind="json", item="orders"), mapping="own", settings={"channel": "web"}
    )
    assert isinstance(api, ApiIn)
    assert (api.page, api.watermark, api.overlap_s, api.every_s) == ("link", "updated_at", 60, 60)
    assert isinstance(broker, BrokerIn)
    assert (broker.broker, broker.group, broker.format) == ("nats", "interlock", Format(kind="ndjson"))
    assert isinstance(table, TableIn)
    assert (table.key, table.overlap_s) == (("id",), 5)
    assert read.mappings == {"own": {"records": []}}


def test_what_goes_out_takes_a_format_with_an_envelope() -> None:
    envelope = "{ours: {id: US}, theirs: {id: THEM, qualifier: '01'}, version: '004010'}"
    out = f'{{kind: sftp, server: {{host: h, user: u, host_key: "{KEY}"}}, path: in, format: {{kind: x12, envelope: {envelope}}}'
    read = estate(
        SMALL.replace("{kind: folder, path: out}", out + ", mapping: own, acknowledged_by: '997', only_newest: true}")
        + OWN
    )
    assert read.systems["wms"].outbound == SftpOut(
        server=Host(host="h", user="u", host_key=KEY),
        path="in",
        format=Format(
            kind="x12",
            envelope=Envelope(ours=Party(id="US"), theirs=Party(id="THEM", qualifier="01"), version="004010"),
        ),
        mapping="own",
        acknowledged_by="997",
        only_newest=True,
    )
    broker = estate(
        SMALL.replace("{kind: folder, path: out}", "{kind: broker, broker: kafka, url_env: K, topic: releases}")
    )
    assert broker.systems["wms"].outbound == BrokerOut(broker="kafka", url_env="K", topic="releases")


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("{kind: folder, path: in}", "nothing says what its files hold; expected records, or format and mapping"),
        ("{kind: folder, path: in, format: csv}", "nothing says what its files hold"),
        ("{kind: folder, path: in, records: sales, mapping: own}", "records and mapping are both there"),
        ("{kind: folder, path: in, format: csv, mapping: owm}", "did you mean own?"),
        (
            "{kind: folder, path: in, format: xls, mapping: own}",
            "found 'xls'; expected one of json, ndjson, csv, fixed",
        ),
        ("{kind: folder, path: in, format: fixed, mapping: own}", "a fixed-width format without layouts"),
        (
            "{kind: folder, path: in, format: {kind: csv, header: false}, mapping: own}",
            "without a header and without columns",
        ),
        ("{kind: folder, path: in, format: x12, mapping: own, acknowledge: '997'}", "x12 is written, but to nobody"),
        (
            "{kind: folder, path: in, format: csv, mapping: own, acknowledge: contrl}",
            "contrl acknowledges edifact, not csv",
        ),
        ("{kind: webhook, format: json, mapping: own}", "systems.shop.connection.inbound[0].name: missing"),
        ("{kind: sftp, server: {host: h, user: u}, path: o, format: csv, mapping: own}", "host_key: missing"),
        ("{kind: carrier, path: in}", "expected one of folder, sftp, webhook, api, broker, table"),
        (
            "{kind: broker, broker: nats, url_env: 'nats://h', topic: t, format: json, mapping: own}",
            "an environment variable",
        ),
        ("{kind: api, url: 'ftp://h', mapping: own}", "an http:// or https:// address"),
    ],
)
def test_a_link_that_cannot_work_is_told(link: str, told: str) -> None:
    found = mistakes(with_inbound(link))
    assert len(found) == 1, found
    assert told in found[0]


def test_two_links_of_a_system_may_not_have_one_name() -> None:
    hook = "{kind: webhook, name: a, format: json, mapping: own}"
    assert ["'a' is another link's" in each for each in mistakes(with_inbound(hook, hook))] == [True]


def test_a_mapping_may_be_a_file_beside_the_estate_and_its_mistakes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(SMALL + "mappings: {own: {file: own.yaml}}\n")
    assert "No such file" in str(check_estate(path)[0])
    (tmp_path / "own.yaml").write_text("records: [\n")
    assert "own.yaml" in str(check_estate(path)[0])
    (tmp_path / "own.yaml").write_text("records:\n  - {skip: nothing yet}\n")
    assert check_estate(path) == []
    assert load_estate(path).mappings == {"own": {"records": [{"skip": "nothing yet"}]}}


def test_a_mapping_that_is_no_mapping_is_no_mapping() -> None:
    assert read_mapping("- a\n- b\n") == (None, ["it is no mapping from names to values"])
    assert read_mapping("a: 1\na: 2\n")[0] is None


MASTERS = "two_masters: [{name: pair, systems: [shop, hook], actions: [order.create]}]\n"
HOOK = (
    "  hook: {name: Hook, kind: webshop, owner: {team: A, escalation: a}, time_zone: UTC, order_scope: shop}\n  wms:\n"
)


def test_two_masters_number_their_orders_in_one_scope() -> None:
    both = SMALL.replace("  wms:\n", HOOK, 1) + MASTERS
    assert estate(both).two_masters == (TwoMasters(name="pair", systems=("shop", "hook")),)
    assert "the same order_scope in each of them" in changed("order_scope: shop", "order_scope: other", both)[0]
    assert "did you mean order.create?" in changed("[order.create]", "[order.creat]", both)[0]
    assert any("which systems does not have" in each for each in changed("[shop, hook]", "[shop, hooc]", both))
    assert "which is the order scope of" in mistakes(both.replace(MASTERS, ""))[0]
