"""Rules about links and mappings of an estate: whether what comes in can be read, and what goes out written."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

from interlock.contracts.estate_checks import UNKNOWN
from interlock.contracts.estate_contracts import check_contracts, tell_contract
from interlock.contracts.estate_mistakes import Path, did_you_mean, shown
from interlock.contracts.estate_schema import Walk
from interlock.contracts.mapping_files import read_mapping_file, ready_made
from interlock.domain.commands import COMMANDS

Values = dict[str, Any]
_INTERCHANGES = ("x12", "edifact")
_ACKNOWLEDGES = {"997": "x12", "999": "x12", "contrl": "edifact"}


def check_links(walk: Walk, estate: Values, base: pathlib.Path) -> None:
    """Every rule about links; `base` is the directory that relative paths begin at."""
    mappings = estate.get("mappings") or {}
    for name, mapping in mappings.items():
        if isinstance(mapping, dict) and "file" in mapping:
            path = mapping["file"]
            flaws = read_mapping_file(base / path)[1] if isinstance(path, str) else ["it is no path"]
            for flaw in flaws[:5]:
                walk.tell_at(("mappings", name, "file"), path, f"{shown(path)}: {flaw}", "a file with a mapping")
    forms = check_contracts(walk, estate, base)
    for path, link in _links(estate):
        _tell_mapping(walk, path, link, mappings)
        tell_contract(walk, path, link, forms)
        _tell_format(walk, path, link)
    _names_differ(walk, estate)
    _acknowledgments_can_go_out(walk, estate)
    _masters_tell_the_same_orders(walk, estate)


def _links(estate: Values) -> Iterator[tuple[Path, Values]]:
    """Every link that can be looked into, with its place."""
    for system, entry in (estate.get("systems") or {}).items():
        connection = entry.get("connection") if isinstance(entry, dict) else None
        if not isinstance(connection, dict):
            continue
        above: Path = ("systems", system, "connection")
        for place, link in enumerate(connection.get("inbound") or ()):
            if isinstance(link, dict):
                yield (*above, "inbound", place), link
        if isinstance(outbound := connection.get("outbound"), dict):
            yield (*above, "outbound"), outbound


def _tell_mapping(walk: Walk, path: Path, link: Values, mappings: Values) -> None:
    known = {*mappings, *ready_made()}
    mapping = link.get("mapping")
    if isinstance(mapping, str) and mapping not in known:
        problem = f"found {shown(mapping)}, which is no mapping of this file and no ready-made one"
        walk.tell_at((*path, "mapping"), mapping, problem, "the name of a mapping", did_you_mean(mapping, known))
    if "outbound" in path:
        kind = _kind(link)
        if "mapping" not in link and kind not in (None, UNKNOWN, "json", "ndjson"):
            problem = f"nothing says what our messages become in {kind}"
            walk.tell_at((*path, "format"), kind, problem, "json, ndjson, or a mapping beside the format")
        return
    if link.get("kind") not in ("folder", "sftp"):
        return
    if "records" in link and ("mapping" in link or "format" in link):
        other = "mapping" if "mapping" in link else "format"
        walk.tell_at(
            (*path, other), link[other], f"records and {other} are both there", "records, or format and mapping"
        )
    elif "records" not in link and not ("mapping" in link and "format" in link):
        walk.tell_at(path, None, "nothing says what its files hold", "records, or format and mapping")


def _kind(link: Values) -> Any:
    """The kind of a link's format; None where it has none."""
    given = link.get("format")
    return given.get("kind", UNKNOWN) if isinstance(given, dict) else given


def _tell_format(walk: Walk, path: Path, link: Values) -> None:
    given = link.get("format")
    options: Values = given if isinstance(given, dict) else {}
    kind = _kind(link)
    if kind is UNKNOWN:
        return
    if kind == "fixed" and not options.get("layouts"):
        walk.tell_at(
            (*path, "format"), kind, "a fixed-width format without layouts", "layouts: which fields a record has"
        )
    if kind == "csv" and options.get("header") is False and not options.get("columns"):
        walk.tell_at((*path, "format"), kind, "a CSV without a header and without columns", "columns: their names")
    addressed = isinstance(options.get("envelope"), dict)
    if kind in _INTERCHANGES and not addressed and ("outbound" in path or link.get("acknowledge", "none") != "none"):
        walk.tell_at((*path, "format"), kind, f"{kind} is written, but to nobody", "an envelope: ours and theirs")
    for field in ("acknowledge", "acknowledged_by"):
        word = link.get(field, "none")
        wanted = _ACKNOWLEDGES.get(word) if isinstance(word, str) else None
        if wanted is not None and kind != wanted:
            walk.tell_at((*path, field), word, f"{word} acknowledges {wanted}, not {kind or 'our own JSON'}", "none")


def _masters_tell_the_same_orders(walk: Walk, estate: Values) -> None:
    """Two masters number their orders in one scope, or nothing that both tell would ever meet."""
    systems = estate.get("systems") or {}
    for place, pair in enumerate(estate.get("two_masters") or ()):
        if not isinstance(pair, dict) or UNKNOWN in (pair.get("systems") or (UNKNOWN,)):
            continue
        for action in pair.get("actions") or ():
            if action is not UNKNOWN and action not in COMMANDS:
                path: Path = ("two_masters", place, "actions")
                problem = f"found {shown(action)}, which is no action"
                walk.tell_at(path, action, problem, "an action such as order.create", did_you_mean(action, COMMANDS))
        scopes = {name: (systems.get(name) or {}).get("order_scope", name) for name in pair["systems"]}
        if len(set(scopes.values())) > 1 and UNKNOWN not in scopes.values():
            shares = ", ".join(f"{name}: {scope}" for name, scope in scopes.items())
            problem = f"its systems number orders in different scopes ({shares})"
            walk.tell_at(("two_masters", place, "systems"), None, problem, "the same order_scope in each of them")


def _acknowledgments_can_go_out(walk: Walk, estate: Values) -> None:
    """Whoever is acknowledged has to be reached."""
    for system, entry in (estate.get("systems") or {}).items():
        connection = entry.get("connection") if isinstance(entry, dict) else None
        if not isinstance(connection, dict) or isinstance(connection.get("outbound"), dict):
            continue
        for place, link in enumerate(connection.get("inbound") or ()):
            word = link.get("acknowledge", "none") if isinstance(link, dict) else "none"
            if word not in ("none", UNKNOWN):
                path: Path = ("systems", system, "connection", "inbound", place, "acknowledge")
                problem = f"{shown(system)} is acknowledged, and has no outbound connection by which that could go"
                walk.tell_at(path, word, problem, "none, or an outbound connection")


def _names_differ(walk: Walk, estate: Values) -> None:
    """Several links of one system without folders are told apart by their names."""
    for system, entry in (estate.get("systems") or {}).items():
        connection = entry.get("connection") if isinstance(entry, dict) else None
        if not isinstance(connection, dict):
            continue
        seen: set[str] = set()
        for place, link in enumerate(connection.get("inbound") or ()):
            if not isinstance(link, dict) or link.get("name") in (None, UNKNOWN):
                continue
            if link["name"] in seen:
                path: Path = ("systems", system, "connection", "inbound", place, "name")
                walk.tell_at(path, link["name"], f"{shown(link['name'])} is another link's", "a name of its own")
            seen.add(link["name"])
