"""`edge.yaml`: where the edge listens, which folders it watches, where its centre is, and its limits."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from interlock.domain.errors import InvalidValue

_PLAIN = re.compile(r"/v1/(?:orders|bulk|actions/[\w.-]+)")
_OF_SYSTEM = re.compile(r"/v1/(in|hooks)/([\w.-]+)(?:/([\w.-]+))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Frozen, named fields, no unknown one."""


class Listen(_Base, frozen=True, kw_only=True):
    """Where the systems of the house post. `key_env` names the variable with the key that they send."""

    host: str = "127.0.0.1"
    port: int = 8430
    key_env: str = ""


class Folder(_Base, frozen=True, kw_only=True):
    """A directory whose files are posted to the address `post` of the centre, whole, the oldest first."""

    path: str
    post: str
    content_type: str = "application/octet-stream"
    pattern: str = "*"
    stable_s: float = 1.0
    done_suffix: str | None = None


class Limits(_Base, frozen=True, kw_only=True):
    """What the edge takes: the size of one body or file, and how much may wait. `free_bytes_min` stays free on the disk."""

    body_bytes_max: int = 16 * 1024 * 1024
    queue_items_max: int = 1_000_000
    queue_bytes_max: int = 4 * 1024 * 1024 * 1024
    free_bytes_min: int = 128 * 1024 * 1024


class Forward(_Base, frozen=True, kw_only=True):
    """How it is forwarded. `in_flight`: calls at a time, each of another stream.

    A stream where more than `live_depth` items wait has a backlog: all of these together go at `backlog_per_s`, in at most half
    of the calls. `attempts_max`: of an item for which the centre has an error of its own (500).
    """

    in_flight: int = 8
    live_depth: int = 20
    backlog_per_s: float = 200.0
    timeout_s: float = 30.0
    wait_first_s: float = 0.5
    wait_s_max: float = 30.0
    attempts_max: int = 20


class EdgeSettings(_Base, frozen=True, kw_only=True):
    """All of it. The edge speaks at the centre for one `system` of the estate, with its API key `key`; `local_key` is what the
    systems of the house have to send (empty: nothing).
    """

    name: str
    system: str
    centre: str
    key_env: str = "INTERLOCK_EDGE_KEY"
    directory: Path = Path("var/edge")
    listen: Listen = Listen()
    folders: tuple[Folder, ...] = ()
    limits: Limits = Limits()
    forward: Forward = Forward()
    key: str = ""
    local_key: str = ""

    @property
    def queue_path(self) -> Path:
        """The queue's file."""
        return self.directory / "queue.db"


def load_settings(
    path: Path, environment: Mapping[str, str] = os.environ, *, with_secrets: bool = True
) -> EdgeSettings:
    """The settings of a file, checked, with the keys from the environment. Raises InvalidValue and OSError.

    `with_secrets` false: for looking at the queue only.
    """
    try:
        raw = YAML(typ="safe", pure=True).load(StringIO(path.read_text(encoding="utf-8")))
    except (YAMLError, UnicodeDecodeError) as error:
        raise InvalidValue(str(path), str(error).splitlines()[0], "a YAML file") from error
    if isinstance(raw, dict) and (hidden := [name for name in ("key", "local_key") if name in raw]):
        raise InvalidValue(hidden[0], "...", "in the file: keys are in the environment variables that key_env names")
    try:
        settings = msgspec.convert(raw, EdgeSettings, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        raise InvalidValue(str(path), str(error), "what docs/edge.md describes") from error
    if with_secrets:
        settings = msgspec.structs.replace(
            settings,
            key=_secret(settings.key_env, environment),
            local_key=_secret(settings.listen.key_env, environment) if settings.listen.key_env else "",
        )
    check(settings)
    return settings


def check(settings: EdgeSettings) -> None:
    """Raises InvalidValue for the first setting that cannot be."""
    for field in ("name", "system"):
        if not _NAME.fullmatch(getattr(settings, field)):
            raise InvalidValue(
                field, getattr(settings, field), "a name of letters, digits, dots and dashes, at most 64"
            )
    parts = urlsplit(settings.centre)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidValue("centre", settings.centre, "the http or https address of the centre")
    if not settings.listen.key_env and not settings.local_key and not _is_loopback(settings.listen.host):
        raise InvalidValue(
            "listen.key_env", "", f"the variable of a key, because {settings.listen.host} is no loopback"
        )
    for folder in settings.folders:
        if address_of(folder.post, settings.system) is None:
            raise InvalidValue("folders.post", folder.post, f"an address such as /v1/in/{settings.system}/LINK")
    for owner in (settings.limits, settings.forward):
        for name, value in msgspec.structs.asdict(owner).items():
            if value <= 0 and name != "free_bytes_min":
                raise InvalidValue(name, value, "above zero")


def address_of(path: str, system: str) -> str | None:
    """The address at the centre of what is posted to `path` here; None where the edge does not take that.

    A hook is signed by its sender, and the signature would be too old by the time that the centre is back: the edge answers
    for it with its own key instead, at the address for those.
    """
    if _PLAIN.fullmatch(path):
        return path
    of_system = _OF_SYSTEM.fullmatch(path)
    if of_system is None or of_system[2] != system:
        return None
    kind, _, last = of_system.groups()
    if kind == "in":
        return path
    if last is None:
        return None
    return "/v1/orders" if last == "orders" else f"/v1/actions/{last}"


def _secret(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "").strip()
    if not value or not value.isascii() or not value.isprintable():
        raise InvalidValue("key_env", name, "an environment variable that holds a key")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
