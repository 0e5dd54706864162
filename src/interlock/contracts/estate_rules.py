"""Rules between the fields of an estate: what no single value can be wrong about alone.

Each rule takes the values that can be trusted and tells its mistakes at their place in the file. Where a
value is UNKNOWN, because it is wrong itself, a rule stays silent: one mistake is told once.
"""

from __future__ import annotations

import os.path
import pathlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from interlock.contracts.estate_checks import UNKNOWN
from interlock.contracts.estate_links import check_links
from interlock.contracts.estate_mistakes import Path, did_you_mean, dotted, shown
from interlock.contracts.estate_schema import Walk
from interlock.contracts.estate_subscriptions import check_subscriptions
from interlock.domain.commands import COMMANDS

Values = dict[str, Any]


def check_rules(walk: Walk, estate: Values, base: pathlib.Path) -> None:
    """Every rule over the whole estate; `base` is the directory that relative paths begin at."""
    _scopes_and_keys_are_of_one_system(walk, estate)
    _signatures_can_be_checked(walk, estate)
    _parking_names_actions(walk, estate)
    _folders_are_used_once(walk, estate, base)
    _folder_columns_make_sense(walk, estate)
    check_links(walk, estate, base)
    check_subscriptions(walk, estate)
    _retries_grow(walk, estate)
    _states_differ_by_more_than_capitals(walk, estate)
    _nodes_can_be_told(walk, estate)
    _coordinates_come_in_pairs(walk, estate)
    _channels_can_be_served(walk, estate)
    _channel_systems_decide_orders(walk, estate)
    _channels_that_tell_can_be_reached(walk, estate)
    _policies_have_their_costs(walk, estate)
    _buffers_match(walk, estate)
    _zones_match(walk, estate)


def _entries(estate: Values, section: str) -> Iterator[tuple[str, Values]]:
    """The entries of a section that can be looked into."""
    entries = estate.get(section) or {}
    for name, entry in entries.items():
        if isinstance(entry, dict):
            yield name, entry


def _connections(estate: Values) -> Iterator[tuple[str, Values]]:
    """Each system's connection, where it has one."""
    for name, system in _entries(estate, "systems"):
        if isinstance(connection := system.get("connection"), dict):
            yield name, connection


def _scopes_and_keys_are_of_one_system(walk: Walk, estate: Values) -> None:
    """Two systems that number orders in one namespace would overwrite each other; one key would be two
    callers.
    """
    scopes: dict[str, str] = {}
    pairs = [set(pair.get("systems") or ()) for pair in estate.get("two_masters") or () if isinstance(pair, dict)]
    # Those that name no scope come first: of two, the one that wrote it down is the one to change.
    for written in (False, True):
        for name, system in _entries(estate, "systems"):
            scope = system.get("order_scope", name)
            if scope is UNKNOWN or ("order_scope" in system) != written:
                continue
            if (other := scopes.setdefault(scope, name)) != name and not any({name, other} <= pair for pair in pairs):
                problem = f"found {shown(scope)}, which is the order scope of {other}"
                walk.tell_at(("systems", name, "order_scope"), scope, problem, "a scope of its own for each system")
    keys: dict[str, str] = {}
    for name, connection in _connections(estate):
        for place, key in enumerate(connection.get("api_key_sha256") or ()):
            if key is not UNKNOWN and (other := keys.setdefault(key, name)) != name:
                path = ("systems", name, "connection", "api_key_sha256", place)
                problem = f"found {key[:8]}..., which is a key of {other}"
                walk.tell_at(path, f"{key[:8]}...", problem, "keys of its own for each system")


def _signatures_can_be_checked(walk: Walk, estate: Values) -> None:
    """What is read from a request is signed and what is signed can be read; a key that must come as well exists."""
    for name, connection in _connections(estate):
        signature = connection.get("signature")
        if not isinstance(signature, dict):
            continue
        path: Path = ("systems", name, "connection", "signature")
        if signature.get("with_api_key") is True and connection.get("api_key_sha256", []) == []:
            problem = f"with_api_key is true, but {name} has no API key"
            expected = f"a hash in systems.{name}.connection.api_key_sha256"
            walk.tell_at((*path, "with_api_key"), True, problem, expected)
        signed = signature.get("signed", "{body}")
        if signature.get("kind") != "hmac" or signed is UNKNOWN:
            continue
        if "{body}" not in signed:
            walk.tell_at(
                (*path, "signed"), signed, f"found {shown(signed)}, in which no body is signed", "{body} in it"
            )
        if "timestamp_header" in signature and "timestamp_prefix" in signature:
            problem = "timestamp_header and timestamp_prefix are both there"
            walk.tell_at((*path, "timestamp_prefix"), None, problem, "the timestamp in one place")
        for field, sources in (("timestamp", ("timestamp_header", "timestamp_prefix")), ("id", ("id_header",))):
            given = [source for source in sources if source in signature]
            if f"{{{field}}}" in signed and not given:
                problem = f"{{{field}}} is signed, but nothing says where it is found"
                walk.tell_at((*path, "signed"), signed, problem, " or ".join(sources))
            elif field == "timestamp" and given and "{timestamp}" not in signed:
                problem = "the timestamp is not signed: anybody could change it"
                walk.tell_at((*path, given[0]), signature[given[0]], problem, "{timestamp} in signed")


def _parking_names_actions(walk: Walk, estate: Values) -> None:
    """Times are given for actions that there are."""
    for name, system in _entries(estate, "systems"):
        for action in system.get("parking") or ():
            if action != "*" and "." in action and action not in COMMANDS:
                walk.tell_at(
                    ("systems", name, "parking", action),
                    action,
                    f"found {shown(action)}, which is no action",
                    "an action such as order.cancel, or * for all others",
                    did_you_mean(action, COMMANDS),
                )


def _folders_are_used_once(walk: Walk, estate: Values, base: pathlib.Path) -> None:
    """Two readers of one folder would steal each other's files; reading what we write would be a circle."""
    used: dict[str, tuple[str, str]] = {}
    for name, connection in _connections(estate):
        outbound = connection.get("outbound")
        above: Path = ("systems", name, "connection")
        folders: list[tuple[str, Path, Any]] = [
            ("inbound", (*above, "inbound", place, "path"), folder)
            for place, folder in enumerate(connection.get("inbound") or ())
            if isinstance(folder, dict) and folder.get("kind") == "folder"
        ]
        if isinstance(outbound, dict) and outbound.get("kind") == "folder":
            folders.append(("outbound", (*above, "outbound", "path"), outbound))
        for way, field, folder in folders:
            path = folder.get("path", UNKNOWN) if isinstance(folder, dict) else UNKNOWN
            if path is UNKNOWN:
                continue
            real = os.path.normpath(base / path)
            if real not in used:
                used[real] = (way, dotted(field))
            elif way == "outbound" == used[real][0]:
                _tell_shared(walk, field, path, used[real][1], "a folder of its own for each system we write to")
            elif way != used[real][0]:
                _tell_shared(walk, field, path, used[real][1], "different folders for what comes in and what goes out")
            else:
                _tell_shared(walk, field, path, used[real][1], "a folder of its own for each kind of record")


def _tell_shared(walk: Walk, field: Path, path: str, other: str, expected: str) -> None:
    walk.tell_at(field, path, f"found {shown(path)}, which {other} uses", expected)


def _folder_columns_make_sense(walk: Walk, estate: Values) -> None:
    """A field comes from a column or is fixed, not both."""
    for name, connection in _connections(estate):
        for place, folder in enumerate(connection.get("inbound") or ()):
            if not isinstance(folder, dict):
                continue
            columns, fixed = folder.get("columns") or {}, folder.get("fixed") or {}
            for field in fixed:
                if field in columns:
                    path = ("systems", name, "connection", "inbound", place, "fixed", field)
                    walk.tell_at(
                        path,
                        field,
                        f"{shown(field)} is also in columns",
                        "each field in columns or in fixed, not both",
                    )


def _retries_grow(walk: Walk, estate: Values) -> None:
    """Waits begin above zero and end at no less than they began."""
    for name, system in _entries(estate, "systems"):
        retry = system.get("retry")
        if not isinstance(retry, dict):
            continue
        first, longest = retry.get("first", 1.0), retry.get("max", 900.0)
        if first is not UNKNOWN and first <= 0:
            walk.tell_at(("systems", name, "retry", "first"), first, f"found {first:g} s", "a wait above zero")
        elif first is not UNKNOWN and longest is not UNKNOWN and longest < first:
            path = ("systems", name, "retry", "max" if "max" in retry else "first")
            problem = f"the longest wait is {longest:g} s, the first {first:g} s"
            walk.tell_at(
                path,
                longest if "max" in retry else first,
                problem,
                "a longest wait of no less than the first",
            )


def _states_differ_by_more_than_capitals(walk: Walk, estate: Values) -> None:
    """State words are compared without regard to capitals."""
    for name, system in _entries(estate, "systems"):
        seen: dict[str, str] = {}
        for word in system.get("states") or {}:
            if (other := seen.setdefault(word.casefold(), word)) != word:
                problem = f"{shown(word)} and {shown(other)} differ only in capitals"
                walk.tell_at(("systems", name, "states", word), word, problem, "each state word once")


def _nodes_can_be_told(walk: Walk, estate: Values) -> None:
    """Work given to a node must reach somebody: by outbound, or on purpose by nothing but the API or
    people.
    """
    systems = dict(_entries(estate, "systems"))
    for name, node in _entries(estate, "nodes"):
        system = systems.get(node["system"]) if node.get("system") else None
        fulfills = node.get("fulfills")
        if system is None or not fulfills or UNKNOWN in fulfills or set(fulfills) == {"carry_out"}:
            continue  # what is carried out at the till has left already: nobody is told
        connection = system.get("connection", {})
        if connection is not UNKNOWN and "outbound" not in connection:
            walk.tell_at(
                ("nodes", name, "system"), node["system"],
                f"{node['system']} has no outbound connection: nobody would be told what to ship from {name}",
                f"systems.{node['system']}.connection.outbound",
                "write outbound: none if it asks for its work by the API",
            )  # fmt: skip


def _coordinates_come_in_pairs(walk: Walk, estate: Values) -> None:
    for name, node in _entries(estate, "nodes"):
        place = node.get("place")
        if isinstance(place, dict) and ("latitude" in place) != ("longitude" in place):
            there, missing = ("latitude", "longitude") if "latitude" in place else ("longitude", "latitude")
            problem = f"there is a {there} without a {missing}"
            walk.tell_at(("nodes", name, "place", there), place[there], problem, "both coordinates or none")


def _channels_can_be_served(walk: Walk, estate: Values) -> None:
    """For whatever a channel offers there is a node that can do it."""
    nodes = estate.get("nodes")
    if not isinstance(nodes, dict) or UNKNOWN in nodes.values():
        return
    for name, channel in _entries(estate, "channels"):
        policy = _policy(estate, channel)
        for place, wanted in enumerate(channel.get("fulfills") or ()):
            if wanted is not UNKNOWN and not any(_may_serve(node, name, wanted, policy) for node in nodes.values()):
                expected = f"a node that does {wanted} and serves {name}"
                if wanted == "delivery" and policy and policy.get("ship_from_store") is False:
                    expected += " and is no store, because its policy says ship_from_store: false"
                problem = f"no node can do {wanted} for {name}"
                walk.tell_at(("channels", name, "fulfills", place), wanted, problem, expected)


def _may_serve(node: Values, channel: str, wanted: str, policy: Values | None) -> bool:
    """Whether the node can, or could once its own mistakes are mended."""
    fulfills, channels = node.get("fulfills"), node.get("channels", [])
    if fulfills and UNKNOWN not in fulfills and wanted not in fulfills:
        return False
    if channels and UNKNOWN not in channels and channel not in channels:
        return False
    from_stores = policy is None or policy.get("ship_from_store", True) is not False
    return wanted != "delivery" or from_stores or node.get("kind") != "store"


def _policy(estate: Values, channel: Values) -> Values | None:
    """The channel's sourcing policy, its own or the one that it names; None where that is not known."""
    sourcing = channel.get("sourcing")
    if isinstance(sourcing, str):
        sourcing = (estate.get("policies") or {}).get(sourcing)
    return sourcing if isinstance(sourcing, dict) else None


def _channel_systems_decide_orders(walk: Walk, estate: Values) -> None:
    """A channel whose system may only observe orders would have every order refused."""
    systems = dict(_entries(estate, "systems"))
    for name, channel in _entries(estate, "channels"):
        system = systems.get(channel["system"]) if channel.get("system") else None
        authority = system.get("authority", {}) if system else UNKNOWN
        if authority is UNKNOWN or authority.get("order", "observe") in ("decide", UNKNOWN):
            continue
        problem = f"{channel['system']} may only observe orders, so every order of {name} would be refused"
        expected = f"order: decide in systems.{channel['system']}.authority"
        walk.tell_at(("channels", name, "system"), channel["system"], problem, expected)


def _channels_that_tell_can_be_reached(walk: Walk, estate: Values) -> None:
    """What a channel's system is to be told needs a way to it."""
    systems = dict(_entries(estate, "systems"))
    for name, channel in _entries(estate, "channels"):
        system = systems.get(channel["system"]) if channel.get("system") else None
        connection = system.get("connection", {}) if system else UNKNOWN
        if not channel.get("tells") or not isinstance(connection, dict):
            continue
        if not isinstance(connection.get("outbound", "none"), dict) and connection.get("outbound") is not UNKNOWN:
            problem = f"{channel['system']} has no outbound connection: it would be told nothing"
            expected = f"systems.{channel['system']}.connection.outbound"
            walk.tell_at(("channels", name, "tells"), None, problem, expected)


def _policies_have_their_costs(walk: Walk, estate: Values) -> None:
    """A cost by zone needs zones."""
    if estate.get("zones", []) != []:
        return
    own = [(("channels", name, "sourcing"), channel.get("sourcing")) for name, channel in _entries(estate, "channels")]
    named = [(("policies", name), policy) for name, policy in _entries(estate, "policies")]
    for path, policy in [*named, *own]:
        if isinstance(policy, dict) and policy.get("cost") == "zone":
            walk.tell_at((*path, "cost"), "zone", "cost is zone, but the file has no zones", "zones with their costs")


def _buffers_match(walk: Walk, estate: Values) -> None:
    """A buffer that matches no node holds nothing back; one after a buffer for everything is never asked."""
    nodes = estate.get("nodes")
    buffers = estate.get("buffers")
    if not isinstance(nodes, dict) or not buffers:
        return
    covered: int | None = None
    for place, buffer in enumerate(buffers):
        if not isinstance(buffer, dict):
            continue
        pattern, kind = buffer.get("node", "*"), buffer.get("kind")
        if covered is not None:
            problem = f"buffers[{covered}] matches everything before it"
            walk.tell_at(("buffers", place), None, problem, "the buffer for everything at the end")
        elif pattern == "*" and "kind" not in buffer and buffer.get("sku", "*") == "*":
            covered = place
        if pattern is UNKNOWN or kind is UNKNOWN:
            continue
        by_id = [node for name, node in nodes.items() if fnmatchcase(name, pattern)]
        if not by_id:
            problem = f"found {shown(pattern)}, which matches no node"
            hint = did_you_mean(pattern, nodes)
            walk.tell_at(("buffers", place, "node"), pattern, problem, "a pattern that matches the id of a node", hint)
        elif kind and not any(node is UNKNOWN or node.get("kind") in (kind, UNKNOWN) for node in by_id):
            problem = f"no node that matches {shown(pattern)} is a {kind}"
            walk.tell_at(("buffers", place, "kind"), kind, problem, "the kind of a node that the buffer matches")


def _zones_match(walk: Walk, estate: Values) -> None:
    """A zone whose origin is the region of no node is never used."""
    nodes = estate.get("nodes")
    if not isinstance(nodes, dict):
        return
    regions: set[str] = set()
    for node in nodes.values():
        place = node.get("place") if isinstance(node, dict) else None
        region = place.get("region", "") if isinstance(place, dict) else UNKNOWN
        if region is UNKNOWN:
            return
        regions.add(region)
    for number, zone in enumerate(estate.get("zones") or ()):
        origin = zone.get("origin") if isinstance(zone, dict) else None
        if origin and not any(fnmatchcase(region, origin) for region in regions):
            problem = f"found {shown(origin)}, which matches the region of no node"
            hint = did_you_mean(origin, regions)
            walk.tell_at(
                ("zones", number, "origin"),
                origin,
                problem,
                "a pattern that matches the region of a node",
                hint,
            )
