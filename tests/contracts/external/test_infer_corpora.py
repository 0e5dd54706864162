"""Contracts drafted from real files that others wrote: every document passes the draft that was made of it, file by file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock.connectors.formats.document import Document, FormatUnreadable
from interlock.connectors.formats.readers import reader
from interlock.contracts.external.checker import Checker
from interlock.contracts.external.infer import Form, infer
from interlock.contracts.external.read import read_contract
from interlock.domain.links import Format, FormatKind

CORPORA = Path(__file__).parents[3].parent / "shared" / "corpora"
DOCUMENTS_MAX = 2_000


def kind_of(path: Path) -> tuple[FormatKind, Form] | None:
    if path.suffix == ".edi":
        with path.open("rb") as file:
            head = file.read(200).lstrip(b"\xef\xbb\xbf \r\n")
        return ("edifact", "segments") if head.startswith((b"UNA", b"UNB", b"UNH")) else ("x12", "segments")
    found: dict[str, tuple[FormatKind, Form]] = {
        ".json": ("json", "schema"),
        ".xml": ("xml", "schema"),
        ".csv": ("csv", "columns"),
    }
    return found.get(path.suffix)


def documents(path: Path, kind: FormatKind) -> list[Document]:
    found: list[Document] = []
    try:
        with path.open("rb") as file:
            for item in reader(kind)(iter(lambda: file.read(65_536), b""), Format(kind=kind)):
                if isinstance(item, Document):
                    found.append(item)
                if len(found) >= DOCUMENTS_MAX:
                    break
    except FormatUnreadable:
        pass
    return found


def test_every_document_of_a_real_file_passes_the_draft_that_was_made_of_it() -> None:
    if not CORPORA.is_dir():
        pytest.skip("the folder of real files is not beside this checkout")
    drafted, empty = 0, 0
    failed: list[Any] = []
    for path in sorted(CORPORA.rglob("*")):
        wanted = kind_of(path) if path.is_file() else None
        if wanted is None:
            continue
        kind, form = wanted
        found = documents(path, kind)
        if not found:
            empty += 1
            continue
        draft = infer([(each.kind, each.data) for each in found], "drafted", form, by_kind=form == "segments")
        contract, mistakes = read_contract("drafted", draft.contract, CORPORA)
        if contract is None:
            failed.append((path.name, mistakes))
            continue
        drafted += 1
        checker = Checker(contract)
        for each in found:
            checked = checker.check(each.data, kind=each.kind, version="")
            if checked is None or checked.drifts:
                failed.append((path.name, each.place, checked))
    assert failed == []
    assert drafted > empty
