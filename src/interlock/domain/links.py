"""Links: how a system and we talk. A transport, a format and a mapping, chosen independently of one another.

    inbound   FolderIn | SftpIn | WebhookIn | ApiIn | BrokerIn | TableIn      bytes come in by it
    outbound  FolderOut | SftpOut | HttpOut | BrokerOut                       bytes go out by it
    format    Format                                                          what the bytes are
    mapping   the name of a mapping                                           what the records mean

These are the values of `estate.yaml`; what each does is told in docs/connecting.md.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

RecordKind = Literal["sales", "stock_counts", "stock_adjustments", "fulfillment"]
FormatKind = Literal[
    "json", "ndjson", "csv", "fixed", "xml", "poslog", "x12", "edifact", "gs1", "ubl", "idoc_xml", "idoc_flat"
]
FieldKind = Literal["text", "number", "signed", "zoned", "packed"]
Acknowledge = Literal["none", "997", "999", "contrl"]
Broker = Literal["nats", "rabbitmq", "kafka", "redis", "mqtt"]


class Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all estate values share: frozen, named fields, no unknown field."""


class RetryPolicy(Base, frozen=True, kw_only=True):
    """When to try again: first after `first_s`, then `factor` times later each time, spread by `jitter`, up to `max_s`."""

    attempts_max: int = 12
    first_s: float = 1.0
    factor: float = 2.0
    max_s: float = 900.0
    jitter: float = 0.2


# Formats


class Field(Base, frozen=True, kw_only=True):
    """A field of a fixed-width record: where it begins (from 1), its bytes, and how they are written.

    `kind`: text, number (digits, with `decimals` of them after an implied point), signed (a sign before or after the digits),
    zoned (the sign in the zone of the last digit) or packed (two digits a byte, the sign in the last half byte).
    """

    name: str
    start: int
    length: int
    kind: FieldKind = "text"
    decimals: int = 0


class Layout(Base, frozen=True, kw_only=True):
    """One type of fixed-width record: known by the text `is` at byte `at` (from 1), or, with no `is`, every record.

    `within` names the layout that it belongs to: a detail is kept in the list of that name of the header before it.
    """

    name: str
    fields: tuple[Field, ...]
    at: int = 1
    is_: str = msgspec.field(default="", name="is")
    within: str = ""


class Party(Base, frozen=True, kw_only=True):
    """A trading partner's address in an interchange: qualifier and id, and the application's id in the group."""

    id: str
    qualifier: str = "ZZ"
    application: str = ""


class Envelope(Base, frozen=True, kw_only=True):
    """How interchanges with a partner are addressed and written: X12 (`version` 004010 ...) or EDIFACT (D96A ...).

    `separators`: for X12 element, component, segment and repetition (`*>~^`), for EDIFACT those of UNA (`:+.? '`).
    """

    ours: Party
    theirs: Party
    version: str = ""
    test: bool = False
    separators: str = ""
    line_ends: bool = False


class Totals(Base, frozen=True, kw_only=True):
    """What a trailer row says of the file: it begins with `mark`; `count` and `sum` are places of cells in it, from 1.

    The count is of the rows between header and trailer, the sum that of the column `of`.
    """

    mark: str
    count: int | None = None
    sum: int | None = None
    of: str = ""


class Format(Base, frozen=True, kw_only=True):
    """What the bytes are.

    `item`: where the records are inside of the whole: a path in JSON, an element's name in XML.
    `header`: whether the first row of a CSV names the columns; without it, `columns` do.
    `group_by`: columns of which consecutive rows with equal values are one document.
    `layouts`, `record_bytes` (0: a record is a line): fixed width. `envelope`: X12 and EDIFACT.
    """

    kind: FormatKind
    encoding: str = ""
    item: str = ""
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    columns: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    totals: Totals | None = None
    layouts: tuple[Layout, ...] = ()
    record_bytes: int = 0
    envelope: Envelope | None = None


# What comes in


class Link(Base, frozen=True, kw_only=True):
    """What all inbound links have. `settings` are given to the mapping; `acknowledge`: which functional
    acknowledgment is sent for an interchange; `contract`: what the system agreed to send by it.
    """

    name: str = ""
    format: Format | None = None
    mapping: str = ""
    settings: dict[str, str] = {}
    acknowledge: Acknowledge = "none"
    contract: str = ""


class Files(Link, frozen=True, kw_only=True):
    """What links have by which files come.

    `records` says what a row of a plain CSV file is (instead of `format` and `mapping`): `columns` maps our field names to the
    file's headers, `fixed` gives fields that no column has. Without a `pattern` such files are `*.csv`, and others may have any
    name. A file is taken when it has not changed for `stable_s`, or at once when `done_suffix` names a marker file; with
    `manifest_suffix` only when the manifest beside it agrees with it.
    """

    path: str
    records: RecordKind | None = None
    pattern: str | None = None
    columns: dict[str, str] = {}
    fixed: dict[str, str] = {}
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    stable_s: float = 1.0
    done_suffix: str | None = None
    manifest_suffix: str | None = None

    def wants(self, name: str) -> bool:
        """Whether a file of that name is taken: it fits the pattern, and is no marker or manifest of another."""
        pattern = self.pattern or ("*.csv" if self.records else "*")
        suffixes = (self.done_suffix, self.manifest_suffix)
        return fnmatchcase(name, pattern) and not any(suffix and name.endswith(suffix) for suffix in suffixes)


class FolderIn(Files, tag_field="kind", tag="folder", frozen=True, kw_only=True):
    """A directory where the system drops files."""


class Host(Base, frozen=True, kw_only=True):
    """An SSH server. `host_key` is its public key as in known_hosts (`ssh-ed25519 AAAA...`): no other is trusted.

    The password, or the path of the private key, is in the environment variable that `password_env` or `key_file_env` names.
    """

    host: str
    user: str
    host_key: str
    port: int = 22
    password_env: str | None = None
    key_file_env: str | None = None


class SftpIn(Files, tag_field="kind", tag="sftp", frozen=True, kw_only=True):
    """A directory on an SSH server that is looked at `every_s`. What was taken goes to its `done/`, or is deleted."""

    server: Host
    every_s: float = 10.0
    timeout_s: float = 30.0
    after: Literal["move", "delete"] = "move"


class WebhookIn(Link, tag_field="kind", tag="webhook", frozen=True, kw_only=True):
    """What the system posts to /v1/in/SYSTEM/NAME, signed or with its key like all calls."""


class ApiIn(Link, tag_field="kind", tag="api", frozen=True, kw_only=True):
    """An HTTP API that we ask `every_s`: page by page, from a watermark that never passes a record that failed.

    `items` is the path to the page's list. `watermark` is the path to the value in an item that grows, sent as
    `watermark_param`; `overlap_s` asks again for that much before it. `page`: how the next page is named: `link` (the Link
    header), `cursor` (the value at `cursor`, sent as `cursor_param`), `number` (1, 2, 3 ... as `cursor_param`) or `none`.
    """

    url: str
    every_s: float = 60.0
    items: str = ""
    id: str = "id"
    params: dict[str, str] = {}
    headers_env: dict[str, str] = {}
    token_env: str | None = None
    watermark: str = ""
    watermark_param: str = ""
    watermark_first: str = ""
    overlap_s: float = 0.0
    page: Literal["none", "link", "cursor", "number"] = "none"
    cursor: str = ""
    cursor_param: str = ""
    pages_max: int = 1000
    requests_per_s: float = 2.0
    timeout_s: float = 30.0


class BrokerIn(Link, tag_field="kind", tag="broker", frozen=True, kw_only=True):
    """A queue, subject, topic or stream of a message broker, whose address is in the variable `url_env`.

    `group` is the durable consumer, consumer group or shared subscription; `stream` the JetStream that holds the subject.
    A message is acknowledged after the commit; what cannot be read is kept as quarantined, and acknowledged too.
    """

    broker: Broker
    url_env: str
    topic: str
    group: str = "interlock"
    stream: str = ""
    batch_max: int = 200


class TableIn(Link, tag_field="kind", tag="table", frozen=True, kw_only=True):
    """A table or view in somebody's SQL database, read `every_s` in the order of `key`, from the last one that was taken on.

    `changed` names a column with the time of the last change: then rows are read by it and the key. `overlap_s`: how long
    a transaction over there may take to appear with an older time.
    """

    url_env: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...] = ()
    changed: str = ""
    overlap_s: float = 5.0
    every_s: float = 5.0
    rows_max: int = 1000


LinkIn = FolderIn | SftpIn | WebhookIn | ApiIn | BrokerIn | TableIn


# What goes out


class Out(Base, frozen=True, kw_only=True):
    """What all outbound links have.

    `format` and `mapping` say what a message becomes; without them it is our own JSON, or our CSV in files.
    `batch`: whether several messages go together. `only_newest`: of messages about the same assignment that wait, only the
    newest goes. `acknowledged_by`: the functional acknowledgment that is awaited for each interchange, within
    `acknowledged_within_s`. `budget`: of the deliveries of an hour, the share that may be repeated attempts.
    """

    format: Format | None = None
    mapping: str = ""
    settings: dict[str, str] = {}
    batch: bool | None = None
    only_newest: bool = False
    acknowledged_by: Acknowledge = "none"
    acknowledged_within_s: float = 14_400.0
    budget: float = 1.0


class FolderOut(Out, tag_field="kind", tag="folder", frozen=True, kw_only=True):
    """A directory where we drop files of at most `rows_max` rows (or messages) for the system."""

    path: str
    rows_max: int = 5000
    delimiter: str = ","
    done_suffix: str | None = None


class SftpOut(Out, tag_field="kind", tag="sftp", frozen=True, kw_only=True):
    """A directory on an SSH server where we put files, each under a hidden name first."""

    server: Host
    path: str
    rows_max: int = 5000
    timeout_s: float = 30.0
    done_suffix: str | None = None


class HttpOut(Out, tag_field="kind", tag="http", frozen=True, kw_only=True):
    """An HTTP call to the system; `token_env` names the environment variable that holds its bearer token."""

    url: str
    token_env: str | None = None
    timeout_s: float = 10.0


class BrokerOut(Out, tag_field="kind", tag="broker", frozen=True, kw_only=True):
    """A queue, subject, topic or stream of a message broker, whose address is in the variable `url_env`."""

    broker: Broker
    url_env: str
    topic: str
    stream: str = ""
    timeout_s: float = 10.0


LinkOut = FolderOut | SftpOut | HttpOut | BrokerOut


# Systems that tell the same


class TwoMasters(Base, frozen=True, kw_only=True):
    """Systems that, during a migration, both report the same facts: what one of them said first is compared with the other's.

    `compare`: which fields must agree. Others may differ (times, words, references).
    """

    name: str
    systems: tuple[str, ...]
    actions: tuple[str, ...] = ("order.create",)
    compare: tuple[str, ...] = ()
    within_s: float = 86_400.0
