"""The server as a process: stopped by SIGTERM, it answers what was begun and ends by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from tests.web.conftest import KEYS, client, free_port, order, wait_until_up

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from interlock.engine.door import Door
from interlock.storage.database import Database
from interlock.web.api import create_app, serve
from tests.web.conftest import small_estate

with Database(sys.argv[1], pool_max=4) as db:
    estate = small_estate()
    serve(create_app(db, estate, Door(db, estate)), "127.0.0.1", int(sys.argv[2]))
print("ended", flush=True)
"""


def test_sigterm_ends_the_process_gracefully_and_every_answer_given_is_true(dsn: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, dsn, str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        wait_until_up(url)
        taken: list[str] = []

        def send() -> None:
            with client(url, "webshop") as http:
                for number in range(5_000):
                    try:
                        answer = http.post("/v1/orders", json=order(str(number)))
                    except httpx.TransportError:
                        return
                    if answer.status_code == 201:
                        taken.append(answer.json()["order_id"])
                    elif answer.status_code == 503:
                        return

        sender = threading.Thread(target=send)
        sender.start()
        while len(taken) < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=20)
        sender.join(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()

    assert (process.returncode, told) == (0, "ended\n")
    assert not sender.is_alive()
    port = free_port()
    again = subprocess.Popen([sys.executable, "-c", PROGRAM, dsn, str(port)], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_until_up(f"http://127.0.0.1:{port}")
        headers = {"X-API-Key": KEYS["webshop"]}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as http:
            for order_id in taken[-5:]:
                assert http.get(f"/v1/orders/{order_id}").status_code == 200
    finally:
        again.terminate()
        assert again.wait(timeout=20) == 0
