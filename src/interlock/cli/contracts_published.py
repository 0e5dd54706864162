"""`interlock contracts list | show | check | release | usage`: the contracts that we publish, and how they may change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
import typer

from interlock.bootstrap import Settings, open_database
from interlock.cli.contracts import contracts_app
from interlock.cli.options import EXIT_BAD, DataOption, EstateOption, JsonOption, UrlOption
from interlock.contracts import catalog as catalogs
from interlock.contracts import release as releases
from interlock.contracts.avro import avro_schema
from interlock.contracts.catalog import RELEASED, Contract
from interlock.contracts.generate import MEANINGS
from interlock.contracts.release import Broken, Standing
from interlock.domain.errors import InvalidValue
from interlock.storage import contract_use
from interlock.terminal import out, print_json, print_table, say

ReleasedOption = Annotated[
    Path,
    typer.Option(
        "--released", help="Where the released contracts are. [default: those of the program]", show_default=False
    ),
]
MeaningsOption = Annotated[
    Path,
    typer.Option(
        "--meanings", help="Where the tables of meanings are. [default: those of the program]", show_default=False
    ),
]
OnOption = Annotated[
    str | None,
    typer.Option("--on", help="The day that it is: of the release, and by which sunsets are over. [default: today]"),
]


@contracts_app.command(name="list")
def list_contracts(released: ReleasedOption = RELEASED, as_json: JsonOption = False) -> None:
    """List every contract: its version, by which mode it changes, and what of it is deprecated."""
    known = catalogs.read_catalog(released)
    if as_json:
        print_json(
            [
                {"kind": kind, "name": name, **msgspec.to_builtins(of, str_keys=True)}
                for (kind, name), of in known.items()
            ]
        )
        return
    rows = [
        [f"{kind}/{name}", of.current, of.mode, _released(of), _deprecated(of)] for (kind, name), of in known.items()
    ]
    print_table(["contract", "version", "mode", "released", "deprecated (sunset)"], rows)


@contracts_app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A contract: events/order.created, or order.created where one kind has it.")
    ],
    version: Annotated[int | None, typer.Option("--version", help="Which version. [default: the current one]")] = None,
    as_avro: Annotated[bool, typer.Option("--avro", help="Print an event's schema in Avro.")] = False,
    released: ReleasedOption = RELEASED,
    as_json: JsonOption = False,
) -> None:
    """Show a contract's fields: what each means, and what it is a measure of. With --json, the schema itself."""
    known = catalogs.read_catalog(released)
    kind, name = catalogs.find(known, name)
    number = known[kind, name].current if version is None else version
    if number not in known[kind, name].versions:
        raise catalogs.NoSuchContract(f"there is no version {number} of {kind}/{name}")
    if as_avro:
        if kind != "events":
            raise InvalidValue("--avro", f"{kind}/{name}", "an event's contract")
        print_json(avro_schema(name, number))
        return
    schema = msgspec.json.decode(catalogs.path_of(released, kind, name, number).read_bytes())
    if as_json:
        print_json(schema)
        return
    out.print(
        f"{kind}/{name} version {number}, {known[kind, name].mode}: {schema['description']}\n",
        markup=False,
        highlight=False,
    )
    rows: list[list[object]] = []
    _fields(schema, schema, "", rows, known[kind, name])
    print_table(["field", "", "measures", "means"], rows)


@contracts_app.command()
def check(
    released: ReleasedOption = RELEASED,
    meanings: MeaningsOption = MEANINGS,
    on: OnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the working tree with what was released: every change that breaks a contract, by place, kind and mode.

    Exits with 1 where something breaks, a contract is gone, or a released file was edited.
    """
    found = releases.check(_day(on), released, meanings)
    if as_json:
        print_json(found)
    else:
        _tell(found)
    if any(each.is_wrong for each in found):
        raise typer.Exit(EXIT_BAD)


@contracts_app.command()
def release(
    names: Annotated[list[str] | None, typer.Argument(help="Which contracts. [default: all that changed]")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Write a draft, which may still change.")] = False,
    released: ReleasedOption = RELEASED,
    meanings: MeaningsOption = MEANINGS,
    on: OnOption = None,
) -> None:
    """Write the next version of contracts that changed compatibly, or their draft anew. What would break is refused."""
    day = _day(on)
    standings = releases.check(day, released, meanings)
    chosen = [each for each in standings if each.state in ("new", "compatible", "draft")]
    if names:
        known: dict[Any, Any] = {tuple(each.contract.split("/", 1)): each for each in standings}
        chosen = [known[catalogs.find(known, name)] for name in names]
    else:
        wrong = [each for each in standings if each.is_wrong]
        if wrong:
            _tell(standings)
            raise typer.Exit(EXIT_BAD)
    for each in chosen:
        kind, _, name = each.contract.partition("/")
        number, is_written = releases.release(
            cast(catalogs.Kind, kind), name, day, draft=draft, released=released, meanings=meanings
        )
        words = (
            f"version {number}{' as a draft' if draft else ''}" if is_written else f"is as released: version {number}"
        )
        say(f"{each.contract}: {words}")
    if not chosen:
        say("nothing to release: every contract is as it was released")


@contracts_app.command()
def usage(
    since: Annotated[str | None, typer.Option("--since", help="From this day on. [default: 30 days ago]")] = None,
    deprecated: Annotated[bool, typer.Option("--deprecated", help="Only what is deprecated.")] = False,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who uses which version of our contracts, and which deprecated fields: who must still be told before a sunset."""
    first = _date("since", since) if since else datetime.now(UTC).date() - timedelta(days=30)
    with open_database(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as db:
        rows = db.transaction(lambda tx: contract_use.read_many(tx, first))
    known = catalogs.catalog()
    if deprecated:
        rows = [row for row in rows if row.field or _sunset(known, row)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["system", "contract", "version", "field", "messages", "last (UTC)", "sunset"],
        [
            [
                r.system,
                r.contract,
                r.version,
                r.field,
                r.messages,
                f"{r.last_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
                _sunset(known, r),
            ]
            for r in rows
        ],
    )


def _tell(found: list[Standing]) -> None:
    for each in found:
        if each.state == "released":
            continue
        out.print(f"{each.contract} (version {each.current}, {each.mode}): {each.words}", markup=False, highlight=False)
        for one in each.breaks:
            if one.kind.startswith(releases.COMBINED) and _has_below(one, each.breaks):
                continue  # what is below says it better; --json has both
            out.print(
                f"  {one.pointer or '/'}: {one.kind} ({one.mode}, version {one.against})", markup=False, highlight=False
            )
            out.print(f"    {one.explanation}", markup=False, highlight=False)
            if one.excused:
                out.print(f"    excused: {one.excused}", markup=False, highlight=False)
    wrong = sum(each.is_wrong for each in found)
    same = sum(each.state == "released" for each in found)
    say(f"{len(found)} contracts: {same} as released, {wrong} broken, {len(found) - same - wrong} changed compatibly")


def _has_below(one: Broken, breaks: tuple[Broken, ...]) -> bool:
    return any(
        other is not one and other.against == one.against and other.pointer.startswith(one.pointer) for other in breaks
    )


def _fields(whole: Any, part: Any, path: str, rows: list[list[object]], contract: Contract) -> None:
    for name, said in part.get("properties", {}).items():
        field = f"{path}{name}"
        mark = said.get("x-presence", "")
        dying = contract.deprecated.get(field)
        if dying is not None:
            mark += f", deprecated{f' until {dying.sunset}' if dying.sunset else ''}"
        rows.append([field.replace("/", "."), mark, said.get("x-measures", ""), said.get("description", "")])
        for inner in (said, said.get("items", {}), *said.get("anyOf", ())):
            if "$ref" in inner:
                _fields(whole, whole["$defs"][inner["$ref"].rpartition("/")[2]], f"{field}/", rows, contract)


def _released(contract: Contract) -> str:
    day = contract.versions[contract.current].released if contract.current else None
    return "draft" if day is None else str(day)


def _deprecated(contract: Contract) -> str:
    found = [(f"version {n}", v.deprecated) for n, v in sorted(contract.versions.items()) if v.deprecated]
    found += sorted(contract.deprecated.items())
    return ", ".join(f"{what} ({each.sunset or 'no day'})" for what, each in found)


def _sunset(known: catalogs.Catalog, row: contract_use.UseRow) -> str:
    contract = known.get(cast(Any, tuple(row.contract.split("/", 1))))
    if contract is None:
        return ""
    version = contract.versions.get(row.version)
    found = contract.deprecated.get(row.field) if row.field else version.deprecated if version else None
    return "" if found is None else str(found.sunset or "no day")


def _day(on: str | None) -> date:
    return _date("on", on) if on else datetime.now(UTC).date()


def _date(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(name, text, "a day such as 2026-11-23") from None
