"""The published hash: its test vectors are a promise to everybody who computes a part outside of Interlock."""

from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.domain.values import PARTS, part_of


@pytest.mark.parametrize(
    ("key", "part"),
    [("", 0), ("123456789", 38), ("webshop:10001", 33), ("SKU-1", 52)],
)
def test_the_published_test_vectors_hold(key: str, part: int) -> None:
    assert part_of(key) == part


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_part_is_the_crc_32_of_the_utf_8_bytes_modulo_64(key: str) -> None:
    assert part_of(key) == crc32(key.encode("utf-8")) % 64


def test_keys_that_are_numbered_in_a_row_fill_every_part() -> None:
    assert {part_of(f"webshop:{number}") for number in range(10_000, 11_000)} == set(range(PARTS))
