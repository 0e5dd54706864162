"""The rules of the house that no linter knows: docstrings, docs, names of places, locks, and hot SQL.

Each rule is a function from text to a list of complaints.
One test holds it to the project, another shows that it bites. No database is needed.
"""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sql_lint import Statement, forbidden_words, keys_without_part, statements, without_part

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "interlock"
STORAGE = SOURCE / "storage"
LINES_MAX = 450

# A table that is small and the same for all parts is a reference table: its keys need no part.
REFERENCE_TABLES = {
    "schema_migrations": "one row per migration",
    "part_lock": "one row per part: the part is all of its key",
    "receivers": "one row per system that we deliver to",
}


def test_every_public_module_class_and_function_has_a_docstring() -> None:
    complaints = [f"{here(p)}: {c}" for p in files(SOURCE, ".py") for c in undocumented(p.read_text())]

    assert complaints == []


def undocumented(source: str) -> list[str]:
    """The public names without a docstring; an override needs none if the file documents the method once."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTION)]
    documented = {node.name for node in functions if ast.get_docstring(node)}
    complaints = [] if ast.get_docstring(tree) else ["the module has no docstring"]
    for name, node in public_names(tree):
        method_told_elsewhere = "." in name and getattr(node, "name", "") in documented
        if not ast.get_docstring(node) and not method_told_elsewhere:
            complaints.append(f"line {node.lineno}: {name} has no docstring")
    return complaints


FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def public_names(
    parent: ast.Module | ast.ClassDef, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Public classes and functions of a module and of its public classes; nested functions are private."""
    for node in parent.body:
        if isinstance(node, (*FUNCTION, ast.ClassDef)) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_names(node, f"{prefix}{node.name}.")


def test_the_docstring_rule_bites_on_modules_classes_functions_and_methods() -> None:
    source = "class Order:\n    def total(self): ...\ndef take(): ...\ndef _helper():\n    def inner(): ..."

    assert undocumented(source) == [
        "the module has no docstring",
        "line 1: Order has no docstring",
        "line 2: Order.total has no docstring",
        "line 3: take has no docstring",
    ]


def test_the_docstring_rule_lets_an_override_rest_on_the_method_that_it_overrides() -> None:
    base = '"""Module."""\nclass A:\n    """A."""\n    def key(self):\n        """Key."""\n'
    source = base + 'class B(A):\n    """B."""\n    def key(self): ...'

    assert undocumented(source) == []


def test_no_python_file_of_the_source_is_longer_than_one_subject() -> None:
    lengths = {here(path): len(path.read_text().splitlines()) for path in files(SOURCE, ".py")}

    assert {path: lines for path, lines in lengths.items() if lines > LINES_MAX} == {}


def test_no_file_names_a_package_registry_or_a_folder_of_somebody_s_machine() -> None:
    complaints = [f"{here(path)}: {c}" for path in files(ROOT) for c in strange_places(text_of(path))]

    assert complaints == []


def strange_places(text: str) -> list[str]:
    """Registry hosts and home or workplace folders in a text, by line.

    The patterns are put together here, so that this file does not hold what it looks for.
    """
    hosts = ["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(?:org|com)", "crates" + r"\.io"]
    folders = ["wo" + "rk", "fa" + "rm", "ro" + "ot", "ho" + "me", "Us" + "ers"]
    pattern = re.compile(rf"\b(?:{'|'.join(hosts)})\b|(?<![\w.~/)}}-])/(?:{'|'.join(folders)})/\w")
    return [
        f"line {number}: {found.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for found in pattern.finditer(line)
    ]


def test_the_rule_of_places_bites_on_registries_and_homes_and_leaves_urls_alone() -> None:
    bad = ["https://" + "py" + "pi.org/simple", "/ho" + "me/pat/orders", "x = '/wo" + "rk/main'"]
    good = ["https://shop.example/ho" + "me/orders", "~/orders", "var/ro" + "ot/x"]

    assert [len(strange_places(line)) for line in [*bad, *good]] == [1, 1, 1, 0, 0, 0]


def test_the_locks_name_every_dependency_with_a_version_and_a_hash_and_no_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["demo"], *extras["dev"]]
    lock = (ROOT / "requirements.lock").read_text()
    data_lock = (ROOT / "requirements-data.lock").read_text()

    assert lock_complaints(lock, wanted) == []
    assert lock_complaints(data_lock, project["dependency-groups"]["data"]) == []


def lock_complaints(lock: str, wanted: list[str]) -> list[str]:
    """What a lock file lacks, and what it must not hold."""
    entries = [entry for entry in re.split(r"\n(?=\S)", lock.strip()) if not entry.startswith("#")]
    complaints = [f"holds an address: {line.strip()}" for line in lock.splitlines() if "://" in line]
    complaints += [f"holds an option: {entry}" for entry in entries if entry.startswith("-")]
    for entry in entries:
        if not re.match(r"[\w.-]+==\S+ ", entry) or "--hash=sha256:" not in entry:
            complaints.append(f"has no version or no hash: {entry.splitlines()[0]}")
    locked = {plain_name(entry) for entry in entries}
    missing = [need for need in wanted if plain_name(need) not in locked]
    return complaints + [f"lacks {need}: run `make lock`" for need in missing]


def plain_name(requirement: str) -> str:
    """The package's name in its one normal spelling."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


def test_the_lock_rule_bites_on_addresses_loose_versions_and_missing_packages() -> None:
    lock = "--index-url https://example.test/simple\nrich>=15\nhttpx==0.28.1 \\\n    --hash=sha256:00\n"

    assert lock_complaints(lock, ["httpx>=0.28", "psycopg[binary]>=3.2"]) == [
        "holds an address: --index-url https://example.test/simple",
        "holds an option: --index-url https://example.test/simple",
        "has no version or no hash: --index-url https://example.test/simple",
        "has no version or no hash: rich>=15",
        "lacks psycopg[binary]>=3.2: run `make lock`",
    ]


def test_hot_sql_stays_in_one_part_and_within_what_a_distributed_postgresql_takes() -> None:
    hot = [path for path in files(STORAGE, ".sql") if path.parent == STORAGE and path.name != "schema.sql"]
    complaints = [
        f"{here(path)}: {statement.name}: {complaint}"
        for path in hot
        for statement in statements(path.read_text())
        for complaint in [*without_part(statement), *forbidden_words(statement)]
    ]

    assert complaints == []


@pytest.mark.parametrize(
    "sql",
    [
        "select * from orders where order_id = 1",
        "select * from stock join lines using (order_id)",
        "update orders set state = 'closed' where order_id = 1",
        "insert into events (order_id, seq) select 1, 2",
        "delete from outbox",
        "select 1 from lines -- part = 1 in a comment does not count",
        "select 1 from lines where note = 'part = 1'",
        "select * from asked, orders where asked.order_id = orders.order_id",
    ],
)
def test_the_part_rule_bites_on_a_statement_over_all_parts(sql: str) -> None:
    assert without_part(Statement("q", sql)) == ["touches the order family without `part = `"]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from orders where part = %(part)s",
        "insert into events (part, order_id) select %(part)s, unnest(%(ids)s)",
        "insert into ledger as known (part, action) select 1, 'a' on conflict do nothing",
        "select 1 from part_lock for update skip locked",
        "-- reads all parts: a person asks by a number that has no part\nselect 1 from orders",
    ],
)
def test_the_part_rule_lets_one_part_and_named_exemptions_pass(sql: str) -> None:
    assert without_part(Statement("q", sql)) == []


def test_an_exemption_from_the_part_rule_must_say_why() -> None:
    assert without_part(Statement("q", "-- reads all parts:\nselect 1 from orders")) != []


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("create trigger t before insert on x", "trigger"),
        ("merge into x using y on true when matched then delete", "merge"),
        ("select pg_advisory_xact_lock(1)", "advisory"),
        ("listen orders", "listen"),
        ("select pg_notify('a', 'b')", "notify"),
        ("create table x (id bigserial)", "serial"),
        ("create table x (id int generated always as identity)", "identity"),
        ("select nextval('s')", "nextval"),
        ("create temporary table x (a int)", "temp table"),
        ("alter table x add constraint y unique (a) deferrable", "deferrable"),
        ("insert into x (a) values (f(1), 2), (3, 4)", "values of several rows"),
        ("update orders o set state = 'x', part = 3 where part = 1", "update of part"),
        ("insert into x (part) select 1 on conflict (part) do update set part = 2", "update of part"),
    ],
)
def test_the_word_rule_bites(sql: str, word: str) -> None:
    assert forbidden_words(Statement("q", sql)) == [f"says what not every PostgreSQL takes: {word}"]


def test_the_word_rule_leaves_harmless_words_alone() -> None:
    sql = "-- no trigger, no merge\ninsert into x (a, merged_at) values (%(a)s, now()) returning 'notify', a"

    assert forbidden_words(Statement("q", sql)) == []


def test_the_word_rule_lets_an_update_read_the_part() -> None:
    sql = "update orders o set state = f(a, part), at = t.at from unnest(1, 2) t where o.part = 1"

    assert forbidden_words(Statement("q", sql)) == []


def test_statements_are_found_by_name_and_split_at_semicolons() -> None:
    text = "-- the file\n\n-- one --\n-- meaning\nselect 1;\n\n-- two --\nselect ';';\nselect 3\n"

    assert [statement.name for statement in statements(text)] == ["one", "two", "two"]


def test_every_key_and_index_of_the_schema_begins_with_part() -> None:
    complaints = [
        f"{here(path)}: {complaint}"
        for path in [*files(STORAGE / "migrations", ".sql"), *STORAGE.glob("schema.sql")]
        for complaint in keys_without_part(path.read_text(), REFERENCE_TABLES)
    ]

    assert complaints == []


@pytest.mark.parametrize(
    ("ddl", "complaint"),
    [
        ("create table a (part smallint, id uuid, primary key (id, part))", "a: primary key (id, part)"),
        ("create table if not exists a (id uuid primary key, n numeric(9, 2))", "a: primary key (id)"),
        ("create table a (part smallint, b text constraint once unique)", "a: unique (b)"),
        ("create table a (part smallint, constraint once unique (b, part))", "a: unique (b, part)"),
        ("create index concurrently on only a using btree (lower(b), part)", "a: index (lower(b), part)"),
        ("create unique index once on public.a (b) where b > 0", "a: index (b)"),
        ("alter table a add constraint a_pk primary key (b)", "a: primary key (b)"),
    ],
)
def test_the_key_rule_bites(ddl: str, complaint: str) -> None:
    assert keys_without_part(ddl, REFERENCE_TABLES) == [f"{complaint} does not begin with part"]


def test_the_key_rule_lets_part_first_and_reference_tables_pass() -> None:
    ddl = """
    create table a (part smallint check (part between 0 and 63), id uuid, -- primary key (id)
                    state text default 'unique (id)', primary key (part, id), unique (part, state));
    create index on a (part, state) include (id);
    create table receivers (receiver text primary key);
    create table a_2026 partition of a for values from ('2026-01-01') to ('2027-01-01');
    """

    assert keys_without_part(ddl, REFERENCE_TABLES) == []


def test_every_action_has_its_heading_in_the_lifecycle_page() -> None:
    page = ROOT / "docs" / "lifecycle.md"
    if not page.exists() or not (SOURCE / "domain" / "commands.py").exists():
        return  # the rule begins with the page

    commands = importlib.import_module("interlock.domain.commands")
    actions = [kind.action for kind in vars(commands).values() if isinstance(getattr(kind, "action", 0), str)]

    assert actions != []
    assert missing_headings(page.read_text(), actions) == []


def missing_headings(page: str, names: list[str]) -> list[str]:
    """The names that no heading of the page holds as a word."""
    headings = " ".join(re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE))
    return [name for name in names if not re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", headings)]


def test_the_heading_rule_bites_on_an_action_that_is_only_mentioned() -> None:
    page = "## `order.create`\nThen order.cancel.\n"

    assert missing_headings(page, ["order.create", "order.cancel"]) == ["order.cancel"]


def test_every_link_in_the_docs_leads_somewhere() -> None:
    complaints = [f"{here(page)}: {c}" for page in doc_pages() for c in dead_links(page)]

    assert complaints == []


def dead_links(page: Path) -> list[str]:
    """The relative links of a Markdown page whose file or heading is not there."""
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(<?([^)\s>]+)", prose):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue  # an outside address
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(f"dead link: {link}")
    return dead


def anchors(page: Path) -> set[str]:
    """The addresses of a page's headings, as forges build them, and its explicit anchors."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*?)\s*$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def test_the_link_rule_bites_on_missing_files_and_headings(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# Ship it: *now*\n")
    page.write_text("[a](other.md#ship-it-now) [b](gone.md) [c](other.md#no) [d](https://shop.example/x) `[e](f.md)`\n")

    assert dead_links(page) == ["dead link: gone.md", "dead link: other.md#no"]


def test_every_sub_command_is_in_the_docs() -> None:
    if not (SOURCE / "cli").exists():
        return  # the rule begins with the command line
    typer = importlib.import_module("typer")
    cli = importlib.import_module("interlock.cli")

    app = next(value for value in vars(cli).values() if isinstance(value, typer.Typer))
    names = [f"interlock {name}" for name in sub_commands(typer.main.get_command(app))]
    docs = " ".join(page.read_text() for page in doc_pages())

    assert [name for name in names if name not in docs] == []


def sub_commands(group: object, prefix: str = "") -> list[str]:
    """The full names of all commands below a group, leaves only, hidden ones left out."""
    children = getattr(group, "commands", {})
    leaves = []
    for name, command in children.items():
        if not command.hidden:
            leaves += sub_commands(command, f"{prefix}{name} ") or [f"{prefix}{name}"]
    return leaves


def test_sub_commands_are_found_through_groups() -> None:
    typer = importlib.import_module("typer")
    app, estate = typer.Typer(), typer.Typer()
    app.command("serve")(lambda: None)
    estate.command("check")(lambda: None)
    estate.command("show")(lambda: None)
    app.add_typer(estate, name="estate")

    assert sorted(sub_commands(typer.main.get_command(app))) == ["estate check", "estate show", "serve"]


def doc_pages() -> list[Path]:
    """Everything that a reader reads: the pages of docs/, and those at the root."""
    return [*files(ROOT / "docs", ".md"), *sorted(ROOT.glob("*.md"))]


def files(folder: Path, suffix: str = "") -> list[Path]:
    """The files below a folder that people wrote, sorted: no caches, no environments, no run-time data."""
    made_by_machines = {"__pycache__", "build", "dist"}
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        hidden = path.name.startswith(".") and path.name not in {".ci", ".gitignore", ".editorconfig"}
        if hidden or path.name in made_by_machines or path.suffix == ".egg-info" or path == ROOT / "var":
            continue
        if path.is_dir():
            found += files(path, suffix)
        elif path.name.endswith(suffix):
            found.append(path)
    return found


def text_of(path: Path) -> str:
    """The file's text, or nothing if it is not text."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def here(path: Path) -> str:
    """The path as a reader of a complaint knows it."""
    return str(path.relative_to(ROOT))
