"""Whose records are mapped: what is asked about the sending system again and again."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from interlock.domain.estate import Estate, System
from interlock.domain.values import Sku


class Sender:
    """What is asked about the sending system again and again: its SKUs, its zone, the scopes of order ids."""

    def __init__(self, estate: Estate, system: System) -> None:
        self.estate = estate
        self.system = system
        self.zone = ZoneInfo(system.time_zone)
        self.scopes = frozenset(each.order_scope for each in estate.systems.values())
        self.skus: dict[str, Sku] = {}
        """SKUs in the system's words that were checked already, and ours."""
