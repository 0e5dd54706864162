"""`interlock contracts infer`, `test` and `drift`: what partners send. Only `drift` needs a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args

import msgspec
import typer

from interlock.bootstrap import Settings, open_app
from interlock.cli.connect import Nobody, link_of, pairs_of, system_of
from interlock.cli.contracts import contracts_app
from interlock.cli.options import EXIT_BAD, DataOption, EstateOption, JsonOption, UrlOption
from interlock.connectors.formats.document import Document, Flaw, FormatUnreadable, Item
from interlock.connectors.formats.readers import reader
from interlock.connectors.links import JSON, Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.unpack import Bounds, UnpackRefused, contents
from interlock.connectors.tryout_contract import Tested, tested_documents
from interlock.contracts.estate_file import load_estate
from interlock.contracts.external.checker import Checker
from interlock.contracts.external.infer import Form, infer
from interlock.contracts.external.read import read_contract
from interlock.contracts.external.write import as_yaml
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Limits
from interlock.domain.links import Format, FormatKind
from interlock.operations.drift import drift_report
from interlock.storage.drift import DriftSeen
from interlock.terminal import err, out, print_json, print_table

_FORMS: Final[dict[str, Form]] = {"csv": "columns", "x12": "segments", "edifact": "segments"}
_BY_KIND: Final = ("x12", "edifact", "poslog", "gs1", "ubl", "idoc_xml", "idoc_flat")
_ENDINGS: Final[dict[str, FormatKind]] = {
    ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv", ".tsv": "csv", ".xml": "xml",
    ".x12": "x12", ".edi": "x12", ".edifact": "edifact",
}  # fmt: skip
SHOWN_MAX: Final = 20

Samples = Annotated[list[Path], typer.Argument(help="Files as the system sends them; gz and zip are unpacked.")]


@contracts_app.command("infer")
def contracts_infer(
    samples: Samples,
    link: Annotated[
        str, typer.Option(help="SYSTEM/NAME: samples of this link of the estate, read by its format.")
    ] = "",
    kind: Annotated[str, typer.Option("--format", help="The kind of format, where it is of no link.")] = "",
    name: Annotated[str, typer.Option(help="What the contract is called.")] = "drafted",
    version: Annotated[str, typer.Option(help="What its version is called.")] = "1",
    target: Annotated[Path | None, typer.Option("--out", help="A file for the draft, instead of the output.")] = None,
    estate: EstateOption = None,
) -> None:
    """Draft a contract from samples of what a system sends, for you to finish: as YAML for the estate."""
    form = _format(link, kind, samples, estate)
    wrong: list[str] = []

    def documents() -> Iterator[tuple[str, Any]]:
        for item in _items(samples, form, wrong):
            yield item.kind, item.data

    try:
        draft = infer(documents(), name, _form(form), by_kind=form.kind in _BY_KIND, version=version)
    except ValueError as error:
        raise InvalidValue("samples", ", ".join(map(str, samples))[:200], f"documents to draft from: {error}") from None
    except RecursionError:
        raise InvalidValue("samples", "", "documents that are not nested too deeply") from None
    contract, mistakes = read_contract(name, draft.contract, Path())
    if contract is None:
        raise InvalidValue("samples", mistakes[0][0], f"what a contract can say: {mistakes[0][1]}")
    checker = Checker(contract)
    differing = sum(
        bool(found and found.drifts) for found in (checker.check(d, kind=k, version="") for k, d in documents())
    )
    unread = len(wrong) // 2  # each was met twice
    head = [
        f"Drafted from {draft.samples} {'sample' if draft.samples == 1 else 'samples'} of {form.kind}"
        + (f"; {unread} could not be read" if unread else "")
        + (f"; {differing} of them do not pass it" if differing else "; all of them pass it"),
        *(f"? {note}" for note in draft.notes),
    ]
    text = as_yaml(draft.contract, head)
    if target is not None:
        target.write_text(text, "utf-8")
        for line in head:
            err.print(line, markup=False, highlight=False)
    else:
        typer.echo(text, nl=False)
    for each in wrong[:unread][:SHOWN_MAX]:
        err.print(each, style="red", markup=False, highlight=False)
    if unread:
        raise typer.Exit(EXIT_BAD)


@contracts_app.command("test")
def contracts_test(
    system: Annotated[str, typer.Argument(help="The id of a system of the estate.")],
    samples: Samples,
    link: Annotated[str, typer.Option(help="The name of the link, where the system has several.")] = "",
    context: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE beside the samples, such as topic=orders/create or headers.x-api-version=2."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on drift that is only warned of, too.")] = False,
    estate: EstateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run recorded samples through a link's contract and mapping: exit with 1 if anything would be quarantined."""
    world = load_estate(Settings.of(estate=estate).estate)
    sender = system_of(world, system)
    links = Links(world, Mapper(world), Nobody())
    beside = _beside(context)
    tested: list[Tested] = []
    for file in samples:
        chosen = link_of(sender, link, "", "", {}, file.name)
        if not chosen.mapping:
            raise InvalidValue("--link", chosen.name, "a link with a mapping")
        translator = links.translator(sender, chosen)
        if translator.contracted is None and not as_json:
            err.print(
                f"{system}: its link {chosen.name or chosen.mapping} names no contract; only the mapping is tried"
            )
        for entry, blocks in _opened(file, Bounds(sender.limits.unpacked_bytes_max, sender.limits.unpacked_ratio_max)):
            around = {"file": file.name, **({"entry": entry} if entry else {}), **beside}
            tested += tested_documents(translator, file.name, blocks, around)
    bad = [each for each in tested if each.verdict == "quarantine" or (strict and each.verdict == "warn")]
    if as_json:
        print_json({"samples": len(tested), "bad": len(bad), "results": [msgspec.to_builtins(each) for each in tested]})
    else:
        for each in tested:
            _print(each)
        counts = ", ".join(f"{len([each for each in tested if each.verdict == word])} {word}" for word in _WORDS)
        _line(f"{len(tested)} samples: {counts}")
    if bad or not tested:
        raise typer.Exit(EXIT_BAD)


@contracts_app.command("drift")
def contracts_drift(
    system: Annotated[str | None, typer.Option(help="Only of this system.")] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="How many days back messages are counted.")] = 7,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what systems send that their contracts do not say: how much of it, since when, and an example."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        report = drift_report(interlock.db, interlock.estate, system, days=days, now=datetime.now(UTC))
    if as_json:
        print_json(msgspec.to_builtins(report))
        return
    if not report.totals and not report.drift:
        _line("Nothing that came in was held against a contract.")
        return
    print_table(
        ["system", "contract", "version", "checked", "with a warning", "quarantined"],
        [[each.system, each.contract, each.version, each.checked, each.warned, each.held] for each in report.totals],
    )
    if not report.drift:
        _line("No drift.")
        return

    def of(seen: DriftSeen) -> str:
        return f"{seen.system}: {seen.contract}"

    for title, some in groupby(report.drift, of):
        _line(f"\n{title}")
        print_table(
            [
                "version",
                "drift",
                "at",
                "messages",
                "share",
                "first seen (UTC)",
                "last seen (UTC)",
                "expected",
                "found",
                "example",
            ],
            [
                [each.version, each.kind, each.path, each.messages, _share(each.messages, report.checked(each))]
                + [f"{each.first_at:%Y-%m-%d %H:%M}", f"{each.last_at:%Y-%m-%d %H:%M}", each.expected, each.found]
                + [each.message_id or ""]
                for each in some
            ],
        )


_COLUMNS: Final = [
    *("version", "drift", "at", "messages", "share", "first seen (UTC)", "last seen (UTC)", "expected", "found"),
    "example",
]
_WORDS: Final = ("ok", "warn", "quarantine")


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _share(messages: int, checked: int) -> str:
    return f"{messages / checked:.1%}" if checked else ""


def _print(tested: Tested) -> None:
    style = {"ok": "green", "warn": "yellow", "quarantine": "red"}[tested.verdict]
    version = f" [{tested.contract}]" if tested.contract else ""
    head = f"{tested.file}, {tested.place}: {tested.verdict}{version}"
    out.print(head, style=style, markup=False, highlight=False, soft_wrap=True)
    for drift in tested.drift:
        _line(f"    {drift.kind} {drift.path or '(the whole)'}: expected {drift.expected}, found {drift.found}")
    for each in tested.becomes:
        _line(f"    -> {each}")
    for mistake in tested.mistakes:
        _line(f"    {mistake}")


# What to read


def _format(link: str, kind: str, samples: list[Path], estate: Path | None) -> Format:
    """The format of the samples: that of a link, the one that was said, or what the first file's name says."""
    if link:
        system, slash, name = link.partition("/")
        world = load_estate(Settings.of(estate=estate).estate)
        chosen = link_of(system_of(world, system), name if slash else "", "", "", {}, samples[0].name)
        if chosen.format is None and getattr(chosen, "records", None):
            raise InvalidValue("--link", link, "a link with a format; say --format csv for plain rows")
        return chosen.format or JSON
    endings = [each for each in samples[0].suffixes if each.lower() not in (".gz", ".zip")]
    found = kind or (_ENDINGS.get(endings[-1].lower(), "") if endings else "")
    if found not in get_args(FormatKind):
        raise InvalidValue("--format", kind or samples[0].name, f"a format: {', '.join(get_args(FormatKind))}")
    if found == "fixed":
        raise InvalidValue(
            "--format", kind, "--link with a link of the estate: fixed width cannot be read without its layouts"
        )
    is_tabs = found == "csv" and bool(endings) and endings[-1].lower() == ".tsv"
    return Format(kind=cast(FormatKind, found), delimiter="\t" if is_tabs else ",")


def _form(form: Format) -> Form:
    # Records of fixed width may hold lists of details: those are trees.
    if form.kind == "fixed" and any(layout.within for layout in form.layouts):
        return "schema"
    return "columns" if form.kind == "fixed" else _FORMS.get(form.kind, "schema")


def _items(samples: list[Path], form: Format, wrong: list[str]) -> Iterator[Document]:
    """Every document of the samples; what cannot be read is told in `wrong`."""
    read: Callable[[Iterator[bytes], Format], Iterator[Item]] = reader(form.kind)
    for file in samples:
        for entry, blocks in _opened(file, Bounds(Limits().unpacked_bytes_max, Limits().unpacked_ratio_max)):
            name = f"{file.name}: {entry}" if entry else file.name
            try:
                for item in read(blocks, form):
                    if isinstance(item, Document):
                        yield item
                    elif isinstance(item, Flaw):
                        wrong.append(f"{name}, {item.place}: {item.field}: {item.value!r} is not {item.expected}")
            except FormatUnreadable as error:
                wrong.append(f"{name}: {error}")


def _opened(file: Path, bounds: Bounds) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files in a file, unpacked. Raises OSError and InvalidValue."""
    with file.open("rb") as opened:
        try:
            for content in contents(opened, bounds):
                if content.problem is not None:
                    raise InvalidValue("samples", file.name, f"a file that can be unpacked: {content.problem}")
                if not content.skipped:
                    yield content.name, content.blocks()
        except UnpackRefused as refused:
            raise InvalidValue("samples", file.name, f"a file that can be unpacked: {refused}") from None


def _beside(context: list[str] | None) -> dict[str, Any]:
    """What is said beside the samples; `headers.NAME` is a header."""
    beside: dict[str, Any] = {}
    for name, value in pairs_of("context", context).items():
        above, point, below = name.partition(".")
        if point:
            beside.setdefault(above, {})[below] = value
        else:
            beside[name] = value
    return beside
