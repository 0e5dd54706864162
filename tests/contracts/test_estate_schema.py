"""The published schema, the structs of the domain and the page agree with each other, word by word."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import msgspec

from interlock.contracts import estate_checks, estate_fields
from interlock.contracts.estate_file import schema, starter
from interlock.contracts.estate_schema import KEYWORDS
from interlock.contracts.estate_yaml import compose
from interlock.domain import estate as domain
from interlock.domain import links, subscriptions

ROOT = Path(__file__).parents[2]


def objects() -> dict[str, dict[str, Any]]:
    """The parts of the schema that have fields, by name."""
    parts = {name: part for name, part in schema()["$defs"].items() if "properties" in part}
    return {"estate": dict(schema()), **parts}


STRUCTS: dict[str, type[msgspec.Struct]] = {
    "contact": domain.Contact,
    "limits": domain.Limits,
    "retry": domain.RetryPolicy,
    "format_field": links.Field,
    "format_layout": links.Layout,
    "format_party": links.Party,
    "format_envelope": links.Envelope,
    "format_totals": links.Totals,
    "format": links.Format,
    "ssh_server": links.Host,
    "folder_in": links.FolderIn,
    "sftp_in": links.SftpIn,
    "webhook_in": links.WebhookIn,
    "api_in": links.ApiIn,
    "broker_in": links.BrokerIn,
    "table_in": links.TableIn,
    "folder_out": links.FolderOut,
    "sftp_out": links.SftpOut,
    "http_out": links.HttpOut,
    "broker_out": links.BrokerOut,
    "two_masters": links.TwoMasters,
    "subscription": subscriptions.Subscription,
    "subscription_webhook": subscriptions.Webhook,
    "subscription_broker": subscriptions.Topic,
    "standard_webhooks": domain.StandardWebhooks,
    "hmac": domain.HmacSignature,
    "place": domain.Place,
    "opening": domain.Opening,
    "policy": domain.SourcingPolicy,
    "buffer": domain.Buffer,
    "zone": domain.Zone,
    "duty": domain.Duty,
    "node": domain.Node,
    "channel": domain.Channel,
    "system": domain.System,
    "estate": domain.Estate,
}
# Where the file and the struct differ on purpose: only in the file, only in the struct.
ONLY_FILE = {
    **{name: {"kind"} for name in STRUCTS if name.endswith(("_in", "_out"))}, "system": {"connection"},
    "standard_webhooks": {"kind"}, "hmac": {"kind"},
    "subscription_webhook": {"kind"}, "subscription_broker": {"kind"},
    "estate": {"interlock", "policies", "exceptions"},
}  # fmt: skip
ONLY_STRUCT = {
    "node": {"id"}, "channel": {"id"}, "subscription": {"name"},
    "system": {"id", "api_key_sha256", "inbound", "outbound", "signature"},
    "estate": {"duties", "default_duty"},
}  # fmt: skip


def test_every_field_of_the_schema_is_in_the_structs_and_the_other_way_round() -> None:
    parts = objects()
    assert set(parts) == {*STRUCTS, "connection", "authority"}
    assert set(parts["connection"]["properties"]) == {"api_key_sha256", "inbound", "outbound", "signature"}
    assert tuple(parts["authority"]["properties"]) == domain.FACTS
    for name, struct in STRUCTS.items():
        properties = parts[name]["properties"]
        file = {properties[key].get("x-field", key) for key in properties} - ONLY_FILE.get(name, set())
        assert file == set(struct.__struct_encode_fields__) - ONLY_STRUCT.get(name, set()), name


def test_the_words_of_the_schema_are_those_of_the_domain() -> None:
    parts = objects()
    pairs = [
        (parts["system"]["properties"]["kind"]["enum"], domain.SystemKind),
        (parts["node"]["properties"]["kind"]["enum"], domain.NodeKind),
        (parts["buffer"]["properties"]["kind"]["enum"], domain.NodeKind),
        (parts["folder_in"]["properties"]["records"]["enum"], links.RecordKind),
        (parts["format"]["properties"]["kind"]["enum"], links.FormatKind),
        (parts["webhook_in"]["properties"]["acknowledge"]["enum"], links.Acknowledge),
        (parts["folder_out"]["properties"]["acknowledged_by"]["enum"], links.Acknowledge),
        (parts["broker_in"]["properties"]["broker"]["enum"], links.Broker),
        (parts["format_field"]["properties"]["kind"]["enum"], links.FieldKind),
        (parts["opening"]["properties"]["days"]["items"]["enum"], domain.Day),
        (schema()["$defs"]["fulfillment"]["enum"], domain.Fulfillment),
        (parts["system"]["properties"]["updates"]["enum"], domain.Updates),
        (schema()["$defs"]["authority_word"]["enum"], domain.Authority),
    ]
    for words, literal in pairs:
        assert tuple(words) == get_args(literal)


def test_the_defaults_of_the_schema_are_those_of_the_structs() -> None:
    for name in (
        "limits",
        "retry",
        *(name for name in STRUCTS if name.startswith("format") or name.endswith(("_in", "_out"))),
        "ssh_server",
        "two_masters",
        "subscription",
        "subscription_webhook",
        "subscription_broker",
        "standard_webhooks",
        "hmac",
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
            written = tuple(part["default"]) if isinstance(part["default"], list) else part["default"]
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
    document = compose(starter())[0]
    assert document is not None
    assert jsonschema_rs.Draft202012Validator(dict(schema())).is_valid(document.plain())
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
