"""Manifests in their three forms and the lines of sha256sum, and those that say nothing that can be checked."""

from __future__ import annotations

import pytest

from interlock.connectors.formats.document import FormatUnreadable
from interlock.connectors.transports.manifest import MANIFEST_BYTES_MAX, Manifest, compare, read_manifest

SHA = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    "content",
    [
        f"bytes: 12\nsha256: {SHA}\nmd5: {MD5}\nrows: 3\n",
        f"# made by the ERP\r\nSize = 12\r\nSHA-256={SHA}\r\nMD5 = {MD5}\r\nRecords: 3\r\nsender: erp\r\n",
        f'{{"file": "a.csv", "bytes": 12, "sha256": "{SHA}", "md5": "{MD5}", "rows": "3", "sent": null}}',
        f"file,bytes,sha256,md5,rows\nother.csv,1,,,\na.csv,12,{SHA},{MD5},3\n",
        f'\ufeffBYTES;SHA256;MD5;ROWS\n"12";{SHA};{MD5};3\n',
        f"name\tbytes\trows\tsha256\tmd5\na.csv\t12\t3\t{SHA}\t{MD5}",
    ],
)
def test_the_forms_of_a_manifest_say_the_same(content: str) -> None:
    assert read_manifest(content.encode(), "a.csv") == Manifest(bytes=12, rows=3, sha256=SHA.lower(), md5=MD5)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{SHA}  a.csv\n", Manifest(sha256=SHA.lower())),
        (f"{MD5} *a.csv\n", Manifest(md5=MD5)),
        (f"{MD5}  other.csv\n{SHA}  out/a.csv\n", Manifest(sha256=SHA.lower())),
        ("rows: 0", Manifest(rows=0)),
    ],
)
def test_a_manifest_may_say_little(content: str, said: Manifest) -> None:
    assert read_manifest(content.encode(), "a.csv") == said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "manifest: '' is not lines such as `bytes: 1204`, a JSON object, or a CSV"),
        (b"all is well", "manifest: 'all is well' is not lines such as"),
        (b"sender: erp", "manifest: 'sender: erp' is not one that says bytes, sha256, md5 or rows"),
        (b"{bytes: 12}", "manifest: '{bytes: 12}' is not a JSON object"),
        (b"bytes: many", "manifest.bytes: 'many' is not a whole number"),
        (b"rows: -1", "manifest.rows: '-1' is not a whole number"),
        (b"sha256: 12", "manifest.sha256: '12' is not 64 hex digits"),
        (b"file: b.csv\nrows: 1", "manifest.file: 'b.csv' is not a.csv, the name of the file that it lies beside"),
        (b"file,rows\nb.csv,1\nc.csv,2\n", "manifest: 'file,rows' is not a row for a.csv"),
        (b"\xff\xfe", "manifest: '\\\\xff\\\\xfe' is not text in UTF-8"),
        (b"x" * (MANIFEST_BYTES_MAX + 1), "manifest: '65537 bytes' is not at most 65536 bytes"),
    ],
)
def test_a_manifest_that_says_nothing_that_can_be_checked_is_told(content: bytes, message: str) -> None:
    with pytest.raises(FormatUnreadable) as caught:
        read_manifest(content, "a.csv")
    assert str(caught.value).startswith(message)
    assert caught.value.reason == "bad_manifest"


def test_all_that_differs_is_told() -> None:
    said = Manifest(bytes=12, rows=3, md5="a" * 32)
    compare(said, Manifest(bytes=12, rows=3, md5="a" * 32, sha256="b" * 64))

    with pytest.raises(FormatUnreadable) as caught:
        compare(said, Manifest(bytes=11, rows=3, md5="b" * 32))

    assert str(caught.value) == (
        f"file: '11 bytes, md5 {'b' * 32}' is not what its manifest says: 12 bytes, md5 {'a' * 32}"
    )
