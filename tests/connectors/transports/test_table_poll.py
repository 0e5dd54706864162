"""Tables of other people's databases, on a real PostgreSQL and a real MariaDB."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.transports import table_poll
from interlock.connectors.transports.table_poll import Round, TableSource, TableUnreadable
from interlock.domain.errors import DatabaseUnavailable
from interlock.domain.links import TableIn
from interlock.domain.values import SystemId
from interlock.storage.database import Database
from tests.conformance.carriers import empty_partner_database, estate_with, postgres_url
from tests.connectors.transports.test_api_poll import Door


class Partner:
    """Somebody's database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_postgres = url.startswith("postgresql")
        driver = "postgresql+psycopg" if self.is_postgres else "mariadb+pymysql"
        self.engine = sa.create_engine(sa.make_url(url).set(drivername=driver))

    def run(self, *statements: str) -> None:
        """Each as it stands, and committed."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def quoted(self, name: str) -> str:
        return self.engine.dialect.identifier_preparer.quote_identifier(name)


@pytest.fixture(params=["postgresql", "mariadb"])
def partner(request: pytest.FixtureRequest) -> Iterator[Partner]:
    """Somebody's database of each kind; the PostgreSQL one lies beside our own tables, to save a copy."""
    if request.param == "postgresql":
        found = Partner(postgres_url(request.getfixturevalue("dsn")))
    else:
        url = request.getfixturevalue("mariadb")
        empty_partner_database(url)
        found = Partner(url)
    yield found
    found.engine.dispose()


class Table:
    """A link to a table, and what was taken by it."""

    def __init__(self, db: Database, url: str, **how: Any) -> None:
        usual: dict[str, Any] = {"name": "t", "url_env": "PARTNER", "key": ("id",), "mapping": "adjustments"}
        self.link = TableIn(**(usual | how))
        self.estate = estate_with(self.link)
        self.door = Door()
        self._db, self._url = db, url
        self.stop = threading.Event()

    def source(self) -> TableSource:
        system = self.estate.systems[SystemId("wms")]
        inlet = Links(self.estate, Mapper(self.estate), self.door).inlet(system, self.link)
        return TableSource(inlet, self.link, self._db, environment={"PARTNER": self._url})

    def poll(self) -> Round:
        """One round of a process that begins and ends with it."""
        source = self.source()
        try:
            done = source.poll(self.stop)
        finally:
            source.close()
        assert done is not None
        return done

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.door.arrivals]

    @property
    def keys(self) -> list[str]:
        return self.door.refs


Open = Callable[..., Table]


@pytest.fixture
def table(db: Database, partner: Partner) -> Open:
    """A link to a table of the partner's."""
    return lambda name, **how: Table(db, partner.url, table=name, **how)


ADJUSTMENTS = "create table adj (id int primary key, ref varchar(20), sku varchar(20), delta int)"


def test_rows_come_in_the_order_of_the_key_and_only_once(partner: Partner, table: Open) -> None:
    partner.run(ADJUSTMENTS, "insert into adj values (3,'c','s1',1), (1,'a','s1',1), (2,'b','s1',1)")
    t = table("adj", rows_max=2)
    t.poll()
    assert t.keys == ["1", "2", "3"]

    partner.run("insert into adj values (4,'d','s1',1)")
    t.poll()
    assert t.keys == ["1", "2", "3", "4"]
    assert all(each.command is not None for each in t.door.arrivals)


def test_a_key_of_several_columns_loses_nothing_where_the_first_ones_are_equal(partner: Partner, table: Open) -> None:
    partner.run("create table adj (day varchar(10), store int, n int, primary key (day, store, n))")
    rows = [(f"2026-03-0{day}", store, n) for day in (1, 2) for store in (1, 2) for n in (1, 2, 3)]
    for row in reversed(rows):
        partner.run("insert into adj values ('{}', {}, {})".format(*row))
    t = table("adj", key=("day", "store", "n"), rows_max=2)
    t.poll()

    assert t.keys == [f"{day}/{store}/{n}" for day, store, n in rows]


@pytest.mark.parametrize("by_time", [False, True])
def test_a_transaction_that_commits_late_is_not_lost(partner: Partner, table: Open, by_time: bool) -> None:
    partner.run("create table adj (id int primary key, ref varchar(20), changed timestamp null)")
    t = table("adj", changed="changed" if by_time else "", overlap_s=30.0)
    partner.run("insert into adj values (1, 'a', '2026-03-01 12:00:00')")
    t.poll()
    with partner.engine.connect() as late:
        late.exec_driver_sql("insert into adj values (2, 'late', '2026-03-01 12:00:01')")
        partner.run("insert into adj values (3, 'c', '2026-03-01 12:00:02')")
        t.poll()
        assert t.keys == ["1", "3"]
        late.commit()
    t.poll()
    t.poll()

    assert t.keys == ["1", "3", "2"]


def test_after_the_overlap_old_rows_are_not_read_again(partner: Partner, table: Open) -> None:
    partner.run(ADJUSTMENTS, "insert into adj values (1,'a','s1',1), (2,'b','s1',1)")
    t = table("adj", overlap_s=0.0)
    t.poll()
    t.poll()
    done = t.poll()

    assert (done.rows, t.keys) == (0, ["1", "2"])


def test_a_changed_row_comes_again(partner: Partner, table: Open) -> None:
    partner.run("create table adj (id int primary key, ref varchar(20), changed timestamp null)")
    partner.run("insert into adj values (1, 'a', '2026-03-01 12:00:00'), (2, 'b', '2026-03-01 12:00:01')")
    t = table("adj", changed="changed")
    t.poll()
    partner.run("update adj set ref = 'a2', changed = '2026-03-01 12:05:00' where id = 1")
    t.poll()

    assert [(row["id"], row["ref"]) for row in t.rows] == [(1, "a"), (2, "b"), (1, "a2")]


def test_many_rows_of_one_moment_are_all_read(partner: Partner, table: Open) -> None:
    partner.run("create table adj (id int primary key, changed timestamp null)")
    values = ", ".join(f"({n}, '2026-03-01 12:00:00')" for n in range(1, 26))
    partner.run(f"insert into adj values {values}")
    t = table("adj", changed="changed", rows_max=10)
    t.poll()

    assert t.keys == [str(n) for n in range(1, 26)]


def test_a_view_with_reserved_words_as_names_is_read(partner: Partner, table: Open) -> None:
    q = partner.quoted
    partner.run(
        f"create table {q('order')} ({q('group')} int primary key, {q('select')} varchar(20), {q('weird name')} int)",
        f"insert into {q('order')} values (1, 'x', 7)",
        f"create view {q('table')} as select {q('group')}, {q('select')}, {q('weird name')} from {q('order')}",
    )
    t = table("table", key=("group",), columns=("select", "weird name"))
    t.poll()

    assert t.rows == [{"group": 1, "select": "x", "weird name": 7}]


def test_names_are_names_and_never_statements(partner: Partner, table: Open) -> None:
    partner.run(ADJUSTMENTS)
    with pytest.raises(TableUnreadable, match="no such table or view"):
        table("adj; drop table adj").poll()
    with pytest.raises(TableUnreadable, match="has no column id; drop table adj; it has id, ref, sku, delta"):
        table("adj", key=("id; drop table adj",)).poll()

    assert table("adj").poll().rows == 0


def test_values_of_all_kinds_come_as_json_has_them(partner: Partner, table: Open) -> None:
    kind = (
        {"t": "boolean", "b": "bytea", "j": "jsonb"}
        if partner.is_postgres
        else {"t": "boolean", "b": "blob", "j": "text"}
    )
    partner.run(
        f"create table v (id bigint primary key, price decimal(12,4), at timestamp null, day date, yes {kind['t']},"
        f" data {kind['b']}, doc {kind['j']}, nothing varchar(5), name varchar(20))"
    )
    bytes_ = "'\\x00ff'" if partner.is_postgres else "x'00ff'"
    partner.run(
        f"insert into v values (9007199254740993, 12.3400, '2026-07-01 08:30:00', '2026-07-01', true, {bytes_},"
        " '{\"a\": 1}', null, 'Müller')"
    )
    t = table("v")
    t.poll()

    assert t.rows == [
        {
            "id": 9007199254740993,
            "price": "12.3400",
            "at": "2026-07-01T08:30:00+00:00",
            "day": "2026-07-01",
            "yes": True if partner.is_postgres else 1,
            "data": "00ff",
            "doc": {"a": 1} if partner.is_postgres else '{"a": 1}',
            "nothing": None,
            "name": "Müller",
        }
    ]


def test_a_time_without_a_zone_is_the_systems(partner: Partner, table: Open) -> None:
    partner.run(
        "create table v (id int primary key, at timestamp null)", "insert into v values (1, '2026-07-01 08:30:00')"
    )
    t = table("v")
    wms = t.estate.systems[SystemId("wms")]
    t.estate = msgspec.structs.replace(
        t.estate, systems={**t.estate.systems, wms.id: msgspec.structs.replace(wms, time_zone="America/New_York")}
    )
    t.poll()

    assert t.rows == [{"id": 1, "at": "2026-07-01T08:30:00-04:00"}]


def test_a_key_of_decimals_or_bytes_is_followed(partner: Partner, table: Open) -> None:
    kind = "bytea" if partner.is_postgres else "varbinary(4)"
    partner.run(f"create table v (n decimal(20,2), b {kind}, primary key (n, b))")
    for n in ("1.10", "1.20"):
        for b in ("00", "01"):
            value = f"'\\x{b}'" if partner.is_postgres else f"x'{b}'"
            partner.run(f"insert into v values ({n}, {value})")
    t = table("v", key=("n", "b"), rows_max=1)
    t.poll()

    assert [row["n"] for row in t.rows] == ["1.10", "1.10", "1.20", "1.20"]


def test_nothing_can_be_written_over_there(partner: Partner, table: Open) -> None:
    partner.run(ADJUSTMENTS)
    source = table("adj").source()
    with source._reading() as connection, pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.only"):
        connection.exec_driver_sql("insert into adj values (1, 'a', 's1', 1)")
    source.close()


def test_a_statement_that_takes_too_long_is_given_up(
    partner: Partner, table: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner.run(ADJUSTMENTS)
    limits = {
        "postgresql": ("set local statement_timeout = '200ms'",),
        "mariadb": ("set session max_statement_time = 0.2",),
    }
    monkeypatch.setattr(table_poll, "_LIMITS", limits)
    source = table("adj").source()
    slow = (
        "select pg_sleep(5)"
        if partner.is_postgres
        else "select sleep(5) from adj union select benchmark(1000000000, sha2('x', 512))"
    )
    with pytest.raises(sa.exc.DBAPIError), source._reading() as connection:
        connection.exec_driver_sql(slow)
    source.close()


def test_while_our_database_is_away_the_position_stays(partner: Partner, table: Open) -> None:
    partner.run(ADJUSTMENTS, "insert into adj values (1,'a','s1',1), (2,'b','s1',1), (3,'c','s1',1)")
    t = table("adj", rows_max=2)
    t.door.calls_left = 1
    with pytest.raises(DatabaseUnavailable):
        t.poll()
    assert t.keys == ["1", "2"]

    t.door.calls_left = None
    t.poll()
    assert t.keys == ["1", "2", "3"]


def test_their_database_may_be_away_and_come_back(db: Database, partner: Partner) -> None:
    t = Table(db, sa.make_url(partner.url).set(port=9, query={}, host="127.0.0.1").render_as_string(False), table="adj")
    with pytest.raises(sa.exc.OperationalError):
        t.poll()

    partner.run(ADJUSTMENTS, "insert into adj values (1,'a','s1',1)")
    t._url = partner.url
    t.poll()
    assert t.keys == ["1"]


def test_two_processes_do_not_read_the_same_table(partner: Partner, table: Open) -> None:
    partner.run(ADJUSTMENTS)
    t = table("adj")
    one, other = t.source(), t.source()

    assert one.poll(t.stop) is not None
    assert other.poll(t.stop) is None
    one.close()
    other.close()


def test_the_trail_is_short_however_long_the_table_is_read(partner: Partner, table: Open) -> None:
    partner.run(ADJUSTMENTS)
    t = table("adj", overlap_s=0.0, rows_max=1)
    for n in range(1, 6):
        partner.run(f"insert into adj values ({n},'r{n}','s1',1)")
        t.poll()
    position = {"trail": [["2026-03-01T12:00:00+00:00", [1]], ["2026-03-01T12:01:00+00:00", [2]]], "settled": True}

    assert t.keys == ["1", "2", "3", "4", "5"]
    early = {**position, "began": "2026-03-01T12:00:30+00:00"}
    assert table_poll._start(early, 5.0) == ("2026-03-01T12:00:00+00:00", [1])
    assert table_poll._start({**early, "began": "2026-03-01T12:01:05+00:00"}, 5.0)[1] == [2]
    assert table_poll._start(early, timedelta(minutes=5).total_seconds()) == ("", None)
