"""Packed files: what is in them comes out in bounded memory, and everything that is wrong with one is told exactly."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.transports.unpack import Bounds, Content, UnpackRefused, contents, is_packed

BOUNDS = Bounds(bytes_max=100_000_000, ratio_max=200)
DATA = b"".join(b"%d,row\n" % n for n in range(50_000))


def unpacked(packed: bytes, bounds: Bounds = BOUNDS) -> dict[str, bytes]:
    return {content.name: b"".join(content.blocks()) for content in contents(io.BytesIO(packed), bounds)}


def refused(packed: bytes, bounds: Bounds = BOUNDS) -> UnpackRefused:
    with pytest.raises(UnpackRefused) as caught:
        unpacked(packed, bounds)
    return caught.value


def zipped(*files: tuple[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", how) as archive:
        for name, data in files:
            archive.writestr(name, data, how)
    return content.getvalue()


def problems(packed: bytes) -> dict[str, str]:
    found: list[Content] = contents(io.BytesIO(packed), BOUNDS)
    return {content.name: content.problem.reason for content in found if content.problem is not None}


def test_what_is_not_packed_is_itself() -> None:
    assert unpacked(DATA) == {"": DATA}
    assert unpacked(b"") == {"": b""}
    assert [is_packed(io.BytesIO(data)) for data in (DATA, gzip.compress(DATA), zipped(("a", DATA)), b"")] == [
        False,
        True,
        True,
        False,
    ]


# gz


def test_all_members_of_a_gz_file_come_out_one_after_the_other() -> None:
    packed = gzip.compress(DATA) + gzip.compress(b"") + gzip.compress(b"end")

    assert unpacked(packed) == {"": DATA + b"end"}
    assert unpacked(packed + b"\0" * 700) == {"": DATA + b"end"}


def test_content_can_be_read_again() -> None:
    (content,) = contents(io.BytesIO(gzip.compress(DATA)), BOUNDS)

    assert b"".join(content.blocks()) == b"".join(content.blocks()) == DATA


@pytest.mark.parametrize("cut", [5, 12, 100, -1, -4, -9])
def test_a_gz_file_that_is_cut_off_is_told(cut: int) -> None:
    packed = gzip.compress(DATA)[:cut]

    wrong = refused(packed)

    assert wrong.reason == "truncated"
    assert wrong.expected == f"a whole gz file: it ends after {len(packed)} bytes, in the middle of what was packed"


def test_what_follows_a_gz_file_and_is_none_is_told_with_its_byte() -> None:
    packed = gzip.compress(DATA)

    wrong = refused(packed + b"-- sent by a tired script")

    assert (wrong.reason, wrong.value) == ("trailing_garbage", "-- sent by a tired s")
    assert wrong.expected == f"the end of the gz file, or another member of it, at byte {len(packed) + 1}"


def test_a_gz_file_with_a_wrong_sum_or_broken_bytes_is_told() -> None:
    packed = bytearray(gzip.compress(DATA))
    packed[-6] ^= 1
    assert refused(bytes(packed)).reason == "bad_gzip"
    packed = bytearray(gzip.compress(os.urandom(100_000)))
    packed[50:60] = b"\xff" * 10
    assert refused(bytes(packed)).reason in ("bad_gzip", "truncated")


def test_a_gz_bomb_is_stopped_by_its_growth_and_by_its_size_without_filling_memory() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)

    (content,) = contents(io.BytesIO(bomb), BOUNDS)
    tracemalloc.start()
    with pytest.raises(UnpackRefused) as caught:
        for _ in content.blocks():
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert caught.value.reason == "unpacks_too_far"
    assert peak < 2_000_000
    assert refused(bomb, Bounds(40_000_000, 100_000)).reason == "too_large_unpacked"
    assert len(unpacked(bomb, Bounds(50_000_000, 100_000))[""]) == 50_000_000


def test_small_files_may_grow_as_they_like() -> None:
    assert unpacked(gzip.compress(b" " * 1_000_000)) == {"": b" " * 1_000_000}


@pytest.mark.parametrize("inner", [gzip.compress(DATA), zipped(("a.csv", DATA))])
def test_what_is_packed_twice_is_refused(inner: bytes) -> None:
    assert refused(gzip.compress(inner)).reason == "packed_twice"
    assert refused(zipped(("a", inner))).reason == "packed_twice"


@given(st.binary(max_size=2000).filter(lambda data: data[:2] not in (b"\x1f\x8b", b"PK")), st.integers(1, 3))
def test_whatever_was_packed_comes_out(data: bytes, members: int) -> None:
    assert unpacked(gzip.compress(data) * members) == {"": data * members}


@given(st.binary(max_size=2000))
def test_any_bytes_behind_the_sign_of_a_gz_file_are_refused_and_nothing_else_happens(data: bytes) -> None:
    assert refused(b"\x1f\x8b" + data).reason in ("bad_gzip", "truncated")


# zip


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_each_file_of_a_zip_comes_out_under_its_name(how: int) -> None:
    packed = zipped(("a.csv", DATA), ("dir/ä.csv", b"2"), ("dir/", b""), ("empty", b""), how=how)

    assert unpacked(packed) == {"a.csv": DATA, "dir/ä.csv": b"2", "empty": b""}


@pytest.mark.parametrize(
    "name", ["../../x.csv", "/etc/x.csv", "C:\\x.csv", "a/../../x.csv", "..\\x.csv", "\\\\host\\x"]
)
def test_a_name_that_leads_elsewhere_is_refused_and_its_neighbours_go_on(name: str) -> None:
    packed = zipped((name, b"1"), ("good.csv", b"2"))

    assert list(problems(packed).values()) == ["unsafe_name"]
    assert unpacked(packed)["good.csv"] == b"2"


def test_links_repeated_names_and_foreign_packings_are_refused() -> None:
    link = zipfile.ZipInfo("link.csv")
    link.external_attr = 0o120777 << 16
    with pytest.warns(UserWarning, match="Duplicate name"):
        packed = zipped((link, b"/etc/passwd"), ("a.csv", b"1"), ("a.csv", b"2"))
    found = contents(io.BytesIO(packed), BOUNDS)

    assert [content.problem.reason if content.problem else "" for content in found] == [
        "not_a_file",
        "",
        "repeated_name",
    ]
    assert problems(zipped(("a.csv", DATA), how=zipfile.ZIP_BZIP2)) == {"a.csv": "unknown_packing"}
    assert problems(zipped(("a.csv", DATA), how=zipfile.ZIP_LZMA)) == {"a.csv": "unknown_packing"}


def test_an_encrypted_file_is_told() -> None:
    packed = bytearray(zipped(("a.csv", DATA)))
    packed[6] |= 1
    directory = packed.index(b"PK\x01\x02")
    packed[directory + 8] |= 1

    assert problems(bytes(packed)) == {"a.csv": "encrypted"}


def test_what_file_managers_put_there_for_themselves_is_passed_over() -> None:
    found = contents(io.BytesIO(zipped(("a.csv", b"1"), ("__MACOSX/._a.csv", b"2"), (".DS_Store", b"3"))), BOUNDS)

    assert [(content.name, bool(content.skipped)) for content in found] == [
        ("a.csv", False),
        ("__MACOSX/._a.csv", True),
        (".DS_Store", True),
    ]


def test_a_wrong_sum_in_a_zip_is_told_by_the_file_that_has_it() -> None:
    packed = bytearray(zipped(("a.csv", DATA), ("b.csv", b"2"), how=zipfile.ZIP_STORED))
    packed[1000] ^= 1
    first, second = contents(io.BytesIO(bytes(packed)), BOUNDS)

    with pytest.raises(UnpackRefused) as caught:
        list(first.blocks())
    assert (caught.value.reason, caught.value.field) == ("bad_zip", "a.csv")
    assert "CRC" in caught.value.expected
    assert b"".join(second.blocks()) == b"2"


def test_a_zip_bomb_is_stopped_by_its_growth_and_by_what_it_says_of_itself() -> None:
    bomb = zipped(("a", b"\0" * 50_000_000))

    assert refused(bomb).reason == "unpacks_too_far"
    assert refused(bomb, Bounds(40_000_000, 100_000)).reason == "too_large_unpacked"
    several = zipped(*((f"{n}", DATA) for n in range(10)))
    assert refused(several, Bounds(len(DATA) * 5, 200)).reason == "too_large_unpacked"


def test_a_zip_that_lies_about_a_size_gives_no_more_than_it_said() -> None:
    packed = bytearray(zipped(("a", DATA)))
    directory = packed.index(b"PK\x01\x02")
    packed[directory + 24 : directory + 28] = struct.pack("<L", 100)

    wrong = refused(bytes(packed))

    assert (wrong.reason, wrong.field) == ("bad_zip", "a")


def test_entries_that_share_their_bytes_are_refused() -> None:
    packed = bytearray(zipped(("a", DATA), ("b", DATA)))
    first = packed.index(b"PK\x01\x02")
    second = packed.index(b"PK\x01\x02", first + 4)
    packed[second + 42 : second + 46] = packed[first + 42 : first + 46]

    wrong = refused(bytes(packed))

    assert (wrong.reason, wrong.value) == ("overlapping_entries", "a and b")


def test_a_zip_of_very_many_files_is_refused_before_its_directory_is_read() -> None:
    packed = zipped(*((f"{n}", b"") for n in range(10_001)), how=zipfile.ZIP_STORED)
    assert refused(packed).reason == "too_many_entries"

    end = bytearray(zipped(("a", b"1")))
    at = end.rindex(b"PK\x05\x06")
    end[at + 12 : at + 16] = struct.pack("<L", 200_000_000)
    assert refused(bytes(end)).reason == "bad_zip"


@pytest.mark.parametrize("cut", [10, 100, -1, -10, -30])
def test_a_zip_that_is_cut_off_is_told(cut: int) -> None:
    assert refused(zipped(("a", DATA), ("b", DATA))[:cut]).reason == "bad_zip"


def test_a_workbook_is_told_as_one_and_an_empty_zip_too() -> None:
    assert refused(zipped(("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>"))).reason == "office_document"
    assert refused(zipped()).reason == "empty_zip"
    assert refused(zipped(("dir/", b""))).reason == "empty_zip"


def test_a_zip_with_a_damaged_byte_anywhere_never_fails_in_another_way() -> None:
    packed = zipped(("a.csv", DATA[:2000]), ("dir/b.csv", b"2" * 300), ("c", b""))
    chance = random.Random(7)
    for _ in range(3000):
        damaged = bytearray(packed)
        for _ in range(chance.choice((1, 1, 2, 5))):
            damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
        try:
            for content in contents(io.BytesIO(bytes(damaged)), BOUNDS):
                if content.problem is None:
                    try:
                        b"".join(content.blocks())
                    except UnpackRefused:
                        continue
        except UnpackRefused:
            continue


def test_a_deflated_entry_of_garbage_is_told() -> None:
    packed = bytearray(zipped(("a.csv", DATA)))
    packed[40:60] = b"\xff" * 20

    assert refused(bytes(packed)).reason == "bad_zip"
