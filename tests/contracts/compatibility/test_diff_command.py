"""`interlock contracts diff`, as people type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from interlock.cli import app

LINE = {"type": "object", "properties": {"sku": {"type": "string"}}, "additionalProperties": False}


def order(**line: Any) -> dict[str, Any]:
    lines = {"type": "array", "items": {**LINE, "properties": {**LINE["properties"], **line}}}
    return {"type": "object", "properties": {"lines": lines}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def diff(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contracts", "diff", *arguments])


def write(name: str, schema: Any) -> str:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(json.dumps(schema))
    return name


def test_a_break_is_named_by_pointer_and_kind_and_exits_with_one(here: Path) -> None:
    old, new = write("a.json", order(qty={"type": "number"})), write("b.json", order(qty={"type": "integer"}))

    result = diff(old, new, "--mode", "BACKWARD")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "backward  #/properties/lines/items/properties/qty  TYPE_NARROWED  number -> integer",
        "          Old data may have a number with a fraction here; a reader with the new schema takes only whole ones.",
        "b.json breaks a.json (BACKWARD): 1 of 1 difference",
    ]


def test_what_may_follow_exits_with_zero(here: Path) -> None:
    old, new = write("a.json", order()), write("b.json", order(qty={"type": "integer"}))

    result = diff(old, new)

    assert (result.exit_code, result.stdout) == (
        0,
        "b.json may follow a.json (BACKWARD): 1 difference, none that breaks\n",
    )


def test_all_shows_the_harmless_ones_too(here: Path) -> None:
    old, new = write("a.json", order()), write("b.json", order(qty={"type": "integer"}))

    result = diff(old, new, "--all")

    assert result.stdout.splitlines()[0] == (
        "backward  #/properties/lines/items/properties/qty  OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL"
        "  (none) -> integer  (harmless)"
    )


def test_json_is_for_tools(here: Path) -> None:
    old, new = write("a.json", order()), write("b.json", order(qty={"type": "integer"}))

    result = diff(old, new, "--mode", "full", "--json")

    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert answer == {
        "mode": "FULL",
        "compatible": False,
        "breaks": [
            {
                "pointer": "/properties/lines/items/properties/qty",
                "kind": "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
                "direction": "forward",
                "keyword": "properties",
                "old": None,
                "new": "integer",
                "explanation": "New data may have this property; a reader with the old schema is closed: it takes no "
                "property that it does not know.",
                "against": "a.json",
            }
        ],
        "differences": 2,
        "against": ["a.json"],
    }
    assert [
        each["compatible"] for each in json.loads(diff(old, new, "--mode", "full", "--json", "--all").stdout)["all"]
    ] == [
        True,
        False,
    ]


def test_a_folder_of_versions_is_asked_from_the_first_to_the_last(here: Path) -> None:
    for number, line in (("1", {"gift": {"type": "boolean"}}), ("2", {}), ("10", {})):
        write(f"old/{number}.json", order(**line))
    new = write("new.json", order(gift={"type": "string"}))

    assert diff("old", new).exit_code == 0
    transitive = diff("old", new, "--mode", "BACKWARD_TRANSITIVE", "--json")
    assert transitive.exit_code == 1
    assert [each["against"] for each in json.loads(transitive.stdout)["breaks"]] == ["old/1.json"]


def test_earlier_versions_can_be_given_one_by_one(here: Path) -> None:
    first = write("v1.json", order(gift={"type": "boolean"}))
    second = write("v2.json", order())
    new = write("v3.json", order(gift={"type": "string"}))

    assert diff(second, new, "--against", first).exit_code == 0
    result = diff(second, new, "--against", first, "--mode", "backward-transitive")
    assert result.exit_code == 1
    assert "TYPE_CHANGED" in result.stdout and "#/properties/lines/items/properties/gift" in result.stdout


def test_none_compares_and_forbids_nothing(here: Path) -> None:
    old, new = write("a.json", {"type": "string"}), write("b.json", {"type": "number"})

    result = diff(old, new, "--mode", "NONE")

    assert (result.exit_code, result.stdout) == (
        0,
        "b.json may follow a.json (NONE): 1 difference, none of them asked about\n",
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"type": "int"}', "bad.json: /type: found 'int'; expected one of array"),
        ('{"$ref": "other.json"}', "bad.json: /$ref: found 'other.json'; expected a reference into this file"),
        ("{", "bad.json: line 1, column 2: found the end of the text; expected JSON"),
        ('{"a": 1, "a": 2}', 'bad.json: /a: found the key "a" twice; expected each key once in an object'),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_bad_input_exits_with_two_and_one_line_for_each_mistake(here: Path, side: int, body: str, said: str) -> None:
    files = [write("good.json", {"type": "string"})]
    Path("bad.json").write_text(body)
    files.insert(side, "bad.json")

    result = diff(*files)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(said)
    assert len(result.stderr.splitlines()) == 1


def test_a_file_that_is_not_there_and_a_mode_that_is_none_exit_with_two(here: Path) -> None:
    good = write("good.json", {})

    missing, mode = diff(good, "gone.json"), diff(good, good, "--mode", "SIDEWAYS")

    assert (missing.exit_code, mode.exit_code) == (2, 2)
    assert missing.stderr == "gone.json: No such file or directory; expected a file with a schema\n"
    assert mode.stderr.startswith("--mode: 'SIDEWAYS' is not one of BACKWARD, ")


def test_the_program_itself_exits_as_its_tests_do(here: Path) -> None:
    old, new = write("a.json", {"type": "string"}), write("b.json", {"type": "number"})

    codes = [
        subprocess.run(
            [sys.executable, "-m", "interlock.cli", "contracts", "diff", *files], capture_output=True
        ).returncode
        for files in ((old, old), (old, new), (old, "gone.json"))
    ]

    assert codes == [0, 1, 2]
