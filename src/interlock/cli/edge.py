"""`interlock edge run | status | again`: the store-and-forward process of a store or a warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interlock.cli.options import JsonOption, app
from interlock.edge.process import run as run_edge
from interlock.edge.settings import load_settings
from interlock.edge.status import again as put_back
from interlock.edge.status import status as read_status
from interlock.terminal import err, out, print_json, print_rows

edge_app = typer.Typer(
    help="Take what a store's systems send, and forward it when the centre can be reached.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(edge_app, name="edge")

ConfigOption = Annotated[Path, typer.Option("--config", help="The edge's settings.")]
DirOption = Annotated[Path | None, typer.Option("--dir", help="The edge's directory, instead of its settings.")]


@edge_app.command("run")
def run(config: ConfigOption = Path("edge.yaml")) -> None:
    """Take and forward until told to stop."""
    settings = load_settings(config)
    run_edge(
        settings,
        lambda server: err.print(
            f"interlock edge {settings.name} listens on http://{server.host}:{server.port}", highlight=False
        ),
    )


@edge_app.command("status")
def status(config: ConfigOption = Path("edge.yaml"), directory: DirOption = None, as_json: JsonOption = False) -> None:
    """Show how much waits, since when, what the centre said last, and the dead letters; the edge need not run."""
    found = read_status(_queue(config, directory))
    if as_json:
        print_json(found)
        return
    plain = {name: value for name, value in found.items() if name not in ("streams", "dead_letters")}
    print_rows("edge", [{"what": name, "is": value} for name, value in plain.items() if value is not None])
    print_rows("streams", [{"stream": name, "waiting": count} for name, count in found["streams"].items()])
    print_rows("dead letters", found["dead_letters"])


@edge_app.command("again")
def again(
    places: Annotated[list[int] | None, typer.Argument(help="Places of dead letters. [default: all]")] = None,
    config: ConfigOption = Path("edge.yaml"),
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try dead letters again, once their cause is mended."""
    changed = put_back(_queue(config, directory), places or [])
    if as_json:
        print_json({"waiting_again": changed})
    else:
        out.print(f"{changed} wait again", highlight=False)


def _queue(config: Path, directory: Path | None) -> Path:
    if directory is not None:
        return directory / "queue.db"
    return load_settings(config, with_secrets=False).queue_path
