"""What goes wrong, and how often: shares that follow from a seed and an id, never from a clock or a die."""

from __future__ import annotations

from hashlib import blake2b

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Shares from 0 to 1: of orders, where nothing else is said. The default is a usual fortnight."""

    duplicate: float = 0.02
    """Posted again, exactly; half of them at the same moment."""
    conflict: float = 0.003
    """Posted again with another quantity under the same order number."""
    authorized_later: float = 0.10
    """The authorization is a message of its own."""
    authorized_early: float = 0.004
    """The authorization comes before the order."""
    canceled_unpaid: float = 0.006
    """Canceled before any authorization, so before release."""
    canceled_early: float = 0.003
    """The cancellation comes before the order."""
    canceled_whole: float = 0.006
    """Canceled at once after it was accepted, when it may be released already."""
    canceled_line: float = 0.008
    """One line of it canceled, likewise."""
    canceled_units: float = 0.006
    """One unit of it canceled, likewise."""
    returned: float = 0.04
    """Of shipped orders: units come back after the first shipment."""
    blind_return: float = 0.10
    """Of returns: without a return number."""
    greedy_refund: float = 0.08
    """Of returns: a refund far above what was captured is asked for first."""
    third_party_fault: float = 0.04
    """Of messages to the 3PL: the first try gets 503, 429, a slow answer, or is taken and then not answered."""
    third_party_damaged: float = 0.003
    """Of lines at the 3PL."""
    third_party_refused: float = 0.003
    """Of assignments at the 3PL: refused whole."""
    store_short: float = 0.03
    """Of lines at stores: short_pick or not_found."""
    dc_short: float = 0.004
    """Of lines at the DC."""
    dc_damaged: float = 0.002
    """Of lines at the DC."""
    dc_partial: float = 0.15
    """Of assignments with several lines at the DC: shipped in two parts, by two files."""
    wrong_calls: int = 3
    """How often each kind of call that must be refused is made."""


PROFILES = {
    "usual": Profile(),
    "calm": Profile(
        **dict.fromkeys((name for name in Profile.__struct_fields__ if name != "wrong_calls"), 0.0), wrong_calls=0
    ),
    "rough": Profile(
        duplicate=0.10, conflict=0.02, authorized_later=0.25, authorized_early=0.02, canceled_unpaid=0.03,
        canceled_early=0.02, canceled_whole=0.03, canceled_line=0.04, canceled_units=0.03, returned=0.12,
        blind_return=0.2, greedy_refund=0.2, third_party_fault=0.20, third_party_damaged=0.02,
        third_party_refused=0.02, store_short=0.12, dc_short=0.03, dc_damaged=0.02, dc_partial=0.5,
    ),
}  # fmt: skip


def share(seed: int, what: str, key: object) -> float:
    """A number from 0 to below 1 that follows from seed, purpose and key alone."""
    digest = blake2b(f"{seed}/{what}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What will happen to one web order; at most one kind of cancellation."""

    twin: str = ""
    """"" | "after" | "at_once": posted a second time."""
    conflict: bool = False
    payment: str = "with_order"
    """with_order | later | early | never"""
    cancel: str = ""
    """"" | early | unpaid | whole | line | units"""
    returned: bool = False


def fate_of(profile: Profile, seed: int, number: str) -> Fate:
    """The fate of the order with this number."""
    cancel = ""
    drawn = share(seed, "cancel", number)
    for kind in ("early", "unpaid", "whole", "line", "units"):
        drawn -= getattr(profile, f"canceled_{kind}")
        if drawn < 0:
            cancel = kind
            break
    drawn = share(seed, "payment", number)
    payment = "with_order"
    if cancel == "unpaid":
        payment = "never"
    elif drawn < profile.authorized_early:
        payment = "early"
    elif drawn < profile.authorized_early + profile.authorized_later:
        payment = "later"
    drawn = share(seed, "duplicate", number)
    twin = "at_once" if drawn < profile.duplicate / 2 else "after" if drawn < profile.duplicate else ""
    return Fate(
        twin=twin,
        conflict=share(seed, "conflict", number) < profile.conflict,
        payment=payment,
        cancel=cancel,
        returned=not cancel and share(seed, "returned", number) < profile.returned,
    )
