"""What the commands share: the program, its options, and how it exits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="The order orchestration control plane.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
estate_app = typer.Typer(
    help="The catalog of systems, nodes and channels.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(estate_app, name="estate")

EstateOption = Annotated[Path | None, typer.Option("--estate", help="The estate file. [default: estate.yaml]")]
UrlOption = Annotated[str | None, typer.Option("--database-url", help="An external PostgreSQL instead of our own.")]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Where our own PostgreSQL lives. [default: var]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXIT_BAD = 1
EXIT_USAGE = 2
PORT_WAIT_S = 3.0
