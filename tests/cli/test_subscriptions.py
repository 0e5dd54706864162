"""`interlock subscriptions` and `interlock events`, as people type them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from interlock.cli import app
from interlock.connectors.publish import Publication
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import InvalidValue
from interlock.storage.database import Database
from tests.connectors.subscribers import ENVIRONMENT, Subscriber, history, webhook
from tests.contracts.tiny_estate import SMALL

ORDERS = [f"shop:{number}" for number in range(4)]


@pytest.fixture
def crm():
    with webhook() as subscriber:
        yield subscriber


@pytest.fixture
def path(crm: Subscriber, tmp_path: Path) -> Path:
    path = tmp_path / "estate.yaml"
    path.write_text(
        f"{SMALL}subscriptions:\n  crm:\n    to: {{kind: webhook, url: '{crm.url}', secrets_env: [CRM_SECRET]}}\n"
        "    start: beginning\n"
    )
    return path


@pytest.fixture
def options(db: Database, path: Path) -> list[str]:
    history(db, ORDERS, 2)
    return ["--estate", str(path), "--database-url", db.dsn]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def told(*words: str) -> object:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def publish(db: Database, path: Path) -> None:
    publication = Publication(db, load_estate(path), environment=ENVIRONMENT)
    publication.run_once(datetime.now(UTC))
    publication.close()


def test_what_is_sent_failing_paused_and_resumed_is_shown(
    db: Database, path: Path, options: list[str], crm: Subscriber
) -> None:
    [before] = told("subscriptions", *options)
    assert before == {"name": "crm", "state": "waiting", "to": crm.url}
    crm.answer = lambda got: (400 if got.webhook_id == "shop:1/1" else 204, {})
    publish(db, path)

    [after] = told("subscriptions", *options)
    shown = told("subscriptions", "show", "crm", *options)
    assert (after["state"], after["sent"], after["behind"], after["dead"]) == ("running", 7, 0, 1)
    assert [letter["event"] for letter in shown["letters"]] == ["shop:1/1"]
    assert "400 Bad Request" in run("subscriptions", "show", "crm", *options).output
    assert "crm" in run("subscriptions", *options).output

    assert told("subscriptions", "pause", "crm", "--why", "they move", *options) == {
        "subscription": "crm",
        "paused": True,
    }
    assert told("subscriptions", *options)[0]["paused_why"] == "they move"
    assert "was paused already" in run("subscriptions", "pause", "crm", *options).output
    assert told("subscriptions", "resume", "crm", *options) == {"subscription": "crm", "resumed": True}


def test_what_is_dead_one_event_or_everything_goes_again(
    db: Database, path: Path, options: list[str], crm: Subscriber
) -> None:
    crm.answer = lambda got: (400 if got.webhook_id == "shop:1/1" else 204, {})
    publish(db, path)
    crm.answer = lambda _: (204, {})

    assert told("subscriptions", "redeliver", "crm", "--dead", *options)["waiting_again"] == 1
    publish(db, path)
    assert crm.ids()[7:] == ["shop:1/1"]
    assert told("subscriptions", "redeliver", "crm", "--event", "shop:2/2", *options)["waiting_again"] == 1
    publish(db, path)
    assert crm.ids()[8:] == ["shop:2/2"]
    assert told("subscriptions", "rewind", "crm", "--to", "beginning", *options) == {"subscription": "crm", "behind": 8}
    publish(db, path)
    assert len(crm.ids()) == 17


def test_mistakes_are_clear(options: list[str]) -> None:
    assert isinstance(run("subscriptions", "show", "crn", *options).exception, InvalidValue)
    assert isinstance(run("subscriptions", "rewind", "crm", "--to", "x", *options).exception, InvalidValue)
    assert isinstance(run("subscriptions", "redeliver", "crm", "--event", "shop:1", *options).exception, InvalidValue)
    assert isinstance(run("subscriptions", "redeliver", "crm", "--event", "shop:1/9", *options).exception, InvalidValue)
    assert run("subscriptions", "redeliver", "crm", *options).exit_code == 2
    assert isinstance(run("events", "--type", "nothing", *options).exception, InvalidValue)


def test_events_are_printed_from_a_token_on(options: list[str]) -> None:
    first = run("events", "--limit", "5", *options)
    token = first.stderr.strip().removeprefix("next: ")
    rest = run("events", "--after", token, "--json", *options)

    assert len(first.stdout.splitlines()) == 5
    assert len(rest.stdout.splitlines()) == 3
    assert json.loads(rest.stdout.splitlines()[0])["specversion"] == "1.0"
    one = run("events", "--order", "shop:3", "--type", "assignment.*", *options)
    assert [line.split()[2] for line in one.stdout.splitlines()] == ["shop:3/1", "shop:3/2"]
    assert run("events", "--after", "now", *options).stdout == ""


def test_secrets_that_are_not_there_are_told_before_anything_is_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRM_SECRET", raising=False)
    missing = run("estate", "secrets", str(path))
    monkeypatch.setenv("CRM_SECRET", ENVIRONMENT["CRM_SECRET"])
    there = run("estate", "secrets", str(path))

    assert (missing.exit_code, there.exit_code) == (1, 0)
    assert "set the environment variable CRM_SECRET (subscriptions.crm.to.secrets_env)" in missing.output
