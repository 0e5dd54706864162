"""`interlock estate secrets`: are the secrets of signatures, of others and of ours, in the environment?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from interlock.bootstrap import Settings
from interlock.cli.options import EXIT_BAD, JsonOption, estate_app
from interlock.connectors.transports.webhook_out import secrets_of
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import PeerUnreachable
from interlock.domain.estate import Estate
from interlock.domain.subscriptions import Webhook
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
    signed += [name for name, each in estate.subscriptions.items() if isinstance(each.to, Webhook)]
    mistakes = secret_mistakes(estate, os.environ) + list(_subscription_mistakes(estate))
    if as_json:
        print_json({"file": str(file), "systems": signed, "valid": not mistakes, "mistakes": mistakes})
    else:
        for mistake in mistakes:
            out.print(mistake, markup=False, highlight=False)
        if not mistakes:
            out.print(f"{file}: the secrets of {', '.join(signed) or 'no system'} are there", highlight=False)
    if mistakes:
        raise typer.Exit(EXIT_BAD)


def _subscription_mistakes(estate: Estate) -> Iterator[str]:
    for name, each in estate.subscriptions.items():
        if isinstance(each.to, Webhook):
            try:
                secrets_of(each.to, os.environ)
            except PeerUnreachable as error:
                yield f"{error} (subscriptions.{name}.to.secrets_env)"
