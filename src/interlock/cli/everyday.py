"""The everyday commands: serve, work, demo, init, estate, migrate, ingest, trace, status, audit, bench."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from interlock.bootstrap import Settings, open_app, open_database, steady_memory
from interlock.cli.connect import link_mistakes
from interlock.cli.options import (
    EXIT_BAD,
    EXIT_USAGE,
    PORT_WAIT_S,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    app,
    estate_app,
)
from interlock.cli.processes import helpers, stop_with_starter
from interlock.contracts.estate_file import check_estate, load_estate, starter
from interlock.contracts.estate_map import as_mermaid, as_svg, estate_rows
from interlock.domain.errors import InvalidValue, PeerUnreachable
from interlock.operations.audit import audit as run_audit
from interlock.storage import database, views
from interlock.storage.status import status as read_status
from interlock.terminal import err, lag, out, print_json, print_rows, print_table, say
from interlock.web.api import create_app
from interlock.web.server import WebServer

# Running


@app.command()
def serve(
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen.")] = 8420,
    processes: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
    workers: Annotated[int, typer.Option(help="Threads that work on what was accepted and on what time causes.")] = 1,
    batch_threads: Annotated[int, typer.Option(help="Threads that process what callers wait for.")] = 3,
    folders: Annotated[bool, typer.Option(help="Poll the drop folders.")] = True,
    delivery: Annotated[bool, typer.Option(help="Deliver the outbox.")] = True,
    joins: Annotated[bool, typer.Option("--joins", hidden=True, help="Share the port of who started us.")] = False,
) -> None:
    """Serve the API, work, poll the drop folders and deliver, until told to stop. Any number of these may run."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        if not joins:
            _check_free(host, port)
        server = WebServer(
            create_app(
                interlock.db, interlock.estate, interlock.door, batch_threads=batch_threads, links=interlock.links
            ),
            host,
            port,
        )
        steady_memory()
        with (
            helpers(0 if joins else processes - 1),
            interlock.services(workers=workers, folders=folders, delivery=delivery),
        ):
            if joins:
                threading.Thread(target=stop_with_starter, args=(server,), daemon=True).start()
            else:
                err.print(f"interlock serves {interlock.estate.retailer} on http://{host}:{port}", highlight=False)
            server.run()


@app.command()
def work(
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    workers: Annotated[int, typer.Option(help="Threads that work.")] = 1,
    folders: Annotated[bool, typer.Option(help="Poll the drop folders.")] = False,
    delivery: Annotated[bool, typer.Option(help="Deliver the outbox.")] = True,
) -> None:
    """Work on what was accepted, deliver, and serve nobody; any number of these share the work of one database."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        steady_memory()
        told = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        with interlock.services(workers=workers, folders=folders, delivery=delivery):
            err.print(f"interlock works for {interlock.estate.retailer}", highlight=False)
            told.wait()


@app.command()
def demo(
    everything: Annotated[bool, typer.Option("--all", help="The whole year instead of a fortnight.")] = False,
    orders: Annotated[int | None, typer.Option(help="So many made-up orders instead of the real baskets.")] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Where the demo's files and database live.")] = Path(
        "var/demo"
    ),
    keep: Annotated[bool, typer.Option(help="Refuse to remove what an earlier demo left.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Replay real baskets through the whole way, against a simulated legacy estate; then audit everything."""
    from interlock.demo.run import run_demo  # the data reader is heavy, and only the demo wants it

    outcome = run_demo(directory, everything=everything, orders=orders, keep=keep, console=err)
    if as_json:
        found = [{"name": f.name, "holds": f.holds, "rows": f.count, "seconds": f.seconds} for f in outcome.findings]
        print_json({**outcome.summary, "audit": found})
    else:
        outcome.show(out)
    if not outcome.green:
        raise typer.Exit(EXIT_BAD)


@app.command()
def bench(
    orders: Annotated[int, typer.Option(help="Orders of the engine's measure; the others are scaled to it.")] = 24_000,
    workers: Annotated[int, typer.Option(help="Engine processes.")] = 2,
    files: Annotated[bool, typer.Option(help="Measure files of each format as well.")] = True,
    only_files: Annotated[bool, typer.Option("--only-files", help="Measure nothing but files.")] = False,
    megabytes: Annotated[float, typer.Option(min=0.1, max=500, help="The size of each file.")] = 8.0,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure orders per second against the bare floor of the same PostgreSQL, and files against a bare parser."""
    from interlock.bench import files as file_bench  # starts processes; nobody else needs it
    from interlock.bench import print_report
    from interlock.bench import run as run_bench

    if files or only_files:
        measured = file_bench.run(mb=megabytes, tell=err.print if not as_json else lambda _: None)
        if as_json:
            sys.stdout.write(measured.as_json().decode() + "\n")
        else:
            file_bench.print_files(measured, out)
        if only_files:
            return
    settings = Settings.of(database_url=database_url)
    report = run_bench(
        data_dir=data_dir, database_url=settings.database_url, orders=orders, workers=workers, json=as_json
    )
    if as_json:
        sys.stdout.write(report.as_json().decode() + "\n")
    else:
        print_report(report, out)


@app.command()
def migrate(database_url: UrlOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:
    """Bring the database up to this program. Every other command does so when it starts."""
    settings = Settings.of(database_url=database_url, data_dir=data_dir)
    with open_database(settings, migrated=False) as db:
        applied = database.migrate(db)
    if as_json:
        print_json({"applied": applied})
    else:
        out.print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


@app.command()
def ingest(
    system: Annotated[str | None, typer.Argument(help="The system whose files these are.")] = None,
    files: Annotated[list[Path] | None, typer.Argument(help="Files to drop into its folder first.")] = None,
    link: Annotated[
        str | None,
        typer.Option("--link", "--records", help="Which link, where the system has several: name, records or mapping."),
    ] = None,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in what lies in the drop folders and on SSH servers, once; with files, drop copies of them first."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        folders = interlock.folders if system is None else [interlock.folder(system, link)]
        for file in files or []:
            folder = folders[0]
            folder.path.mkdir(parents=True, exist_ok=True)
            half = folder.path / f".{file.name}.part"
            shutil.copyfile(file, half)
            half.rename(folder.path / file.name)
        results, troubles = [], dict[str, str]()
        # A file counts as whole when it has not changed for a while: look more than once.
        for look in range(3):
            if look:
                threading.Event().wait(max((folder.folder.stable_s for folder in folders), default=0.0) + 0.1)
            for folder in folders:
                try:
                    results += folder.poll(datetime.now(UTC))
                except PeerUnreachable as error:  # one server that is away does not hold up the other folders
                    troubles[str(folder.path)] = str(error)
        for folder in folders:
            folder.close()
    for trouble in troubles.values():
        err.print(f"interlock: {trouble}", style="red", markup=False, highlight=False)
    rows = [msgspec.to_builtins(result) for result in results]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ["file", "state", "rows", "rejected", "records", "outcomes", "why"],
            [
                [
                    row["file"],
                    row["state"],
                    row.get("rows", 0),
                    row.get("rows_rejected", 0),
                    row.get("records", 0),
                    ", ".join(f"{count} {word}" for word, count in row.get("outcomes", {}).items()),
                    row.get("explanation") or row.get("duplicate_of") or "",
                ]
                for row in rows
            ],
        )
    if troubles or any(row["state"] in ("partial", "rejected", "failed") for row in rows):
        raise typer.Exit(EXIT_BAD)


# Looking


@app.command()
def trace(
    identifier: Annotated[str, typer.Argument(help="Any id: order, source, warehouse reference, tracking number …")],
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell an order's whole story in time order, from the source to the doorstep."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        steps = views.story(interlock.db, interlock.estate, identifier)
    if not steps:
        err.print(f"interlock: nothing is known of {identifier!r}", style="red", markup=False, highlight=False)
        raise typer.Exit(EXIT_BAD)
    if as_json:
        print_json(steps)
        return
    rows = [msgspec.to_builtins(step) for step in steps]
    print_table(
        ["time (UTC)", "lag", "order", "from", "what", "ids"],
        [
            [
                str(row["at"])[:23].replace("T", " "),
                lag(row.get("lag_s")),
                row.get("subject", ""),
                row.get("source", ""),
                row.get("words", ""),
                " ".join(f"{name}={value}" for name, value in (row.get("ids") or {}).items()),
            ]
            for row in rows
        ],
    )


@app.command()
def status(
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is in hand: orders by state, messages by outcome, receivers, open exceptions."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        summary = read_status(interlock.db)
    if as_json:
        print_json(summary)
        return
    for title, rows in summary.items():
        print_rows(title, rows)


@app.command()
def audit(
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    rows: Annotated[int, typer.Option(help="Offending rows to show for each statement.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Prove that what must always be true is true; exits with 1 and the offending rows if it is not."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        findings = run_audit(
            interlock.db,
            estate=interlock.estate,
            now=datetime.now(UTC),
            rows_max=rows,
            progress=None if as_json else say,
        )
    if as_json:
        print_json(findings)
    else:
        print_table(
            ["statement", "holds", "offending", "seconds"],
            [[f.name, "yes" if f.holds else "NO", f.count, f"{f.seconds:.2f}"] for f in findings],
        )
        for finding in findings:
            for row in finding.rows:
                out.print(f"{finding.name}: {row}", style="red", markup=False)
    if not all(finding.holds for finding in findings):
        raise typer.Exit(EXIT_BAD)


# The estate


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("estate.yaml"),
    force: Annotated[bool, typer.Option(help="Overwrite what is there.")] = False,
) -> None:
    """Write a commented starter estate."""
    if path.exists() and not force:
        err.print(f"interlock: {path} exists already; --force overwrites it", style="red", highlight=False)
        raise typer.Exit(EXIT_USAGE)
    path.write_text(starter(), encoding="utf-8")
    out.print(f"wrote {path}; look it over, then: interlock estate check {path}", highlight=False)


@estate_app.command("check")
def estate_check(
    path: Annotated[Path | None, typer.Argument(help="The estate file. [default: estate.yaml]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the estate file and report every mistake in one go."""
    file = Settings.of(estate=path).estate
    mistakes = check_estate(file)
    # Only what an estate without mistakes says can be looked into further: whether its mappings make sense.
    in_mappings = [] if mistakes else link_mistakes(load_estate(file))
    if as_json:
        of_mappings = [{"file": str(file), "problem": each} for each in in_mappings]
        print_json({"file": str(file), "valid": not (mistakes or in_mappings), "mistakes": [*mistakes, *of_mappings]})
    else:
        for mistake in [*mistakes, *in_mappings]:
            out.print(str(mistake), markup=False, highlight=False)
        count = len(mistakes) + len(in_mappings)
        out.print(f"{file}: {count} mistakes" if count else f"{file}: valid", highlight=False)
    if mistakes or in_mappings:
        raise typer.Exit(EXIT_BAD)


@estate_app.command("show")
def estate_show(
    path: Annotated[Path | None, typer.Argument(help="The estate file. [default: estate.yaml]")] = None,
    graph: Annotated[Path | None, typer.Option(help="Write the system map there: .svg or .mmd (Mermaid).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the estate as tables; with --graph, write the system map."""
    estate = load_estate(Settings.of(estate=path).estate)
    if graph is not None:
        kinds: dict[str, Callable[[Any], str]] = {".svg": as_svg, ".mmd": as_mermaid, ".md": as_mermaid}
        draw = kinds.get(graph.suffix)
        if draw is None:
            err.print(f"interlock: --graph {graph}: expected a name ending in .svg or .mmd", style="red")
            raise typer.Exit(EXIT_USAGE)
        graph.write_text(draw(estate), encoding="utf-8")
        err.print(f"wrote {graph}", highlight=False)
        return
    tables = estate_rows(estate)
    if as_json:
        print_json(tables)
        return
    for title, rows in tables.items():
        print_rows(title, rows)


# Helping


def _check_free(host: str, port: int) -> None:
    """The server would share a port with another one, and each would get some of the requests: not here.

    Waits a little: the helpers of a server that was killed notice it and end.
    """
    for last in (False,) * 10 + (True,):
        try:
            with socket.create_server((host, port), reuse_port=False):
                return
        except OSError as error:
            if last:
                raise InvalidValue(
                    "port", port, f"a port of {host} that is free ({error.strerror or error})"
                ) from error
            time.sleep(PORT_WAIT_S / 10)
