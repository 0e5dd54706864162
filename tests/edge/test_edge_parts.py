"""The parts of the edge by themselves: settings, what an answer means, the gate, whose turn it is, and mending a broken queue."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from interlock.domain.errors import InvalidValue
from interlock.edge.centre import meaning_of
from interlock.edge.folders import FolderWatch
from interlock.edge.forward import Forwarder, Gate
from interlock.edge.queue import New, QueueFull, open_queue
from interlock.edge.salvage import mend
from interlock.edge.settings import EdgeSettings, Folder, Forward, Limits, address_of, load_settings
from interlock.edge.status import again, status

PLAIN: dict[str, Any] = {"name": "S12", "system": "pos", "centre": "https://interlock.example"}
SECRETS = {"INTERLOCK_EDGE_KEY": "key", "LOCAL": "local"}


def settings_of(tmp_path: Path, **more: Any) -> EdgeSettings:
    """The settings of a file that says so."""
    file = tmp_path / "edge.yaml"
    file.write_text(json.dumps(PLAIN | more))
    return load_settings(file, SECRETS)


def test_settings_are_read_with_their_defaults_and_keys(tmp_path: Path) -> None:
    found = settings_of(tmp_path, listen={"host": "0.0.0.0", "key_env": "LOCAL"}, directory="here")

    assert (found.key, found.local_key, found.directory, found.listen.port) == ("key", "local", Path("here"), 8430)
    assert found.forward == Forward()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"centre": "interlock.example"}, "centre: 'interlock.example' is not the http or https address of the centre"),
        ({"name": "a b"}, "name: 'a b' is not a name of letters"),
        (
            {"listen": {"host": "0.0.0.0"}},
            "listen.key_env: '' is not the variable of a key, because 0.0.0.0 is no loopback",
        ),
        ({"key_env": "NOWHERE"}, "key_env: 'NOWHERE' is not an environment variable that holds a key"),
        ({"key": "secret"}, "key: '...' is not in the file"),
        ({"forward": {"in_flight": 0}}, "in_flight: 0 is not above zero"),
        (
            {"folders": [{"path": "x", "post": "/v1/in/other/tills"}]},
            "folders.post: '/v1/in/other/tills' is not an address",
        ),
        ({"centra": "x"}, "Object contains unknown field `centra`"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        settings_of(tmp_path, **more)

    assert told in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/v1/orders", "/v1/orders"),
        ("/v1/bulk", "/v1/bulk"),
        ("/v1/actions/stock.count", "/v1/actions/stock.count"),
        ("/v1/in/pos", "/v1/in/pos"),
        ("/v1/in/pos/tills", "/v1/in/pos/tills"),
        ("/v1/hooks/pos/orders", "/v1/orders"),
        ("/v1/hooks/pos/order.cancel", "/v1/actions/order.cancel"),
        ("/v1/hooks/pos", None),
        ("/v1/in/wms/counts", None),
        ("/v1/in/pos/../../x", None),
        ("/v1/orders\n", None),
        ("/v1/exceptions", None),
    ],
)
def test_the_edge_takes_what_changes_something_and_is_its_system_s(path: str, address: str | None) -> None:
    assert address_of(path, "pos") == address


def headers(**given: str) -> Message:
    """Headers of an answer."""
    found = Message()
    for name, value in given.items():
        found[name.replace("_", "-")] = value
    return found


@pytest.mark.parametrize(
    ("status_code", "content_type", "meaning"),
    [
        (200, "application/json", "taken"),
        (201, "application/json; charset=utf-8", "taken"),
        (202, "application/json", "taken"),
        (200, "text/html", "later"),
        (204, "", "later"),
        (301, "text/html", "later"),
        (400, "application/problem+json", "refused"),
        (403, "application/problem+json", "refused"),
        (403, "text/html", "later"),
        (404, "application/problem+json", "refused"),
        (401, "application/problem+json", "locked"),
        (401, "text/html", "later"),
        (407, "text/html", "later"),
        (408, "application/problem+json", "later"),
        (409, "application/problem+json", "refused"),
        (429, "application/problem+json", "later"),
        (500, "application/problem+json", "failing"),
        (500, "text/html", "later"),
        (503, "application/problem+json", "later"),
    ],
)
def test_only_the_centre_s_own_word_counts(status_code: int, content_type: str, meaning: str) -> None:
    assert meaning_of(status_code, headers(Content_Type=content_type), b"{}").meaning == meaning


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("999999", 3_600.0), ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0), ("soon", None), ("-5", None)],
)
def test_retry_after_is_seconds_or_a_time_and_never_for_ever(text: str, seconds: float | None) -> None:
    answer = meaning_of(429, headers(Content_Type="application/problem+json", Retry_After=text), b"{}")

    assert answer.retry_after_s == seconds


def test_the_gate_doubles_its_wait_counts_those_under_way_once_and_keeps_what_the_centre_asks() -> None:
    gate = Gate(1.0, 8.0)
    waits = []
    now = 0.0
    for _ in range(6):
        gate.shut(now)
        gate.shut(now)
        waits.append(gate.opens_at - now)
        now = gate.opens_at
    for wait, full in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert 0.7 * full <= wait <= full
    gate.shut(now, 60.0)
    assert gate.opens_at == now + 60.0
    gate.open()
    gate.shut(now)
    assert gate.opens_at - now <= 1.0


def new(number: int, stream: str = "till", size: int = 10) -> New:
    """Something to forward."""
    return New(stream, f"k{number:05}", "/v1/orders", "{}", b"x" * size, "2026-03-02T15:00:00+00:00")


def test_live_streams_go_first_and_one_pick_in_four_is_the_backlog_s(tmp_path: Path) -> None:
    settings = EdgeSettings(
        **PLAIN, directory=tmp_path, forward=Forward(in_flight=4, live_depth=2, backlog_per_s=1_000_000.0)
    )
    with open_queue(tmp_path, Limits(free_bytes_min=0)) as queue:
        for number in range(10):
            queue.put(new(number, "old")).result()
        for name in ("a", "b"):
            for number in range(2):
                queue.put(new(100 + number + 10 * ord(name), name)).result()
        now = [0.0]
        forwarder = Forwarder(queue, settings)
        forwarder.read_again()
        picks = []
        for _ in range(8):
            now[0] += 1.0
            picked = forwarder._take(now[0])
            assert picked is not None
            stream, is_backlog = picked
            picks.append((stream.name, is_backlog))
            with forwarder._changed:
                stream.is_busy = False
                forwarder._backlog_calls -= is_backlog

    assert picks == [("old", True), ("a", False), ("b", False), ("a", False)] + [
        ("old", True),
        ("b", False),
        ("a", False),
        ("b", False),
    ]


def test_backlogs_have_at_most_half_of_the_calls_and_their_pace(tmp_path: Path) -> None:
    settings = EdgeSettings(**PLAIN, directory=tmp_path, forward=Forward(in_flight=4, live_depth=2, backlog_per_s=2.0))
    with open_queue(tmp_path, Limits(free_bytes_min=0)) as queue:
        for number in range(40):
            queue.put(new(number, f"old-{number % 4}")).result()
        now = [100.0]
        forwarder = Forwarder(queue, settings)
        forwarder.read_again()
        first, second, third = forwarder._take(now[0]), forwarder._take(now[0]), forwarder._take(now[0])
        assert first is not None
        assert second is not None
        assert third is None  # two calls of four are under way
        with forwarder._changed:
            for picked in (first, second):
                picked[0].is_busy = False
                forwarder._backlog_calls -= 1
        picked_at = []
        for _ in range(400):
            now[0] += 0.01
            if (found := forwarder._take(now[0])) is not None:
                picked_at.append(now[0])
                with forwarder._changed:
                    found[0].is_busy = False
                    forwarder._backlog_calls -= 1
    assert 7 <= len(picked_at) <= 9  # in four seconds


def test_what_is_asked_together_is_committed_together_and_one_that_cannot_be_harms_no_other(tmp_path: Path) -> None:
    with open_queue(tmp_path, Limits(free_bytes_min=0)) as queue:
        held, hold = threading.Event(), threading.Event()

        def wait(_: sqlite3.Connection) -> None:
            held.set()
            hold.wait(5)

        first = queue._ask(wait)
        held.wait(5)
        good = [queue.put(new(number)) for number in range(5)]
        bad = queue._ask(lambda db: db.execute("insert into nowhere values (1)"))
        more = [queue.put(new(number)) for number in range(5, 10)]
        hold.set()
        first.result()

        assert [each.result().place for each in good + more] == list(range(1, 11))
        with pytest.raises(Exception, match="no such table: nowhere"):
            bad.result()
        assert (queue.items, queue.bytes) == (10, 100)
        queue.done([1, 2]).result()
        queue.refused(3, "no").result()
        assert (queue.items, queue.bytes) == (7, 70)
        queue.recount()
        assert (queue.items, queue.bytes) == (7, 70)


def test_who_hangs_up_before_his_turn_is_not_queued_and_holds_up_nobody(tmp_path: Path) -> None:
    with open_queue(tmp_path, Limits(free_bytes_min=0)) as queue:
        told: list[str] = []
        queue.listener = told.append
        held, hold = threading.Event(), threading.Event()

        def wait(_: sqlite3.Connection) -> None:
            held.set()
            hold.wait(5)

        queue._ask(wait)
        held.wait(5)
        gone = queue.put(new(1))
        stays = queue.put(new(2))
        assert gone.cancel()
        hold.set()

        assert stays.result().place == 1
        assert [item.key for item in queue.heads("till", 0, 10, 1_000)] == ["k00002"]
        assert queue.put(new(3)).result().place == 2
    assert told == ["till", "till"]


def test_limits_by_bytes_and_by_the_free_disk_are_told(tmp_path: Path) -> None:
    with open_queue(tmp_path, Limits(queue_bytes_max=1_000, free_bytes_min=0)) as queue:
        queue.put(new(1, size=900)).result()
        with pytest.raises(QueueFull, match="1 items of 900 bytes wait already"):
            queue.put(new(2, size=200)).result()
    with (
        open_queue(tmp_path / "other", Limits(free_bytes_min=1 << 60)) as queue,
        pytest.raises(QueueFull, match="bytes are free on the disk"),
    ):
        queue.put(new(1)).result()


def test_dead_letters_are_shown_and_put_back(tmp_path: Path) -> None:
    with open_queue(tmp_path, Limits(free_bytes_min=0)) as queue:
        for number in range(3):
            queue.put(new(number)).result()
        queue.refused(1, "422: no").result()
        queue.refused(3, "409: other").result()
        path = queue.path

        assert [letter["said"] for letter in status(path)["dead_letters"]] == ["409: other", "422: no"]
        assert (again(path, [1, 99]), again(path, []), again(path, [])) == (1, 1, 0)
        assert (status(path)["waiting"], status(path)["dead"]) == (3, 0)
        assert [item.place for item in queue.heads("till", 0, 10, 1_000)] == [1, 2, 3]


def test_there_is_nothing_to_ask_where_no_queue_is(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="the directory of an edge"):
        status(tmp_path / "queue.db")
    assert list(tmp_path.iterdir()) == []


def broken(tmp_path: Path) -> Path:
    """A queue of 400 items whose middle is overwritten."""
    with open_queue(tmp_path, Limits(free_bytes_min=0)) as queue:
        futures = [queue.put(new(number, size=600)) for number in range(400)]
        for future in futures:
            future.result()
        path = queue.path
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 8192 * 4096
    whole[middle : middle + 8192] = b"\x5a" * 8192
    path.write_bytes(whole)
    return path


def places(path: Path) -> list[int]:
    """What waits in a queue's file."""
    with closing(sqlite3.connect(path)) as db:
        return [place for (place,) in db.execute("select place from items order by place")]


def test_a_whole_queue_is_left_alone(tmp_path: Path) -> None:
    with open_queue(tmp_path, Limits(free_bytes_min=0)) as queue:
        queue.put(new(1)).result()
        path = queue.path

    assert mend(path) is None
    assert places(path) == [1]


def test_of_a_broken_queue_all_that_is_sound_is_saved_from_both_ends(tmp_path: Path) -> None:
    path = broken(tmp_path)
    content = path.read_bytes()
    aside = mend(path)

    assert aside is not None
    assert aside.read_bytes() == content
    saved = places(path)
    assert 350 < len(saved) < 400
    assert (saved[0], saved[-1]) == (1, 400)
    assert mend(path) is None


def test_mending_that_was_killed_halfway_is_done_again(tmp_path: Path) -> None:
    path = broken(tmp_path)
    reference = tmp_path / "reference"
    reference.mkdir()
    shutil.copy(path, reference / "queue.db")
    mend(reference / "queue.db")
    # Killed after the file was put aside, with a half of the new one beside it.
    aside = path.with_name("queue-broken-20260302T150000000000.db")
    path.rename(aside)
    (tmp_path / "queue-new.db").write_bytes(b"half")

    assert mend(path) == aside
    assert places(path) == places(reference / "queue.db")


def test_a_log_that_was_put_aside_before_its_file_goes_back(tmp_path: Path) -> None:
    with open_queue(tmp_path, Limits(free_bytes_min=0)) as queue:
        queue.put(new(1)).result()
        path = queue.path
        log = path.with_name("queue.db-wal")
        kept = log.read_bytes()
        main = path.read_bytes()
    # Killed between the two renames: the newest is in the log alone.
    path.write_bytes(main)
    path.with_name("queue-broken-20260302T150000000000.db-wal").write_bytes(kept)

    mend(path)
    assert places(path) == [1]


def test_a_file_that_was_queued_but_not_moved_when_the_process_died_is_the_same_item(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    settings = EdgeSettings(
        **PLAIN,
        folders=(Folder(path=str(folder), post="/v1/in/pos/tills", stable_s=0.0),),
        limits=Limits(free_bytes_min=0),
    )
    with open_queue(tmp_path / "edge", settings.limits) as queue:
        watch = FolderWatch(settings.folders[0], queue, settings)
        (folder / "a.xml").write_bytes(b"<a/>")
        ((name, placed),) = watch.poll(0.0)
        assert placed is not None
        assert (name, placed.place, placed.standing) == ("a.xml", 1, "new")
        # As the kill left it: claimed, in the queue, not in done.
        (folder / "done" / "a.xml").rename(folder / ".taken" / "0123456789ab~a.xml")
        ((_, again_placed),) = FolderWatch(settings.folders[0], queue, settings).poll(0.0)

        assert again_placed is not None
        assert (again_placed.place, again_placed.standing, queue.items) == (1, "same", 1)
        assert (folder / "done" / "a.xml").exists()


def test_a_marker_file_says_when_a_file_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    settings = EdgeSettings(
        **PLAIN,
        folders=(Folder(path=str(folder), post="/v1/in/pos/tills", done_suffix=".done"),),
        limits=Limits(free_bytes_min=0, body_bytes_max=100),
    )
    with open_queue(tmp_path / "edge", settings.limits) as queue:
        watch = FolderWatch(settings.folders[0], queue, settings)
        (folder / "a.xml").write_bytes(b"<a/>")
        (folder / "big.xml").write_bytes(b"x" * 101)
        (folder / "big.xml.done").touch()
        assert [(name, placed) for name, placed in watch.poll(0.0)] == [("big.xml", None)]
        assert json.loads((folder / "rejected" / "big.xml.result.json").read_text()) == {
            "why": "more than 100 bytes (limits.body_bytes_max)"
        }
        (folder / "a.xml.done").touch()
        assert [name for name, placed in watch.poll(0.0) if placed] == ["a.xml"]
        assert not (folder / "a.xml.done").exists()


def test_a_queue_without_room_leaves_the_file_where_it_can_be_taken_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    settings = EdgeSettings(
        **PLAIN,
        folders=(Folder(path=str(folder), post="/v1/in/pos/tills", stable_s=0.0),),
        limits=Limits(free_bytes_min=0, queue_items_max=1),
    )
    with open_queue(tmp_path / "edge", settings.limits) as queue:
        queue.put(new(1)).result()
        watch = FolderWatch(settings.folders[0], queue, settings)
        (folder / "a.xml").write_bytes(b"<a/>")
        with pytest.raises(QueueFull):
            watch.poll(0.0)
        queue.done([1]).result()

        assert [placed.standing for _, placed in watch.poll(1.0) if placed] == ["new"]
