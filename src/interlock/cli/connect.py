"""`interlock connect`: try a link with a sample file, list the mappings, check those of the estate. Nothing is written, and no
database is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args

import msgspec
import typer

from interlock.bootstrap import Settings
from interlock.cli.options import EXIT_BAD, EstateOption, JsonOption, app
from interlock.connectors.formats.document import FormatUnreadable
from interlock.connectors.formats.tabular import TableUnreadable
from interlock.connectors.links import JSON, Links, mapping_of
from interlock.connectors.mapping import Mapper
from interlock.connectors.recipes import RecipeWrong, settings_of
from interlock.connectors.transports.unpack import Bounds, Content, UnpackRefused, contents
from interlock.connectors.tryout import Tried, TriedField, try_documents, try_rows
from interlock.contracts.estate_file import load_estate
from interlock.contracts.mapping_files import ready_made
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate, System
from interlock.domain.links import Files, FolderIn, Format, FormatKind, LinkIn
from interlock.terminal import err, out, print_json, print_table

SHOWN_MAX: Final = 20

connect_app = typer.Typer(
    help="Wire in a system: try a mapping with a file, list and check mappings.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(connect_app, name="connect")


@connect_app.command("try")
def connect_try(
    system: Annotated[str, typer.Argument(help="The id of a system of the estate.")],
    files: Annotated[list[Path], typer.Argument(help="Files as the system sends them; gz and zip are unpacked.")],
    link: Annotated[str, typer.Option(help="The name of the link, where the system has several.")] = "",
    mapping: Annotated[str, typer.Option(help="A mapping to try instead of the link's.")] = "",
    kind: Annotated[str, typer.Option("--format", help="The kind of format, with --mapping.")] = "",
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the mapping; may be repeated.")] = None,
    context: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE beside the file, such as topic=orders/create.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="How many records to show; 0 for all. All are counted.")
    ] = SHOWN_MAX,
    estate: EstateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each record of a file would become, field by field, and what would be refused. Writes nothing."""
    world = load_estate(Settings.of(estate=estate).estate)
    mapper = Mapper(world)
    links = Links(world, mapper, Nobody())
    sender = system_of(world, system)
    bounds = Bounds(sender.limits.unpacked_bytes_max, sender.limits.unpacked_ratio_max)
    report = _Report(limit, as_json)
    given = pairs_of("setting", setting)
    for file in files:
        chosen = link_of(sender, link, mapping, kind, given, file.name)
        report.begin(file, chosen)
        with file.open("rb") as opened:
            try:
                for content in contents(opened, bounds):
                    beside = {"file": file.name, **({"entry": content.name} if content.name else {})}
                    beside |= pairs_of("context", context)
                    if not content.skipped:
                        report.try_one(content, partial(_tried, links, mapper, sender, chosen, beside))
            except UnpackRefused as wrong:
                report.unreadable(file.name, wrong)
            except RecipeWrong as wrong:
                for sentence in wrong.sentences():
                    err.print(sentence, style="red", markup=False, highlight=False)
                raise typer.Exit(EXIT_BAD) from None
    report.end()
    if report.refused:
        raise typer.Exit(EXIT_BAD)


@connect_app.command("mappings")
def connect_mappings(estate: EstateOption = None, as_json: JsonOption = False) -> None:
    """List the ready-made mappings and those of the estate, with their formats and settings."""
    file = Settings.of(estate=estate).estate
    world = load_estate(file) if file.exists() else None
    names = sorted({*ready_made(), *(world.mappings if world is not None else ())})
    rows = [_told(world, name) for name in names]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["mapping", "formats", "way", "settings", "about"],
        [[row["mapping"], ", ".join(row["formats"]), row["way"], row["shown"], row["about"]] for row in rows],
    )


@connect_app.command("check")
def connect_check(estate: EstateOption = None, as_json: JsonOption = False) -> None:
    """Compile every mapping that a link of the estate uses, and report every mistake."""
    file = Settings.of(estate=estate).estate
    world = load_estate(file)
    mistakes = link_mistakes(world)
    if as_json:
        print_json({"file": str(file), "valid": not mistakes, "mistakes": mistakes})
    else:
        for mistake in mistakes:
            out.print(mistake, markup=False, highlight=False)
        out.print(
            f"{file}: {len(mistakes)} mistakes in mappings" if mistakes else f"{file}: its mappings are valid",
            highlight=False,
        )
    if mistakes:
        raise typer.Exit(EXIT_BAD)


def link_mistakes(estate: Estate) -> list[str]:
    """What is wrong with the mappings that links of the estate use, in sentences."""
    return Links(estate, Mapper(estate), Nobody()).mistakes()


# Choosing


class Nobody:
    """A door that nobody goes through: trying writes nothing."""

    def process(self, arrivals: Sequence[Any]) -> list[Any]:
        """Never asked."""
        raise AssertionError(f"{len(arrivals)} arrivals where nothing is to be written")


def system_of(estate: Estate, system: str) -> System:
    """A system by its id. Raises InvalidValue."""
    for each in estate.systems.values():
        if each.id == system:
            return each
    raise InvalidValue("system", system, f"a system of the estate: {', '.join(estate.systems)}")


def link_of(system: System, name: str, mapping: str, kind: str, settings: dict[str, str], file: str) -> LinkIn:
    """The link that a file would come by, or one made up of what the options say."""
    if mapping or kind:
        found = _named(system, name, file) if name else None
        form = found.format if found is not None and found.format is not None else JSON
        if kind:
            if kind not in get_args(FormatKind):
                raise InvalidValue("--format", kind, f"a format: {', '.join(get_args(FormatKind))}")
            form = form if form.kind == kind else Format(kind=cast(FormatKind, kind))
        mapping = mapping or (found.mapping if found is not None else "")
        if not mapping:
            raise InvalidValue("--mapping", mapping, "the name of a mapping, which --format goes with")
        given = {**(found.settings if found is not None else {}), **settings}
        return FolderIn(path=".", name=name, format=form, mapping=mapping, settings=given)
    found = _named(system, name, file)
    if settings:
        found = msgspec.structs.replace(found, settings={**found.settings, **settings})
    return found


def _named(system: System, name: str, file: str) -> LinkIn:
    """A link by its name; without one the only link, or the only one whose pattern fits the file's name."""
    if not system.inbound:
        raise InvalidValue("system", system.id, "a system with an inbound link (or say --mapping and --format)")
    found = [link for link in system.inbound if not name or link.name == name]
    if len(found) > 1:
        fitting: list[LinkIn] = [each for each in found if isinstance(each, Files) and each.wants(file)]
        found = fitting if len(fitting) == 1 else found
    if len(found) != 1:
        names = ", ".join(link.name or "(without a name)" for link in system.inbound)
        raise InvalidValue("--link", name, f"the name of one link of {system.id}; there are: {names}")
    return found[0]


def pairs_of(option: str, given: list[str] | None) -> dict[str, str]:
    """What an option that may be repeated says, each as NAME=VALUE. Raises InvalidValue."""
    pairs = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not (equals and name):
            raise InvalidValue(f"--{option}", each, "NAME=VALUE")
        pairs[name] = value
    return pairs


def _tried(
    links: Links, mapper: Mapper, system: System, link: LinkIn, context: dict[str, str], blocks: Iterator[bytes]
) -> Iterator[Tried]:
    if not link.mapping and isinstance(link, Files) and link.records is not None:
        return try_rows(mapper, system, link, blocks)
    if not link.mapping:
        raise InvalidValue("--link", link.name, "a link with a mapping")
    try:
        translator = links.translator(system, link)
    except KeyError:
        raise InvalidValue("--mapping", link.mapping, "the name of a mapping; see interlock connect mappings") from None
    return try_documents(translator, links.estate, blocks, context)


def _told(estate: Estate | None, name: str) -> dict[str, Any]:
    """A mapping in a row."""
    own = estate is not None and name in estate.mappings
    raw = mapping_of(estate, name) if estate is not None else mapping_of(cast(Estate, _NoEstate), name)
    formats = raw.get("format", [])
    settings = settings_of(raw)
    return {
        "mapping": name,
        "of": "estate" if own else "ready-made",
        "formats": formats if isinstance(formats, list) else [formats],
        "way": " and ".join(word for word, key in (("in", "records"), ("out", "messages")) if key in raw),
        "settings": settings,
        "shown": ", ".join(
            f"{key} (must be set)" if value is None else f"{key}={value}" for key, value in settings.items()
        ),
        "about": str(raw.get("about", "")),
    }


class _NoEstate:
    """Stands for an estate where there is none: it has no mappings of its own."""

    mappings: Final[dict[str, Any]] = {}


# Showing


class _Report:
    """Prints what was tried, as far as it is to be shown, and counts all of it."""

    def __init__(self, limit: int, as_json: bool) -> None:
        self._limit = limit
        self._as_json = as_json
        self._shown: list[dict[str, Any]] = []
        self._file = ""
        self._count = 0
        self.taken: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()

    def begin(self, file: Path, link: LinkIn) -> None:
        """A new file."""
        self._file = str(file)
        if not self._as_json:
            kind = link.format.kind if link.format is not None else "csv" if isinstance(link, Files) else "json"
            what = f"mapping {link.mapping}" if link.mapping else f"records {getattr(link, 'records', '')}"
            out.print(f"{file} ({kind}, {what})", style="bold", markup=False, highlight=False)

    def try_one(self, content: Content, tries: Callable[[Iterator[bytes]], Iterator[Tried]]) -> None:
        """What becomes of each record of one file."""
        try:
            if content.problem is not None:
                raise content.problem
            self._add(tries(content.blocks()))
        except (FormatUnreadable, TableUnreadable) as wrong:
            self.unreadable(content.name or self._file, wrong)

    def _add(self, all_tried: Iterator[Tried]) -> None:
        for tried in all_tried:
            self.notes.update(tried.notes)
            if tried.state == "taken":
                self.taken[tried.action] += 1
            elif tried.state == "skipped":
                self.skipped[tried.why] += 1
            elif tried.state == "refused":
                self.refused[tried.reason] += 1
            self._show(tried)

    def unreadable(self, name: str, wrong: FormatUnreadable | TableUnreadable) -> None:
        """A file that cannot be read as a whole, or not beyond some place."""
        self.refused[wrong.reason] += 1
        self._show(Tried(place=name, kind="file", state="refused", reason=wrong.reason, why=str(wrong)))

    def end(self) -> None:
        """The counts."""
        counts = {"taken": self.taken, "skipped": self.skipped, "refused": self.refused, "tolerated": self.notes}
        if self._as_json:
            print_json({"records": self._shown, **{name: dict(count) for name, count in counts.items()}})
            return
        if self._limit and self._count > self._limit:
            _line(f"\n{self._count - self._limit} more are counted and not shown; --limit 0 shows all")
        for name, count in counts.items():
            if count or name in ("taken", "refused"):
                each = ", ".join(f"{word} {number}" for word, number in sorted(count.items()))
                _line(
                    f"{'' if name != 'taken' else chr(10)}{name}: {sum(count.values())}{f' ({each})' if each else ''}"
                )

    def _show(self, tried: Tried) -> None:
        self._count += 1
        if self._limit and self._count > self._limit:
            return
        if self._as_json:
            self._shown.append({"file": self._file, **msgspec.to_builtins(tried, builtin_types=(), str_keys=True)})
        else:
            _print(tried)


def _print(tried: Tried) -> None:
    head = f"\n{tried.place}, {tried.kind}: "
    if tried.state == "taken":
        _line(f"{head}{tried.action} {tried.subject}".rstrip(), "green")
    else:
        word = {"skipped": "skipped: ", "refused": "refused: ", "interchange": ""}[tried.state]
        action = f" ({tried.action})" if tried.action else ""
        _line(f"{head}{word}{tried.why or tried.reason}{action}", "red" if tried.state == "refused" else "yellow")
    for each in tried.fields:
        _line(f"  {each.field:<24} {_value(each):<28} {_origin(each)}".rstrip())
    if tried.mark is not None:
        mark = tried.mark
        _line(f"  {'mark':<24} {mark.kind} {mark.number} of {mark.store}/{mark.register} on {mark.business_day}")
    for error in tried.errors:
        _line(f"  {error.field or '(all of it)'}: {error.value or 'nothing'} is not {error.expected}", "red")
    for note in tried.notes:
        _line(f"  tolerated: {note}", "yellow")


def _value(field: TriedField) -> str:
    value = field.value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _origin(field: TriedField) -> str:
    said = f"{field.path} = {field.theirs}" if field.theirs else field.path
    if field.source == "mapping" and not field.path:
        said = "the mapping says so"
    return f"{said}, alias of {field.alias_of}" if field.alias_of else said


def _line(text: str, style: str = "") -> None:
    out.print(text, style=style or None, markup=False, highlight=False)
