"""History read again: as it was, through another estate or mapping, and for real where what was wrong is mended.

report = replay(db, present, candidate, Range(since, until))
"""

from __future__ import annotations

from interlock.domain.estate import Estate
from interlock.domain.values import OrderId
from interlock.replay.compare import changes_of, reproduce
from interlock.replay.report import Report
from interlock.replay.run import Replay
from interlock.replay.translating import Translating
from interlock.storage import history
from interlock.storage.database import Database, Transaction
from interlock.storage.history import Range


def replay(
    db: Database,
    present: Estate,
    candidate: Estate | None,
    span: Range,
    *,
    systems: frozenset[str] = frozenset(),
    orders: frozenset[str] = frozenset(),
    translating: Translating | None = None,
) -> Report:
    """Replay a range and compare, in one read-only snapshot. `translating`: processes that read the messages.

    All of it is replayed, so that stock is that of history; with `systems` or `orders` only those orders are reported of which
    one of the systems spoke, or that are named.
    """

    def work(tx: Transaction) -> Report:
        history.open_snapshot(tx)
        replayed = Replay(present, candidate, systems=systems, translating=translating).run(tx, span)
        true = reproduce(tx, replayed)
        wanted: set[OrderId] | None = None
        if systems or orders:
            wanted = {OrderId(order) for order in orders} | replayed.spoken_of
            true.not_reproduced = [each for each in true.not_reproduced if each.order_id in wanted]
        known = set(replayed.base.store.orders)
        if replayed.candidate is not None:
            known |= replayed.candidate.store.orders.keys()
        compared = len((known if wanted is None else known & wanted) - true.left_out)
        return Report(
            replayed=replayed,
            reproduced=true,
            changes=changes_of(replayed, true.left_out, wanted),
            compared=compared,
            currency=present.currency,
        )

    return db.transaction(work)
