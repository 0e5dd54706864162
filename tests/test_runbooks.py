"""Every reason code that the source can raise as an exception has its runbook, and every runbook has its code.

The codes are read out of the source: reasons of `Trouble(...)` and `draft.trouble(...)`, and of the statements that
insert into the exception queue themselves.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.sql_lint import statements

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "interlock"
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ["What it means", "What to look at", "How to mend it", "How to close it"]

# Where a reason is no literal, it can only be one of the named constant's.
BY_CONSTANT = {"refusal.reason": ("UNRECORDED", "SHOWN")}


class ReasonUnreadable(Exception):
    """A trouble's reason is neither a text nor one of a constant that this test knows."""


def test_every_reason_code_of_the_source_has_its_runbook() -> None:
    assert sorted(codes_of_source()) == sorted(page.stem for page in RUNBOOKS.glob("*.md") if page.stem != "README")


def test_the_codes_that_are_known_today_are_found() -> None:
    assert codes_of_source() >= {
        *("conflict", "quarantined", "promise_broken", "negative_stock", "ack_overdue", "delivery_dead"),
        *("over_shipped", "backorder_exhausted", "no_authority", "wrong_source", "unknown_system"),
    }


def test_every_runbook_is_in_the_list_of_runbooks() -> None:
    listed = re.findall(r"\]\(([a-z_]+)\.md\)", (RUNBOOKS / "README.md").read_text())

    assert sorted(set(listed)) == sorted(codes_of_source())


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("[a-z]*.md")), ids=lambda page: page.stem)
def test_a_runbook_is_named_like_its_code_and_has_the_same_sections(page: Path) -> None:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)

    assert headings == [f"`{page.stem}`", *SECTIONS]


def codes_of_source() -> set[str]:
    """Every reason code that can stand in the table of exceptions."""
    codes: set[str] = set()
    for path in sorted(SOURCE.rglob("*.py")):
        codes |= codes_of_python(path.read_text())
    for path in sorted((SOURCE / "storage").glob("*.sql")):
        module = path.with_suffix(".py")
        codes |= codes_of_sql(path.read_text(), module.read_text() if module.exists() else "")
    return codes


def codes_of_python(source: str) -> set[str]:
    """The reasons of the troubles that a module makes. Raises ReasonUnreadable."""
    tree = ast.parse(source)
    codes: set[str] = set()
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        reason = _reason_of(call)
        if reason is None or ast.unparse(reason) == "reason":  # `draft.trouble` hands its argument on
            continue
        written = ast.unparse(reason)
        if isinstance(reason, ast.Constant):
            codes.add(str(reason.value))
        elif written in BY_CONSTANT:
            codes = codes.union(*(texts_of(tree, name) for name in BY_CONSTANT[written]))
        else:
            raise ReasonUnreadable(f"line {call.lineno}: {written}: write it as a text, or teach BY_CONSTANT")
    return codes


def _reason_of(call: ast.Call) -> ast.expr | None:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "trouble":
        return call.args[0]
    if isinstance(call.func, ast.Name) and call.func.id == "Trouble":
        return next(keyword.value for keyword in call.keywords if keyword.arg == "reason")
    return None


def codes_of_sql(sql: str, module: str) -> set[str]:
    """The reasons that statements insert themselves: written there as `'code/'`, or given by `reasons` of the module."""
    codes: set[str] = set()
    for statement in statements(sql):
        if "insert into exceptions" not in statement.sql:
            continue
        codes |= set(re.findall(r"'([a-z_]+)/'", statement.sql))
        if "%(reasons)s" in statement.sql:
            codes |= texts_of(ast.parse(module), "reasons")
    return codes


def texts_of(tree: ast.AST, name: str) -> set[str]:
    """The texts in what is assigned to a name anywhere in a module."""
    assigned = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    ]
    return {
        part.value
        for value in assigned
        for part in ast.walk(value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def test_codes_are_found_in_calls_and_constants() -> None:
    source = """
UNRECORDED = frozenset({"no_key", "no_right"})
SHOWN = frozenset({"early"})
draft.trouble("gone", name, "it is gone")
Trouble(reason="late", what=x, explanation=y)
Trouble(reason=refusal.reason, what=x, explanation=y)
def trouble(self, reason): Trouble(reason=reason, what=x, explanation=y)
"""

    assert codes_of_python(source) == {"gone", "late", "no_key", "no_right", "early"}


def test_a_reason_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ReasonUnreadable, match="word_of"):
        codes_of_python("draft.trouble(word_of(x), name, text)")


def test_codes_are_found_in_sql_and_in_what_its_module_gives_it() -> None:
    sql = """
-- told --
insert into exceptions (part, exception_id) select part, 'too_late/' || order_id from outbox where part = 1;

-- broken --
insert into exceptions (part, exception_id) select part, reason from unnest(%(reasons)s);

-- read --
select 'not_one/' from lines where part = 1;
"""

    assert codes_of_sql(sql, 'reasons = ["broken" if x else "torn" for x in rows]') == {"too_late", "broken", "torn"}
