"""`interlock contracts diff`: does one JSON Schema break those that it follows? Other sub-commands stand in `contracts_*.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from interlock.cli.options import EXIT_BAD, EXIT_USAGE, JsonOption, app
from interlock.contracts.compatibility import Difference, Mode, Schema, differences
from interlock.contracts.schema_files import load_schema, load_versions
from interlock.domain.errors import SchemaInvalid
from interlock.terminal import err, out

contracts_app = typer.Typer(
    help="Contracts: what messages look like, and how they may change.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(contracts_app, name="contracts")

_VALUE_MAX = 60


@contracts_app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(help="The old schema, JSON or YAML, or a folder of versions.", metavar="A")],
    new: Annotated[Path, typer.Argument(help="The new schema.", metavar="B")],
    mode: Annotated[str, typer.Option(help=f"Who must read whose data: {', '.join(Mode)}.")] = Mode.BACKWARD,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="A version before A, for the transitive modes; oldest first, may be repeated."),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Print the harmless differences as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two JSON Schemas: exit with 0 where B may follow A in this mode, 1 where it breaks it, 2 for bad input."""
    try:
        asked = _mode(mode)
        versions, schema = load_versions([*(against or []), old]), load_schema(new)
        found = _differences(versions, schema, asked)
    except SchemaInvalid as invalid:
        for mistake in invalid.mistakes:
            err.print(mistake, style="red", markup=False, highlight=False)
        raise typer.Exit(EXIT_USAGE) from None
    broken = [] if asked is Mode.NONE else [each for each in found if not each.compatible]
    if as_json:
        print_answer(asked, broken, found, show_all, versions)
    else:
        shown = [each for each in found if show_all or (broken and not each.compatible)]
        for each in shown:
            _print(each, several=len({one.against for one in shown}) > 1)
        out.print(_verdict(asked, broken, found, old, new), markup=False, highlight=False)
    if broken:
        raise typer.Exit(EXIT_BAD)


def print_answer(
    mode: Mode, broken: list[Difference], found: list[Difference], show_all: bool, versions: list[Schema]
) -> None:
    """The answer as one JSON object; all differences only where they were asked for."""
    answer: dict[str, Any] = {
        "mode": mode.value,
        "compatible": not broken,
        "breaks": [told(each) for each in broken],
        "differences": len(found),
        "against": [each.name for each in versions],
    }
    if show_all:
        answer["all"] = [{**told(each), "compatible": each.compatible} for each in found]
    sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")


def told(difference: Difference) -> dict[str, Any]:
    """A difference as programs read it."""
    return {
        "pointer": difference.pointer,
        "kind": difference.kind,
        "direction": difference.direction,
        "keyword": difference.keyword,
        "old": difference.old,
        "new": difference.new,
        "explanation": difference.explanation,
        "against": difference.against,
    }


def _differences(versions: list[Schema], schema: Schema, mode: Mode) -> list[Difference]:
    """What differs for each question that the mode asks; for NONE, as a reader with the new schema sees it."""
    return [
        each
        for version in (versions if mode.transitive else versions[-1:])
        for direction in mode.directions or ("backward",)
        for each in differences(version, schema, direction)
    ]


def _mode(text: str) -> Mode:
    try:
        return Mode(text.strip().upper().replace("-", "_"))
    except ValueError:
        raise SchemaInvalid([f"--mode: {text!r} is not one of {', '.join(Mode)}"]) from None


def _print(each: Difference, several: bool) -> None:
    harmless = "  (harmless)" if each.compatible else ""
    values = f"  {_value(each.old)} -> {_value(each.new)}"
    against = f"  [{each.against}]" if several else ""
    out.print(
        f"{each.direction:<8}  #{each.pointer}  {each.kind}{values}{harmless}{against}", markup=False, highlight=False
    )
    out.print(f"          {each.explanation}", markup=False, highlight=False)


def _value(value: object) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_MAX else f"{text[: _VALUE_MAX - 3]}..."


def _verdict(mode: Mode, broken: list[Difference], found: list[Difference], old: Path, new: Path) -> str:
    of = f"{len(found)} difference{'' if len(found) == 1 else 's'}"
    if mode is Mode.NONE:
        return f"{new} may follow {old} ({mode}): {of}, none of them asked about"
    if not broken:
        return f"{new} may follow {old} ({mode}): {of}, none that breaks"
    return f"{new} breaks {old} ({mode}): {len(broken)} of {of}"
