"""The exact search behind sourcing: the set of nodes that fills the most, then the fewest, the lightest.

Everything is a whole number here: the caller scales wants, stock and weights, so nothing is rounded.
Nodes come in ascending order of weight, and no two sets of one size weigh the same: one answer is best.

This is maximum coverage with capacities, hard in general. What keeps it quick, and why it stays exact:

* What no number of nodes can fill is taken out of the wants first: "everything" means everything attainable.
* While something attainable is open, one more node can always add to it. So the fewest nodes are the
  least number that fills everything attainable (`_cover`); failing that, just the number allowed (`_most`).
* A node is left out when as many lighter nodes as the set has places hold at least what it holds of any SKU:
  one of them is not in the set, and putting it in the node's place fills no less and weighs less.
* All nodes are judged at once: what each would add is one sum of long integers, with a field for every node.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from operator import getitem
from struct import Struct

import msgspec

VISITS_MAX = 3_000_000
"""Sets looked at before the search settles for the best found. Four of 200 nodes can never need as many."""

_RESULTS_KEPT_MAX = 4096
_FORMATS = {2: "H", 4: "I", 8: "Q"}


class Choice(msgspec.Struct, frozen=True):
    """The nodes chosen (indices, ascending), the sets looked at, and whether this is proven to be the
    best."""

    nodes: tuple[int, ...]
    visits: int
    exact: bool


def choose(
    wants: Sequence[int],
    have: Sequence[Sequence[int]],
    weights: Sequence[int],
    nodes_max: int,
    *,
    complete: bool = False,
    visits_max: int = VISITS_MAX,
) -> Choice:
    """The best set of at most `nodes_max` nodes: most units filled, then fewest nodes, then least weight.

    `have[n][s]` is what node n can give of SKU s, not above `wants[s]`; `weights` ascend strictly with n.
    `complete`: anything less than every unit wanted counts as nothing, and the answer is then empty.
    """
    if not have:
        return Choice((), 0, True)
    attainable = [min(want, sum(column)) for want, column in zip(wants, zip(*have, strict=True), strict=True)]
    if complete and attainable != list(wants):
        return Choice((), 0, True)
    live = [s for s, want in enumerate(attainable) if want > 0]
    if not live or nodes_max < 1:
        return Choice((), 0, True)
    targets = [attainable[s] for s in live]
    if targets == list(wants):
        rows = [tuple(row) for row in have]
    else:
        rows = [tuple([min(row[s], attainable[s]) for s in live]) for row in have]
    whole = tuple(targets)
    for node, row in enumerate(rows):
        if row == whole:
            return Choice((node,), 0, True)
    search = _Search(targets, rows, list(weights), nodes_max, visits_max)
    return search.run(complete)


class _AtLeast(dict[int, int]):
    """For one SKU: amount -> the nodes that hold at least that much, as a set of bits."""

    def __init__(self, column: Sequence[int]) -> None:
        holders: dict[int, int] = {}
        bit = 1
        for amount in column:
            holders[amount] = holders.get(amount, 0) | bit
            bit <<= 1
        bits = 0
        self._steps: list[int] = []
        self._sets: list[int] = []
        for amount in sorted(holders, reverse=True):
            bits |= holders[amount]
            self._steps.append(-amount)
            self._sets.append(bits)

    def __missing__(self, amount: int) -> int:
        # steps hold -amount ascending: the last step that is still >= amount has the widest set
        place = bisect_left(self._steps, -amount + 1) - 1
        found = self._sets[place] if place >= 0 else 0
        if len(self) < _RESULTS_KEPT_MAX:
            self[amount] = found
        return found


class _Adds(dict[int, int]):
    """For one SKU: units still open -> what each node would add to them, one field of a long integer per
    node."""

    def __init__(self, column: Sequence[int], bits: int) -> None:
        self._order = sorted(((a, n) for n, a in enumerate(column)))
        self._steps = [amount for amount, _ in self._order]
        self._low: list[int] = [0]
        self._ones: list[int] = [sum(1 << (n * bits) for n in range(len(column)))]
        for amount, node in self._order:
            self._low.append(self._low[-1] + (amount << (node * bits)))
            self._ones.append(self._ones[-1] - (1 << (node * bits)))

    def __missing__(self, wanted: int) -> int:
        below = bisect_left(self._steps, wanted)
        fields = self._low[below] + wanted * self._ones[below]
        if len(self) < _RESULTS_KEPT_MAX:
            self[wanted] = fields
        return fields


class _OutOfVisits(Exception):
    """The visits allowed are used up; what was found so far stands."""


class _Search:
    """One search: the tables that judge all nodes at once, and the best set found so far."""

    def __init__(
        self,
        targets: list[int],
        rows: list[tuple[int, ...]],
        weights: list[int],
        nodes_max: int,
        visits_max: int,
    ) -> None:
        self.targets = targets
        self.total = sum(targets)
        self.visits_left = visits_max
        self.visits_max = visits_max
        self.at_least = [_AtLeast(column) for column in zip(*rows, strict=True)]
        keep = _undominated(rows, self.at_least, nodes_max)
        self.nodes_max = min(nodes_max, len(keep))
        self.names = keep
        self.rows = [rows[n] for n in keep]
        self.weights = [weights[n] for n in keep]
        columns = list(zip(*self.rows, strict=True))
        if len(keep) < len(rows):
            self.at_least = [_AtLeast(column) for column in columns]
        # a field holds a gain (at most the total) and one bit above it for comparisons
        size = 2
        while self.total >= 1 << (8 * size - 1):
            size *= 2
        self.field = size
        self.bits = 8 * size
        self.layout = Struct(f"<{len(keep)}{_FORMATS[size]}") if size in _FORMATS else None
        self.columns = columns
        self.ones = sum(1 << (n * self.bits) for n in range(len(keep)))
        self.high = 1 << (self.bits - 1)
        self.highs = self.ones * self.high
        ordered = [sorted(column, reverse=True) for column in columns]
        self.top = [[sum(column[:j]) for column in ordered] for j in range(self.nodes_max + 1)]
        gains = sorted((sum(row) for row in self.rows), reverse=True)
        self.top_gain = [sum(gains[:j]) for j in range(self.nodes_max + 1)]
        self.best: tuple[int, ...] = ()
        self.best_fill = 0
        self.best_weight = -1

    def run(self, complete: bool) -> Choice:
        """Everything attainable with as few nodes as can be, else as much as the nodes allowed can give."""
        exact = True
        try:
            for size in range(2, self.nodes_max + 1):
                if self.top_gain[size] < self.total or any(
                    top < target for top, target in zip(self.top[size], self.targets, strict=True)
                ):
                    continue
                self.best_fill, self.best_weight = self.total, -1
                self._cover(size, tuple(self.targets), self.total, 0, (1 << len(self.rows)) - 1, ())
                if self.best:
                    break
        except _OutOfVisits:
            exact = False
        if not self.best and not complete:
            try:
                self._start()
                # with one node allowed, the first step of the start is the answer
                if exact and self.nodes_max > 1:
                    self._most(self.nodes_max, tuple(self.targets), 0, 0, (1 << len(self.rows)) - 1, self.highs, ())
            except _OutOfVisits:
                exact = False
        nodes = tuple(sorted(self.names[n] for n in self.best))
        return Choice(nodes, self.visits_max - self.visits_left, exact)

    @cached_property
    def adds(self) -> list[_Adds]:
        # most orders that need two nodes are settled without it
        return [_Adds(column, self.bits) for column in self.columns]

    def _visit(self) -> None:
        if self.visits_left <= 0:
            raise _OutOfVisits
        self.visits_left -= 1

    def _gains(self, open_: tuple[int, ...]) -> Sequence[int]:
        """What each node would add to what is still open."""
        return self._unpack(self._packed(open_))

    def _packed(self, open_: tuple[int, ...]) -> int:
        """The same, still in one long integer."""
        return sum(map(getitem, self.adds, open_))

    def _unpack(self, packed: int) -> Sequence[int]:
        raw = packed.to_bytes(len(self.rows) * self.field, "little")
        if self.layout is not None:
            return self.layout.unpack(raw)
        return [int.from_bytes(raw[at : at + self.field], "little") for at in range(0, len(raw), self.field)]

    # ---- everything attainable with `left` nodes, at the least weight ----

    def _cover(
        self,
        left: int,
        open_: tuple[int, ...],
        units: int,
        weight: int,
        allowed: int,
        chosen: tuple[int, ...],
    ) -> None:
        """Branch on the SKU that the fewest nodes can help with.

        Of `left` nodes, one must hold at least its share: what is open divided by `left`, rounded up.
        """
        self._visit()
        pivot, fewest = 0, -1
        top = self.top[left]
        for s, wanted in enumerate(open_):
            if wanted:
                if wanted > top[s]:
                    return
                holders = allowed & self.at_least[s][-(-wanted // left)]
                count = holders.bit_count()
                if not count:
                    return
                if fewest < 0 or count < fewest:
                    pivot, fewest = holders, count
        gains: Sequence[int] | None = None
        need = 0
        if left > 2 or chosen:
            gains = self._gains(open_)
            most = sorted(gains, reverse=True)
            if sum(most[:left]) < units:
                return
            need = units - sum(most[: left - 1])
        rest = weight + sum(self.weights[n] for n in _lowest(allowed, left - 1))
        while pivot:
            bit = pivot & -pivot
            pivot ^= bit
            node = bit.bit_length() - 1
            if self.best and rest + self.weights[node] >= self.best_weight:
                return
            allowed &= ~bit
            gain = gains[node] if gains is not None else 0
            if gain < need:
                continue
            row = self.rows[node]
            if left > 2:
                after = tuple([w - h if w > h else 0 for w, h in zip(open_, row, strict=True)])
                self._cover(left - 1, after, units - gain, weight + self.weights[node], allowed, (*chosen, node))
                continue
            if self.visits_left <= 0:
                raise _OutOfVisits
            self.visits_left -= 1
            last = allowed
            for at_least, wanted, held in zip(self.at_least, open_, row, strict=True):
                if wanted > held:
                    last &= at_least[wanted - held]
                    if not last:
                        break
            if last:
                final = (last & -last).bit_length() - 1
                heavy = weight + self.weights[node] + self.weights[final]
                if not self.best or heavy < self.best_weight:
                    self.best, self.best_weight = (*chosen, node, final), heavy

    # ---- as much as possible with exactly `left` nodes ----

    def _start(self) -> None:
        """A good set to beat: the greedy one, improved by single exchanges until none helps."""
        chosen: list[int] = []
        for _ in range(self.nodes_max):
            gains = self._gains(self._open_after(chosen))
            chosen.append(max((n for n in range(len(gains)) if n not in chosen), key=lambda n: (gains[n], -n)))
        better = True
        while better:
            better = False
            for place in range(len(chosen)):
                others = chosen[:place] + chosen[place + 1 :]
                gains = self._gains(self._open_after(others))
                best = max((n for n in range(len(gains)) if n not in others), key=lambda n: (gains[n], -n))
                if (gains[best], -best) > (gains[chosen[place]], -chosen[place]):
                    chosen[place], better = best, True
        self.best = tuple(chosen)
        self.best_fill = self.total - sum(self._open_after(chosen))
        self.best_weight = sum(self.weights[n] for n in chosen)

    def _open_after(self, chosen: Sequence[int]) -> tuple[int, ...]:
        """What these nodes leave open, by SKU."""
        return tuple(max(0, target - sum(self.rows[n][s] for n in chosen)) for s, target in enumerate(self.targets))

    def _most(
        self,
        left: int,
        open_: tuple[int, ...],
        fill: int,
        weight: int,
        allowed: int,
        allowed_fields: int,
        chosen: tuple[int, ...],
    ) -> None:
        """Take the nodes by what they add, and stop where even the next `left` together could not reach the
        best."""
        self._visit()
        if fill + sum(map(min, open_, self.top[left])) < self.best_fill:
            return
        gains = self._gains(open_)
        order = [n for n in sorted(range(len(gains)), key=gains.__getitem__, reverse=True) if allowed >> n & 1]
        rest = weight + sum(self.weights[n] for n in _lowest(allowed, left - 1))
        sizes = [gains[n] for n in order]
        for place, node in enumerate(order):
            if place + left > len(order):
                return
            bound = fill + sum(sizes[place : place + left])
            if bound < self.best_fill:
                return
            allowed ^= 1 << node
            allowed_fields ^= self.high << (node * self.bits)
            heavy = weight + self.weights[node]
            if bound == self.best_fill and rest + self.weights[node] >= self.best_weight:
                continue
            row = self.rows[node]
            if left > 2:
                after = tuple([w - h if w > h else 0 for w, h in zip(open_, row, strict=True)])
                filled = fill + sizes[place]
                self._most(left - 1, after, filled, heavy, allowed, allowed_fields, (*chosen, node))
                continue
            if self.visits_left <= 0:
                raise _OutOfVisits
            self.visits_left -= 1
            rest_open = [w - h if w > h else 0 for w, h in zip(open_, row, strict=True)]
            packed = sum(map(getitem, self.adds, rest_open))
            need = max(self.best_fill - fill - sizes[place], 0)
            # adding `high - need` to a field sets its top bit exactly where the gain reaches the need
            reach = (packed + (self.high - need) * self.ones) & allowed_fields
            if reach:
                # as much as the best is only of use with a lighter node: a prefix, because weights ascend
                lighter = bisect_left(self.weights, self.best_weight - heavy)
                reach &= (1 << lighter * self.bits) - 1
                if need < self.high - 1:
                    reach |= (packed + (self.high - need - 1) * self.ones) & allowed_fields
                if reach:
                    self._last(packed, reach, fill + sizes[place], heavy, (*chosen, node))

    def _last(self, packed: int, reach: int, fill: int, weight: int, chosen: tuple[int, ...]) -> None:
        """The last node, of those whose field is set in `reach`: the most units, then the lightest."""
        gains = self._unpack(packed)
        while reach:
            bit = reach & -reach
            reach ^= bit
            node = (bit.bit_length() - 1) // self.bits
            filled, heavy = fill + gains[node], weight + self.weights[node]
            if filled > self.best_fill or (filled == self.best_fill and heavy < self.best_weight):
                self.best, self.best_fill, self.best_weight = (*chosen, node), filled, heavy


def _undominated(rows: Sequence[tuple[int, ...]], at_least: Sequence[_AtLeast], nodes_max: int) -> list[int]:
    """The nodes that hold anything and that fewer than `nodes_max` lighter ones match in every SKU."""
    keep = []
    for node, row in enumerate(rows):
        if not any(row):
            continue
        lighter = (1 << node) - 1
        for sets, held in zip(at_least, row, strict=True):
            if held:
                lighter &= sets[held]
        if lighter.bit_count() < nodes_max:
            keep.append(node)
    return keep


def _lowest(bits: int, count: int) -> list[int]:
    """The places of the lowest `count` bits."""
    found: list[int] = []
    while bits and len(found) < count:
        bit = bits & -bits
        found.append(bit.bit_length() - 1)
        bits ^= bit
    return found
