"""`interlock estate secrets`: are the secrets of signatures in the environment, as `interlock serve` will want them?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from interlock.bootstrap import Settings
from interlock.cli.options import EXIT_BAD, JsonOption, estate_app
from interlock.contracts.estate_file import load_estate
from interlock.terminal import out, print_json
from interlock.web.signatures import secret_mistakes


@estate_app.command("secrets")
def estate_secrets(
    path: Annotated[Path | None, typer.Argument(help="The estate file. [default: estate.yaml]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that the environment has the secrets of the estate's signatures; prints none of them."""
    file = Settings.of(estate=path).estate
    estate = load_estate(file)
    signed = [str(system.id) for system in estate.systems.values() if system.signature]
    mistakes = secret_mistakes(estate, os.environ)
    if as_json:
        print_json({"file": str(file), "systems": signed, "valid": not mistakes, "mistakes": mistakes})
    else:
        for mistake in mistakes:
            out.print(mistake, markup=False, highlight=False)
        if not mistakes:
            out.print(f"{file}: the secrets of {', '.join(signed) or 'no system'} are there", highlight=False)
    if mistakes:
        raise typer.Exit(EXIT_BAD)
