"""What a replay has found, as values for programs and as sentences for people. The same replay gives the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from interlock.domain.values import OrderId
from interlock.replay.compare import (
    CANCELED,
    OPEN,
    Change,
    Reproduced,
    cost_of,
    exceptions_by_reason,
    text_of,
)
from interlock.replay.run import Replayed

NOT_REPRODUCED_MAX = 20


class Report(msgspec.Struct, kw_only=True):
    """Everything. `changes` are all of them, whatever a person is shown."""

    replayed: Replayed
    reproduced: Reproduced
    changes: list[Change]
    compared: int
    currency: str

    def values(self) -> dict[str, Any]:
        """The whole of it, for `--json`."""
        done, true = self.replayed, self.reproduced
        found: dict[str, Any] = {
            "range": {"from": done.span.since, "to": done.span.until, "last": done.ended_at},
            "messages": {
                "replayed": done.messages,
                "read_otherwise": done.read_otherwise_count,
                "answered_otherwise": done.answered_otherwise_count,
                "put_away_then": dict(sorted(done.put_away_then.items())),
                "readable_now": done.readable_now,
                "otherwise": [*done.read_otherwise, *done.answered_otherwise],
            },
            "baseline": {
                "orders": true.orders,
                "reproduced": true.orders - len(true.not_reproduced),
                "exactly": true.exactly,
                "not_reproduced": true.not_reproduced,
                "exceptions_recorded": dict(sorted(true.exceptions_then.items())),
                "exceptions_replayed": dict(sorted(true.exceptions_now.items())),
            },
        }
        if done.candidate is not None:
            found["totals"] = self.totals()
            found["orders"] = [{**msgspec.structs.asdict(each), "words": list(words(each))} for each in self.changes]
        return found

    def totals(self) -> dict[str, Any]:
        """What the candidate would change, summed up over all orders that are compared."""
        done, candidate = self.replayed, self.replayed.candidate
        assert candidate is not None
        kinds = Counter(each.kind for each in self.changes)
        moved: Counter[tuple[str, str]] = Counter()
        for change in self.changes:
            for move in change.moves:
                moved[move.was, move.now] += move.units  # type: ignore[assignment]  # decimals add up as well
        left_out = self.reproduced.left_out
        return {
            "orders": {
                "compared": self.compared,
                "same": self.compared - len(self.changes),
                "different": kinds["differs"],
                "only_in_the_candidate": kinds["new"],
                "only_in_history": kinds["gone"],
                "left_out": len(left_out),
            },
            "units_moved": [
                {"was": was, "now": now, "units": units}
                for (was, now), units in sorted(moved.items(), key=lambda item: (-item[1], item[0]))
            ],
            "nodes_per_order": {
                "more_split": sum(each.nodes_now > each.nodes_was for each in self.changes),
                "less_split": sum(each.nodes_now < each.nodes_was for each in self.changes),
            },
            "sourcing_cost": {
                "currency": self.currency,
                "was": _cost(done.base.events, left_out),
                "now": _cost(candidate.events, left_out),
            },
            "states": _pairs(each for each in self.changes),
            "money": _money(self.changes),
            "exceptions": _both(exceptions_by_reason(done.base), exceptions_by_reason(candidate)),
            "outcomes": _both(_outcomes(done.base.seen), _outcomes(candidate.seen)),
            "sent": _both(_sent(done.base.sent), _sent(candidate.sent)),
            "said_for_other_nodes": done.carried,
            "not_said": dict(sorted(done.left_out.items())),
        }

    def lines(self, limit: int) -> Iterator[str]:
        """What a person reads: first whether the replay is true, then what would change, then the first orders."""
        done, true = self.replayed, self.reproduced
        since = f" from {done.span.since:%Y-%m-%d %H:%M:%S}" if done.span.since else ""
        until = f" up to {done.ended_at:%Y-%m-%d %H:%M:%S} (UTC)" if done.ended_at else ""
        yield f"{done.messages:,} messages{since}{until}"
        good = true.orders - len(true.not_reproduced)
        yield f"as it was: {good:,} of {true.orders:,} orders come to what the database has, {true.exactly:,} event by event"
        for each in true.not_reproduced[:NOT_REPRODUCED_MAX]:
            yield f"  not reproducible, and left out: {each.order_id}: {'; '.join(each.why)}"
        if len(true.not_reproduced) > NOT_REPRODUCED_MAX:
            yield f"  and {len(true.not_reproduced) - NOT_REPRODUCED_MAX:,} more, with --json"
        if done.read_otherwise_count:
            yield f"{done.read_otherwise_count:,} messages are read otherwise than then, the first:"
            for row in done.read_otherwise[:3]:
                yield f"  {row.system} {row.place or row.message_id}: {row.then}, now {row.now}"
        if done.readable_now:
            yield f"{done.readable_now:,} quarantined messages could be read now: interlock reprocess"
        if done.candidate is not None:
            yield from self._candidate(limit)

    def _candidate(self, limit: int) -> Iterator[str]:
        found = self.totals()
        orders = found["orders"]
        yield ""
        said = [f"{orders['same']:,} the same", f"{orders['different']:,} different"]
        if orders["only_in_the_candidate"]:
            said.append(f"{orders['only_in_the_candidate']:,} new")
        if orders["only_in_history"]:
            said.append(f"{orders['only_in_history']:,} gone")
        yield f"the candidate: of {orders['compared']:,} orders {', '.join(said)}"
        for row in found["units_moved"][:12]:
            yield f"  {row['units']:,} {_units(row['units'])} {_moved(row['was'], row['now'])}"
        if len(found["units_moved"]) > 12:
            yield f"  and {len(found['units_moved']) - 12} more pairs of places, with --json"
        split = found["nodes_per_order"]
        if split["more_split"] or split["less_split"]:
            yield f"  {split['more_split']:,} orders from more nodes, {split['less_split']:,} from fewer"
        cost = found["sourcing_cost"]
        if cost["was"] != cost["now"]:
            yield f"  sourcing cost {cost['now']:,f} instead of {cost['was']:,f} {cost['currency']}, each by its own prices"
        for name, (was, now) in found["money"].items():
            yield f"  {name} {now:,f} instead of {was:,f} {self.currency} in these orders"
        for title in ("exceptions", "outcomes", "sent"):
            for name, (was, now) in found[title].items():
                if was != now:
                    yield f"  {_TITLES[title]} {name}: {now:,} instead of {was:,}"
        if found["said_for_other_nodes"]:
            yield f"  {found['said_for_other_nodes']:,} reports of warehouses are taken over for the nodes of the candidate"
        if self.changes:
            yield ""
        for change in self.changes[:limit]:
            yield f"{change.order_id}: {'; '.join(words(change))}"
        if len(self.changes) > limit:
            yield f"and {len(self.changes) - limit:,} more: --limit, or --json for all"


_TITLES = {"exceptions": "exceptions", "outcomes": "messages", "sent": "sent to"}


def words(change: Change) -> Iterator[str]:
    """What differs of an order, in plain words."""
    if change.kind == "gone":
        yield "would not be taken"
        return
    if change.kind == "new":
        yield "would be taken"
    for move in change.moves:
        yield f"{move.units} {_units(move.units)} of {move.sku} {_moved(move.was, move.now)}"
    if change.nodes_was and change.nodes_now and change.nodes_was != change.nodes_now:
        yield f"{change.nodes_now} {'node' if change.nodes_now == 1 else 'nodes'} instead of {change.nodes_was}"
    told = bool(change.moves)
    for each in change.differs:
        if each.field in ("nodes", "units") or (told and each.field.startswith("line ")):
            continue
        if each.field == "exceptions":
            yield from _exceptions(each.was, each.now)
        elif each.field == "state":
            yield f"{each.now} instead of {each.was}"
        else:
            yield f"{each.field} {text_of(each.now)} instead of {text_of(each.was)}"


def _exceptions(was: Any, now: Any) -> Iterator[str]:
    more, fewer = sorted(set(now) - set(was)), sorted(set(was) - set(now))
    if more:
        yield f"a person is shown {', '.join(more)}"
    if fewer:
        yield f"nobody is shown {', '.join(fewer)}"


def _units(count: object) -> str:
    return "unit" if count == 1 else "units"


def _moved(was: str, now: str) -> str:
    now_said = f"{now}" if now in (OPEN, CANCELED) else f"from {now}" if now else "nowhere"
    return f"{now_said} instead of {was}" if was else now_said


def _cost(events: Mapping[OrderId, Any], left_out: set[OrderId]) -> Decimal:
    return sum((cost_of(mine) for order_id, mine in events.items() if order_id not in left_out), Decimal(0))


def _pairs(changes: Iterator[Change]) -> list[dict[str, object]]:
    found: Counter[tuple[str, str]] = Counter()
    for change in changes:
        for each in change.differs:
            if each.field == "state":
                found[str(each.was), str(each.now)] += 1
    return [{"was": was, "now": now, "orders": count} for (was, now), count in sorted(found.items())]


def _money(changes: list[Change]) -> dict[str, tuple[Decimal, Decimal]]:
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for change in changes:
        for each in change.differs:
            if isinstance(each.was, Decimal) and isinstance(each.now, Decimal):
                was, now = found.get(each.field, (Decimal(0), Decimal(0)))
                found[each.field] = was + each.was, now + each.now
    return dict(sorted(found.items()))


def _both(was: Counter[str], now: Counter[str]) -> dict[str, tuple[int, int]]:
    return {name: (was[name], now[name]) for name in sorted(was.keys() | now.keys())}


def _outcomes(seen: Mapping[Any, Any]) -> Counter[str]:
    return Counter(each.outcome for each in seen.values())


def _sent(sent: Counter[tuple[str, str]]) -> Counter[str]:
    return Counter({f"{receiver} {message}": count for (receiver, message), count in sent.items()})
