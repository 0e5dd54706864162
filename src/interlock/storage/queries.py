"""Named queries: the `.sql` file beside a module, with its statements as attributes.

q = queries(__file__)                     # ledger.py -> ledger.sql
rows = tx.query(q.open_many, keys=Texts(keys))
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from interlock.domain.errors import StorageError


class QueryFileError(StorageError):
    """A `.sql` file, or a query that a module asks of it, is not there or not clear."""


class Query(str):
    """One statement of a `.sql` file, with its name and the sentences that say what it means.

    `raw` is the statement as PostgreSQL takes it, with $1, $2 ... for the parameters `names`: worked out once, because the
    driver would do it for each execution of a long statement.
    """

    name: str
    meaning: str
    raw: bytes
    names: tuple[str, ...]

    def __new__(cls, name: str, meaning: str, text: str) -> Self:
        self = super().__new__(cls, text)
        self.name, self.meaning = name, meaning
        numbers: dict[str, int] = {}
        raw = _PARAMETER.sub(lambda match: f"${numbers.setdefault(match.group(1), len(numbers) + 1)}", text)
        self.raw, self.names = (raw.replace("%%", "%") if numbers else raw).encode(), tuple(numbers)
        return self


class Queries:
    """The statements of one `.sql` file, as attributes by name."""

    def __init__(self, path: Path, by_name: Mapping[str, Query]) -> None:
        self._path, self._by_name = path, dict(by_name)

    def __getattr__(self, name: str) -> Query:
        try:
            return self._by_name[name]
        except KeyError:
            raise QueryFileError(_unknown_query(self._path, name, self._by_name)) from None

    def __iter__(self) -> Iterator[Query]:
        return iter(self._by_name.values())


def queries(module_file: str) -> Queries:
    """Load the `.sql` file beside a module: `q = queries(__file__)`.

    A block is `-- name --`, comment lines with its meaning, and the statement, with parameters as `%(name)s`.
    In a statement with parameters a percent sign is written %%. Comments do not travel to the server.
    Raises QueryFileError if the file is missing or unclear, and if the module uses a name that the file does
    not have, so that a misspelt query stops the import instead of the first order.
    """
    module = Path(module_file)
    path = module.with_suffix(".sql")
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise QueryFileError(f"cannot read {path}: {error.strerror}; it must lie beside {module.name}") from error
    found = Queries(path, _parse_queries(path, text))
    if module.suffix == ".py" and module.exists():
        source = module.read_text("utf-8")
        for variable in re.findall(r"^(\w+)(?:: *[\w.]+)? = queries\(__file__\)", source, re.MULTILINE):
            for name in re.findall(rf"\b{variable}\.([a-z]\w*)", source):
                getattr(found, name)
    return found


_PARAMETER: Final = re.compile(r"%\((\w+)\)[sbt]")
_NAME_LINE: Final = re.compile(r"^-- *(\w+) *-- *$", re.MULTILINE)
# Quoted text first, so that dashes inside of it are not taken for a comment.
_QUOTED_OR_COMMENT: Final = re.compile(r"('(?:[^']|'')*'|\"[^\"]*\"|\$(\w*)\$.*?\$\2\$)|--[^\n]*", re.DOTALL)


def _parse_queries(path: Path, text: str) -> dict[str, Query]:
    found: dict[str, Query] = {}
    _, *parts = _NAME_LINE.split(text)
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        if name in found:
            raise QueryFileError(f"{path}: the query {name!r} is there twice; names must be unique")
        meaning: list[str] = []
        for line in block.strip().splitlines():
            if not line.startswith("--"):
                break
            meaning.append(line.removeprefix("--").strip())
        statement = _QUOTED_OR_COMMENT.sub(lambda match: match.group(1) or "", block)
        statement = "\n".join(line.rstrip() for line in statement.splitlines() if line.strip()).rstrip("; \n")
        if not statement:
            raise QueryFileError(f"{path}: the query {name!r} has no statement")
        found[name] = Query(name, " ".join(meaning), statement)
    if not found:
        raise QueryFileError(f"{path}: no query found; expected blocks that begin with a line '-- name --'")
    return found


def _unknown_query(path: Path, name: str, known: Mapping[str, Query]) -> str:
    return f"{path} has no query {name!r}; it has {', '.join(sorted(known))}"
