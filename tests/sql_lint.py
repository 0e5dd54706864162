"""Lints for our SQL: hot statements stay in one part, keys begin with it, nothing shuts out a sharded store.

They read text, not a grammar: comments and strings are blanked, the rest is matched.
`test_house.py` holds the project to them and shows that each one bites.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

# The tables whose rows live where their order lives.
ORDER_FAMILY = [
    *("orders", "lines", "reservations", "assignments", "shipments", "shipment_lines", "packages"),
    *("payments", "returns", "return_lines", "refunds", "events"),
    *("ledger", "files", "messages", "request_keys", "outbox"),
]
TOUCHES_ORDER_FAMILY = (
    r"(?:\b(?:from|join|into|update|using)\s+(?:only\s+)?|\bfrom\s[\w.\s]+,\s+)"  # also `from asked, orders`
    rf"(?:\w+\.)?(?:{'|'.join(ORDER_FAMILY)})\b(?!\s*\.)"
)

# What is refused, or means something else, on a distributed PostgreSQL.
FORBIDDEN = {
    "trigger": r"\btriggers?\b",
    "merge": r"\bmerge\b",
    "advisory": r"advisory",
    "listen": r"\b(un)?listen\b",
    "notify": r"\b(pg_)?notify\b",
    "serial": r"\b(small|big)?serial\b",
    "identity": r"\bidentity\b",
    "nextval": r"\bnextval\b",
    "temp table": r"\btemp(orary)?\s+table\b",
    "deferrable": r"\bdeferrable\b",
    "update of part": r"\bupdate\b[^;]*?\bset\b(?:(?:(?!\bwhere\b|\bfrom\b).)*?,)?\s*part\s*=",
}


class Statement(NamedTuple):
    """One statement of a `.sql` file, with its comments, under the name of its block."""

    name: str
    sql: str


def statements(text: str) -> list[Statement]:
    """All statements of a file of `-- name --` blocks, in order; what stands before the first is prose."""
    _, *named = re.split(r"^-- (\w+) --[ \t]*$", text, flags=re.MULTILINE)
    found = []
    for name, block in zip(named[::2], named[1::2], strict=True):
        plain, start = code_only(block), 0
        for end in [*(match.start() for match in re.finditer(";", plain)), len(plain)]:
            if plain[start:end].strip():
                found.append(Statement(name, block[start:end]))
            start = end + 1
    return found


def without_part(statement: Statement) -> list[str]:
    """A complaint if the statement touches the order family and says neither `part = ` nor inserts a part.

    A comment line of the statement, `-- reads all parts: <why>`, exempts it.
    """
    code = code_only(statement.sql)
    is_exempt = re.search(r"^\s*-- reads all parts: \S", statement.sql, flags=re.MULTILINE)
    if is_exempt or not re.search(TOUCHES_ORDER_FAMILY, code):
        return []
    compares = re.search(r"(?<!\bset )\bpart\s*=[^=>]", code)
    inserts = re.search(r"\binsert\s+into\s+[\w.]+(\s+as\s+\w+)?\s*\([^)]*\bpart\b", code)
    return [] if compares or inserts else ["touches the order family without `part = `"]


def forbidden_words(statement: Statement) -> list[str]:
    """A complaint for each thing the statement says that not every PostgreSQL takes."""
    code = code_only(statement.sql)
    found = [word for word, pattern in FORBIDDEN.items() if re.search(pattern, code, flags=re.DOTALL)]
    for values in re.finditer(r"\bvalues\s*(?=\()", code):
        after = values.end() + len(bracketed(code, values.end())) + 2
        if re.match(r"\s*,\s*\(", code[after:]):
            found.append("values of several rows")
    return [f"says what not every PostgreSQL takes: {word}" for word in found]


def keys_without_part(ddl: str, reference_tables: Collection[str]) -> list[str]:
    """The primary keys, unique keys and indexes that do not begin with part, reference tables left out."""
    return [
        f"{table}: {kind} ({columns}) does not begin with part"
        for table, kind, columns in declared_keys(code_only(ddl))
        if table not in reference_tables and not re.match(r"part\s*(,|$)", columns)
    ]


def declared_keys(code: str) -> Iterator[tuple[str, str, str]]:
    """Table, kind and columns of every key that the statements declare."""
    table = r"\btable\s+(?:if\s+not\s+exists\s+)?([\w.]+)\s*(?=\()"
    for start in re.finditer(rf"\bcreate\s+(?:\w+\s+)*?{table}", code):
        for definition in split_list(bracketed(code, start.end())):
            yield from keys_of_definition(bare_name(start[1]), definition)
    for start in re.finditer(r"\balter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?([\w.]+)\s+([^;]*)", code):
        for action in split_list(start[2]):
            added = re.match(r"add\s+(?:column\s+)?(?:if\s+not\s+exists\s+)?(.*)", action, flags=re.DOTALL)
            if added:
                yield from keys_of_definition(bare_name(start[1]), added[1])
    index = r"\bindex\s[^;(]*?\bon\s+(?:only\s+)?([\w.]+)\s*(?:using\s+\w+\s*)?(?=\()"
    for start in re.finditer(rf"\bcreate\s+(?:unique\s+)?{index}", code):
        yield bare_name(start[1]), "index", tidy(bracketed(code, start.end()))


def keys_of_definition(table: str, definition: str) -> Iterator[tuple[str, str, str]]:
    """The key of one column or table constraint, if it is one."""
    key = r"\b(primary\s+key|unique)\b(?:\s+nulls\s+(?:not\s+)?distinct)?\s*(?=(\()?)"
    found = re.search(key, definition)
    if not found:
        return
    kind = tidy(found[1])
    if found[2]:
        yield table, kind, tidy(bracketed(definition, found.end()))
    elif not re.search(r"\busing\s+index\b", definition):
        yield table, kind, definition.split()[0]


def code_only(sql: str) -> str:
    """The SQL in lower case with comments and strings blanked: same length, so that positions still fit."""
    pattern = r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|(\$\w*\$).*?\1"
    return re.sub(pattern, lambda found: " " * len(found.group()), sql, flags=re.DOTALL).lower()


def bracketed(code: str, start: int) -> str:
    """What stands between the bracket at `start` and the one that closes it."""
    depth = 0
    for place in range(start, len(code)):
        depth += {"(": 1, ")": -1}.get(code[place], 0)
        if depth == 0:
            return code[start + 1 : place]
    return code[start + 1 :]


def split_list(code: str) -> list[str]:
    """The members of a comma-separated list; commas inside brackets do not count."""
    members, depth = [""], 0
    for letter in code:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            members.append("")
        else:
            members[-1] += letter
    return [member.strip() for member in members if member.strip()]


def bare_name(name: str) -> str:
    """A table's name without its schema."""
    return name.rpartition(".")[2]


def tidy(code: str) -> str:
    """The code on one line with single spaces."""
    return " ".join(code.split())
