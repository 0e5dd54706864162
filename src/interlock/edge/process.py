"""The edge's process: the queue, what fills it and what empties it, in one place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import structlog

from interlock.domain.errors import StorageError
from interlock.edge.folders import FolderWatch
from interlock.edge.forward import Forwarder
from interlock.edge.intake import create_app
from interlock.edge.queue import Queue, open_queue
from interlock.edge.server import EdgeServer
from interlock.edge.settings import EdgeSettings
from interlock.edge.status import AGAIN, status

NOTES_EVERY_S = 1.0

log = structlog.get_logger(__name__)


def run(settings: EdgeSettings, on_server: Callable[[EdgeServer], None] = lambda _: None) -> None:
    """Take and forward until SIGTERM, SIGINT or the server's `stop`.

    Raises InvalidValue (the port, the directory), QueueBroken and OSError.
    """
    with open_queue(settings.directory, settings.limits) as queue:
        forwarder = Forwarder(queue, settings)
        watches = [FolderWatch(folder, queue, settings) for folder in settings.folders]
        app = create_app(queue, settings, partial(status, settings.queue_path))
        server = EdgeServer(app, settings.listen.host, settings.listen.port)
        server.check_free()
        stop = threading.Event()
        jobs: list[tuple[str, Callable[[threading.Event], None]]] = [
            ("edge-forward", forwarder.run),
            ("edge-notes", partial(_keep_notes, queue, forwarder)),
            *((f"edge-folder-{watch.path.name}", watch.run) for watch in watches),
        ]
        threads = [threading.Thread(target=job, args=(stop,), name=name, daemon=True) for name, job in jobs]
        for thread in threads:
            thread.start()
        log.info("edge_runs", name=settings.name, waiting=queue.items, centre=settings.centre)
        on_server(server)
        try:
            server.run()
        finally:
            stop.set()
            for thread in threads:
                thread.join(settings.forward.timeout_s + 5)


def _keep_notes(queue: Queue, forwarder: Forwarder, stop: threading.Event) -> None:
    """Note how it goes, about every second where something is new; and see whether dead letters were put back."""
    forwarded, error = 0, ""
    asked = queue.noted(AGAIN)
    while not stop.wait(NOTES_EVERY_S):
        try:
            now = datetime.now(UTC).isoformat()
            if forwarder.forwarded != forwarded:
                forwarded = forwarder.forwarded
                queue.note("last_forwarded_at", now).result()
            if forwarder.last_error != error:
                error = forwarder.last_error
                queue.note("last_error", error).result()
                queue.note("last_error_at", now).result()
            if (word := queue.noted(AGAIN)) != asked:
                forwarder.read_again()
                asked = word
        except StorageError as trouble:
            log.warning("notes_wait", error=str(trouble))
