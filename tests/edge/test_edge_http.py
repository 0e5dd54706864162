"""The edge over real sockets: it answers at once, forwards in order and once, and keeps what the centre will not take."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

import pytest

from tests.edge.conftest import KEY, OK, PROBLEM, Answer, Edge, FakeCentre, free_port, until

MakeEdge = Callable[..., Edge]
AWAY = f"http://127.0.0.1:{free_port()}"


def test_the_edge_needs_neither_postgresql_nor_the_engine() -> None:
    program = (
        "import sys, interlock.edge.process, interlock.edge.__main__;"
        "print([m for m in sys.modules if m.startswith(('psycopg', 'interlock.engine', 'interlock.storage', 'interlock.web',"
        " 'interlock.bootstrap', 'lxml', 'sqlalchemy'))])"
    )

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_what_is_posted_reaches_the_centre_with_its_key_and_headers(make_edge: MakeEdge, centre: FakeCentre) -> None:
    edge = make_edge(centre.url).start()

    answer = edge.http.post(
        "/v1/in/webshop/tills?day=2026-03-02",
        content=b"<POSLog/>",
        headers={"Content-Type": "application/xml", "Idempotency-Key": '"tx-1"', "X-Topic": "sale", "Cookie": "a=b"},
    )

    assert (answer.status_code, answer.headers["idempotency-key"]) == (202, "tx-1")
    assert answer.json() == {"outcome": "queued", "message_id": "tx-1", "place": 1, "waiting": 1, "replayed": False}
    until(lambda: centre.came, "nothing came")
    key, path, body, headers = centre.came[0]
    assert (key, path, body) == ("tx-1", "/v1/in/webshop/tills?day=2026-03-02", b"<POSLog/>")
    assert (headers["content-type"], headers["x-topic"]) == ("application/xml", "sale")
    assert (headers["authorization"], headers.get("cookie")) == (f"Bearer {KEY}", None)
    assert headers["interlock-edge"].startswith("store-12; waiting=0; queued=")
    until(lambda: edge.status()["waiting"] == 0, "it is still there")


def test_it_answers_in_milliseconds_while_the_centre_is_away(make_edge: MakeEdge) -> None:
    edge = make_edge(AWAY).start()
    took = []
    for number in range(200):
        began = time.perf_counter()
        assert edge.post("/v1/actions/stock.count", {"n": number}).status_code == 202
        took.append(time.perf_counter() - began)

    print(
        f"\nanswered in {1000 * quantiles(took, n=100)[49]:.1f} ms, 99 of 100 in {1000 * quantiles(took, n=100)[98]:.1f} ms"
    )
    assert quantiles(took, n=100)[49] < 0.05
    status = edge.status()
    assert (status["waiting"], status["dead"]) == (200, 0)
    until(lambda: "no answer: ConnectionRefusedError" in (edge.status()["last_error"] or ""), "it does not say why")


def test_everything_goes_on_in_order_when_the_centre_is_back(make_edge: MakeEdge, centre: FakeCentre) -> None:
    port = centre.port
    centre.stop()
    edge = make_edge(centre.url).start()
    for number in range(60):
        edge.post("/v1/orders", {"n": number}, key=f"{number % 3}-{number}", stream=f"till-{number % 3}")
    back = FakeCentre(port)
    try:
        until(lambda: len(set(back.keys)) == 60, "not everything came")
        for till in "012":
            mine = [int(key.partition("-")[2]) for key in back.keys if key.startswith(till)]
            assert mine == sorted(mine) == list(range(int(till), 60, 3))
    finally:
        back.stop()


def test_a_hook_is_answered_for_with_the_edge_s_own_key(make_edge: MakeEdge, centre: FakeCentre) -> None:
    edge = make_edge(centre.url).start()
    edge.post("/v1/hooks/webshop/orders", {}, stream="a")
    edge.post("/v1/hooks/webshop/order.cancel", {}, stream="a")

    until(lambda: len(centre.came) == 2, "they did not come")
    assert [path for _, path, _, _ in centre.came] == ["/v1/orders", "/v1/actions/order.cancel"]


@pytest.mark.parametrize("path", ["/v1/in/other/tills", "/v1/hooks/other/orders", "/v1/exceptions/close", "/v1/x"])
def test_what_the_edge_does_not_take_is_told_at_once(make_edge: MakeEdge, centre: FakeCentre, path: str) -> None:
    edge = make_edge(centre.url).start()

    answer = edge.post(path, {})

    assert (answer.status_code, answer.json()["reason"]) == (404, "not_found")
    assert edge.status()["waiting"] == 0


def test_the_same_key_is_the_same_item_and_another_body_under_it_is_a_conflict(make_edge: MakeEdge) -> None:
    edge = make_edge(AWAY).start()
    first, again = edge.post("/v1/orders", {"n": 1}, key="k"), edge.post("/v1/orders", {"n": 1}, key="k")
    other = edge.post("/v1/orders", {"n": 2}, key="k")

    assert [(a.status_code, a.json().get("place"), a.json().get("replayed")) for a in (first, again)] == [
        (202, 1, False),
        (202, 1, True),
    ]
    assert (other.status_code, other.json()["reason"], edge.status()["waiting"]) == (409, "conflict", 1)


def test_a_key_is_made_where_none_is_given(make_edge: MakeEdge, centre: FakeCentre) -> None:
    edge = make_edge(centre.url).start()
    made = edge.post("/v1/orders", {}).json()["message_id"]

    until(lambda: centre.keys == [made], "it did not come under its key")
    assert made.startswith("edge-store-12-")


def test_without_the_local_key_nothing_is_taken_or_told(make_edge: MakeEdge) -> None:
    edge = make_edge(AWAY).start()
    edge.http.headers.pop("Authorization")

    assert edge.post("/v1/orders", {}).status_code == 401
    assert edge.http.get("/status").status_code == 401
    assert edge.http.post("/v1/orders", content=b"{}", headers={"X-API-Key": "till-secret"}).status_code == 202


def test_a_body_that_is_too_large_is_refused_and_not_queued(make_edge: MakeEdge) -> None:
    edge = make_edge(AWAY, limits={"body_bytes_max": 1_000}).start()

    def without_length() -> Any:
        for _ in range(30):
            yield b"x" * 100

    assert edge.post("/v1/orders", b"x" * 1_001).status_code == 413
    assert edge.http.post("/v1/orders", content=without_length()).status_code == 413
    assert edge.status()["waiting"] == 0


def test_what_the_centre_refuses_is_kept_and_blocks_nothing(make_edge: MakeEdge, centre: FakeCentre) -> None:
    problem = json.dumps({"title": "The rules do not allow it now", "reason": "not_shipped", "detail": "no such order"})
    centre.answer = lambda path, body, headers: (422, PROBLEM, problem.encode()) if b"bad" in body else OK
    edge = make_edge(centre.url).start()
    for number, word in enumerate(["good", "bad", "good"]):
        edge.post("/v1/orders", {"n": number, "is": word}, key=f"k{number}", stream="till")

    until(lambda: edge.status()["dead"] == 1 and edge.status()["waiting"] == 0, "the others wait")
    (letter,) = edge.status()["dead_letters"]
    assert (letter["key"], letter["said"]) == (
        "k1",
        "422: The rules do not allow it now; not_shipped; no such order",
    )
    told = edge.post("/v1/orders", {"n": 1, "is": "bad"}, key="k1")
    assert (told.status_code, told.json()["detail"]) == (422, f"the centre refused it: {letter['said']}")

    centre.answer = lambda path, body, headers: OK
    again = subprocess.run(
        [sys.executable, "-m", "interlock.cli", "edge", "again", "--dir", str(edge.directory / "edge"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout) == {"waiting_again": 1}
    until(lambda: centre.keys.count("k1") == 2, "it was not tried again")
    until(lambda: edge.status()["dead"] == 0, "it is still there")


@pytest.mark.parametrize(
    "answer",
    [
        (503, PROBLEM, b"{}"),
        (429, PROBLEM | {"Retry-After": "0"}, b"{}"),
        (408, PROBLEM, b"{}"),
        (425, PROBLEM, b"{}"),
        (502, {"Content-Type": "text/html"}, b"<h1>bad gateway</h1>"),
        (500, PROBLEM, b"{}"),
        (401, PROBLEM, b"{}"),
        (200, {"Content-Type": "text/html"}, b"<h1>Welcome to our guest network</h1>"),
        (302, {"Location": "/login"}, b""),
        (404, {"Content-Type": "text/html"}, b"<h1>not here</h1>"),
        (200, {"Content-Type": "application/x-ndjson"}, b'{"line":1,"status":200}\n{"line":2,"status":503}\n'),
    ],
    ids=lambda answer: f"{answer[0]} {answer[1].get('Content-Type', '')}",
)
def test_whatever_is_no_word_of_the_centre_s_is_tried_again(
    make_edge: MakeEdge, centre: FakeCentre, answer: Answer
) -> None:
    centre.answer = lambda path, body, headers: answer if len(centre.came) < 3 else OK
    edge = make_edge(centre.url).start()
    edge.post("/v1/bulk", b"{}\n{}\n", key="k1", stream="till")
    edge.post("/v1/bulk", b"{}\n{}\n", key="k2", stream="till")

    until(lambda: edge.status()["waiting"] == 0, "they still wait")
    assert centre.keys == ["k1", "k1", "k1", "k2"]
    assert edge.status()["dead"] == 0


def test_retry_after_is_kept(make_edge: MakeEdge, centre: FakeCentre) -> None:
    times: list[float] = []

    def slow_down(path: str, body: bytes, headers: dict[str, str]) -> Answer:
        times.append(time.monotonic())
        return (429, PROBLEM | {"Retry-After": "1"}, b"{}") if len(times) == 1 else OK

    centre.answer = slow_down
    edge = make_edge(centre.url).start()
    edge.post("/v1/orders", {})

    until(lambda: len(times) == 2, "it was not tried again")
    assert times[1] - times[0] >= 1.0


def test_an_error_of_the_centre_s_own_stops_only_its_stream_and_not_for_ever(
    make_edge: MakeEdge, centre: FakeCentre
) -> None:
    centre.answer = lambda path, body, headers: (500, PROBLEM, b"{}") if b"poison" in body else OK
    edge = make_edge(centre.url, forward={"attempts_max": 4}).start()
    edge.post("/v1/orders", {"is": "poison"}, key="p", stream="a")
    edge.post("/v1/orders", {}, key="after", stream="a")
    edge.post("/v1/orders", {}, key="other", stream="b")

    until(lambda: edge.status()["waiting"] == 0, "they still wait")
    keys = centre.keys
    assert (keys.count("p"), keys[-1]) == (4, "after")
    assert keys.index("other") < keys.index("after")
    assert edge.status()["dead_letters"][0]["said"].startswith("after 4 attempts: 500")


def test_the_limit_of_the_queue_is_told_with_a_time_to_come_again(make_edge: MakeEdge) -> None:
    edge = make_edge(AWAY, limits={"queue_items_max": 3}).start()
    for number in range(3):
        assert edge.post("/v1/orders", {"n": number}).status_code == 202
    refused = edge.post("/v1/orders", {"n": 3})

    assert (refused.status_code, refused.json()["reason"], refused.headers["retry-after"]) == (507, "queue_full", "30")
    assert edge.status()["waiting"] == 3


def test_a_full_disk_refuses_what_is_new_and_loses_nothing(make_edge: MakeEdge, centre: FakeCentre) -> None:
    port = centre.port
    centre.stop()
    # The file may not grow beyond twice the limit, which many small ones do not reach: SQLite itself says that it is full.
    edge = make_edge(centre.url, limits={"queue_bytes_max": 200_000}).start()
    taken = 0
    for number in range(2_000):
        answer = edge.post("/v1/orders", b"x", key=f"k{number}" + "y" * 150, stream=f"s{number % 4}" + "z" * 150)
        if answer.status_code != 202:
            break
        taken += 1
    assert (answer.status_code, answer.json()["reason"]) == (507, "queue_full")
    assert "database or disk is full" in answer.json()["detail"]
    assert 100 < taken < 2_000

    back = FakeCentre(port)
    try:
        until(lambda: len(set(back.keys)) == taken, "not everything came")
        until(lambda: edge.status()["waiting"] == 0, "it is still there")
        assert edge.post("/v1/orders", b"x", key="now").status_code == 202
    finally:
        back.stop()


def test_a_second_edge_in_the_same_directory_does_not_start(make_edge: MakeEdge) -> None:
    edge = make_edge(AWAY).start()
    second = subprocess.run(
        [sys.executable, "-m", "interlock.edge", str(edge.file)],
        env={"INTERLOCK_EDGE_KEY": "x", "LOCAL_KEY": "y"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert second.returncode == 1
    assert "is not a directory that no other edge process uses" in second.stderr


def test_a_broken_queue_is_put_aside_and_what_can_be_read_goes_on(make_edge: MakeEdge, centre: FakeCentre) -> None:
    port = centre.port
    centre.stop()
    edge = make_edge(centre.url).start()
    for number in range(300):
        edge.post("/v1/orders", {"n": number, "pad": "x" * 800}, key=f"k{number:03}", stream="till")
    edge.stop()
    path = edge.directory / "edge" / "queue.db"
    whole = path.read_bytes()
    page = len(whole) // 4096 // 2 * 4096
    path.write_bytes(whole[:page] + b"\xa5" * 8192 + whole[page + 8192 :])

    back = FakeCentre(port)
    try:
        again = Edge(edge.directory, centre.url)
        again.start()
        aside = list((edge.directory / "edge").glob("queue-broken-*.db"))
        assert len(aside) == 1
        assert aside[0].stat().st_size == len(whole)
        assert aside[0].name in again.status()["put_aside"]
        until(lambda: again.status()["waiting"] == 0, "they still wait")
        came = back.keys
        assert 200 < len(came) < 300
        assert came == sorted(came)
        again.stop()
    finally:
        back.stop()


def test_a_queue_that_is_no_database_is_put_aside_too(make_edge: MakeEdge, centre: FakeCentre) -> None:
    edge = make_edge(centre.url)
    (edge.directory / "edge").mkdir()
    (edge.directory / "edge" / "queue.db").write_bytes(b"this is no database" * 1_000)
    edge.start()

    edge.post("/v1/orders", {}, key="k")
    until(lambda: centre.keys == ["k"], "it did not come")
    assert "file is not a database" in edge.status()["put_aside"]


def test_a_backlog_drains_at_its_pace_while_live_traffic_goes_first(make_edge: MakeEdge, centre: FakeCentre) -> None:
    port = centre.port
    centre.stop()
    edge = make_edge(centre.url, forward={"backlog_per_s": 100.0, "live_depth": 5}).start()
    for number in range(150):
        edge.post("/v1/orders", {"n": number}, key=f"b{number}", stream="backlog")
    back = FakeCentre(port)
    came_at: dict[str, float] = {}
    lock = threading.Lock()

    def note(path: str, body: bytes, headers: dict[str, str]) -> Answer:
        with lock:
            came_at[headers["idempotency-key"]] = time.monotonic()
        return OK

    back.answer = note
    try:
        until(lambda: len(came_at) >= 3, "the backlog does not move")
        began = time.monotonic()
        late = []
        for number in range(20):
            posted = time.monotonic()
            edge.post("/v1/orders", {"n": number}, key=f"l{number}", stream="live")
            until(lambda number=number: f"l{number}" in came_at, "it did not come")  # type: ignore[misc]
            late.append(came_at[f"l{number}"] - posted)
        assert f"b{149}" not in came_at, "the live ones waited for the backlog"
        until(lambda: f"b{149}" in came_at, "the backlog did not end")
        assert time.monotonic() - began > 0.3
        print(f"\nlive items behind a backlog arrived within {1000 * max(late):.0f} ms")
        assert sorted(late)[15] < 0.5
    finally:
        back.stop()


def test_files_are_queued_whole_and_once(make_edge: MakeEdge, centre: FakeCentre, tmp_path: Any) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    settings = {
        "path": str(folder),
        "post": "/v1/in/webshop/tills",
        "content_type": "application/xml",
        "pattern": "*.xml",
        "stable_s": 0.1,
    }
    edge = make_edge(centre.url, folders=[settings]).start()
    (folder / "a.xml").write_bytes(b"<a/>")
    (folder / "half.tmp").write_bytes(b"<half")
    (folder / "other.txt").write_bytes(b"other")
    until(lambda: (folder / "done" / "a.xml").exists(), "it was not taken")
    (folder / "b.xml").write_bytes(b"<a/>")
    until(lambda: (folder / "done" / "b.xml").exists(), "it was not taken")
    (folder / "link.xml").symlink_to("/etc/hostname")
    until(lambda: (folder / "rejected" / "link.xml.result.json").exists(), "the link was not rejected")

    until(lambda: edge.status()["waiting"] == 0, "it was not forwarded")
    assert {(path, body, headers["content-type"]) for _, path, body, headers in centre.came} == {
        ("/v1/in/webshop/tills", b"<a/>", "application/xml")
    }
    assert len(set(centre.keys)) == 1
    assert centre.came[0][3]["interlock-file"] == "a.xml"
    assert (folder / "half.tmp").exists()
    assert (folder / "other.txt").exists()


def test_the_status_is_read_whether_the_edge_runs_or_not(make_edge: MakeEdge) -> None:
    edge = make_edge(AWAY).start()
    edge.post("/v1/orders", {}, stream="till")
    edge.stop()
    asked = subprocess.run(
        [sys.executable, "-m", "interlock.cli", "edge", "status", "--dir", str(edge.directory / "edge"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(asked.stdout)

    assert (found["waiting"], found["streams"], found["dead"]) == (1, {"till": 1}, 0)
    assert found["oldest_s"] >= 0


def test_a_clock_that_is_set_back_changes_no_order(make_edge: MakeEdge, centre: FakeCentre) -> None:
    edge = make_edge(AWAY).start()
    for number in range(3):
        edge.post("/v1/orders", {"n": number}, key=f"k{number}", stream="till")
    edge.stop()
    with sqlite3.connect(edge.directory / "edge" / "queue.db") as db:
        db.execute("update items set queued_at = '2099-01-01T00:00:00+00:00' where key = 'k0'")
        db.execute("update items set queued_at = '1999-01-01T00:00:00+00:00' where key = 'k2'")
    db.close()
    again = Edge(edge.directory, centre.url).start()
    until(lambda: len(centre.came) == 3, "not everything came")
    again.stop()

    assert centre.keys == ["k0", "k1", "k2"]


def test_the_command_line_runs_it_and_a_polite_signal_ends_it(make_edge: MakeEdge, centre: FakeCentre) -> None:
    edge = make_edge(centre.url)
    edge.program = ["interlock.cli", "edge", "run", "--config", str(edge.file)]
    edge.start()
    edge.post("/v1/orders", {}, key="k")
    until(lambda: centre.keys == ["k"], "it did not come")
    assert edge.process is not None
    edge.process.terminate()

    assert edge.process.wait(20) == 0
    assert f"interlock edge store-12 listens on {edge.url}" in edge.log()
