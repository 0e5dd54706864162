"""A small right estate for tests to spoil, and what the check then says."""

from __future__ import annotations

from interlock.contracts.estate_file import read_estate
from interlock.domain.estate import Estate

SMALL = """\
interlock: 1
retailer: Tiny
currency: USD
systems:
  shop:
    name: Shop
    kind: webshop
    owner: {team: A, escalation: a@example.com}
    authority: {order: decide}
    time_zone: America/New_York
  wms:
    name: WMS
    kind: wms
    owner: {team: B, escalation: b@example.com}
    time_zone: UTC
    connection:
      outbound: {kind: folder, path: out}
nodes:
  dc:
    name: DC
    kind: dc
    system: wms
    place: {country: US}
    time_zone: UTC
    fulfills: [delivery]
channels:
  web: {system: shop, fulfills: [delivery], sourcing: {version: v1}}
"""


def mistakes(text: str) -> list[str]:
    """The mistakes of a text, without the file's name."""
    return [str(mistake).removeprefix("estate.yaml:") for mistake in read_estate(text, "estate.yaml")[1]]


def changed(old: str, new: str, text: str = SMALL) -> list[str]:
    """The mistakes after one replacement."""
    assert old in text
    return mistakes(text.replace(old, new, 1))


def estate(text: str = SMALL) -> Estate:
    read, wrong = read_estate(text, "estate.yaml")
    assert wrong == []
    assert read is not None
    return read
