"""A stand-in for Interlock's public edges: remembers what it was told, releases to the peers, and can fail on purpose.

It knows just enough to keep every peer busy: one assignment an order, by the road that the order takes; what is rejected
goes to the third party. It is no imitation of Interlock's rules.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from interlock.simulation.estate_program.http import HttpClient, HttpServer, Response


class FakeOrder:
    """An order: open units by line, and the assignments made of it."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.open = {line["line_no"]: line["quantity"] for line in body["lines"]}
        self.held: dict[str, dict[int, int]] = {}
        self.paid = bool(body.get("payment"))
        self.canceled = 0
        self.shipped = 0

    @property
    def state(self) -> str:
        if any(self.open.values()) or any(any(lines.values()) for lines in self.held.values()):
            return "released" if self.held else "created"
        return "closed" if self.shipped else "canceled"


class FakeInterlock:
    """Serves HTTP on a port, reads the drop folders, and tells the peers."""

    def __init__(self, folder: Path, plan: dict[str, Any], port: int, *, cut_first: int = 0) -> None:
        self.port = port
        self.orders: dict[str, FakeOrder] = {}
        self.applied: dict[tuple[str, str, str], bytes] = {}
        self.parked: list[tuple[str, dict[str, Any]]] = []
        self.calls: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.captured: Counter[str] = Counter()
        self.refunded: Counter[str] = Counter()
        self._folder = folder
        self._plan = plan
        self._cut_left = cut_first
        self._files: dict[str, str] = {}
        self._batch = 0
        self._interchanges = 0
        self._told: asyncio.Queue[tuple[int, dict[str, Any]]] = asyncio.Queue()
        ports = [number for name, number in plan["ports"].items() if name != "dc_sftp"]
        self._clients = {number: HttpClient("127.0.0.1", number) for number in ports}

    async def run(self) -> None:
        """Serve until canceled."""
        try:
            async with HttpServer(self.port, self._handle), asyncio.TaskGroup() as group:
                group.create_task(self._read_folders())
                for _ in range(4):
                    group.create_task(self._tell())
        finally:
            for client in self._clients.values():
                await client.close()

    async def _handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response | None:
        if self._cut_left > 0:
            self._cut_left -= 1
            return None if self._cut_left % 2 else Response(503, {}, b"{}")
        if method == "GET":
            return self._read(path)
        if "no-such-key" in headers["authorization"]:
            return _response(401, {"title": "who?"})
        if path == "/v1/bulk":
            lines = [msgspec.json.decode(line) for line in body.splitlines()]
            answers = [self._act(line.pop("action"), line) for line in lines]
            text = [msgspec.json.encode({"line": n, **a, "status": s}) for n, (s, a) in enumerate(answers, 1)]
            return Response(200, {}, b"\n".join(text))
        action = "order.create" if path == "/v1/orders" else path.rpartition("/")[2]
        return _response(*self._act(action, msgspec.json.decode(body)))

    def _read(self, path: str) -> Response:
        if path.startswith("/v1/positions?sku="):
            sku, _, node = path.removeprefix("/v1/positions?sku=").partition("&node=")
            return _response(200, {"positions": [{"sku": sku, "node": node, "physical": 7}]})
        order = self.orders.get(unquote(path.rpartition("/")[2]).removeprefix("webshop:"))
        return _response(200, {"state": order.state}) if order else _response(404, {"title": "not found"})

    def _act(self, action: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Apply a command once; the same again is answered, another under its key is a conflict."""
        self.calls[action] += 1
        if "colour" in body:
            return 400, {"title": "unreadable"}
        stock = f"{body.get('sku')} {body.get('node')}"
        whose = body.get("order_id") or body.get("order") or body.get("assignment") or stock
        number = str(whose).removeprefix("webshop:").partition("/")[0]
        if action == "order.cancel" and str(body["ref"]).startswith("WRONG"):
            return 403, {"title": "no authority"}
        key = (action, str(whose), str(body.get("ref", "")))
        payload = msgspec.json.encode(body, order="deterministic")
        if key in self.applied:
            same = self.applied[key] == payload
            return (200, {"outcome": "processed", "replayed": True}) if same else (409, {"title": "conflict"})
        if action not in ("order.create", "stock.adjust", "stock.count") and number not in self.orders:
            self.parked.append((action, body))
            return 202, {"outcome": "parked", "waits_for": "order.create"}
        if action == "refund.issue" and float(body["amount"]) > 50_000:
            return 422, {"outcome": "refused", "reason": "over_captured"}
        self.applied[key] = payload
        self._apply(action, number, body)
        return (201 if action == "order.create" else 200), {"outcome": "processed", "replayed": False}

    def _apply(self, action: str, number: str, body: dict[str, Any]) -> None:
        if action == "order.create":
            self.orders[number] = FakeOrder(body)
            for waiting in [each for each in self.parked if each[1]["order"] == number]:
                self.parked.remove(waiting)
                self._act(*waiting)
            self._release(number, "")
        elif action == "order.authorize":
            self.orders[number].paid = True
            self._release(number, "")
        elif action == "order.capture":
            self.captured[number] += 1
        elif action == "refund.issue":
            self.refunded[number] += 1
        elif action == "order.cancel":
            self._cancel(number, body.get("lines"))
        elif action in ("shipment.confirm", "shipment.reject"):
            self._settle(action, number, body)

    def _cancel(self, number: str, lines: list[dict[str, Any]] | None) -> None:
        """Cancel what no node holds; of what a node holds, tell it and hope."""
        order = self.orders[number]
        for assignment, held in order.held.items():
            gone = [line for line in lines or listed(held) if held.get(line["line_no"], 0) >= line["quantity"]]
            for line in gone:
                held[line["line_no"]] -= line["quantity"]
                order.canceled += line["quantity"]
            if gone:
                self._send("shipment.cancel", number, assignment, gone)
        if not order.held:
            for line in lines or listed(order.open):
                order.open[line["line_no"]] -= line["quantity"]
                order.canceled += line["quantity"]

    def _settle(self, action: str, number: str, body: dict[str, Any]) -> None:
        order = self.orders[number]
        held = order.held[body["assignment"]]
        for line in body["lines"]:
            held[line["line_no"]] = max(0, held[line["line_no"]] - line["quantity"])
            if action == "shipment.confirm":
                order.shipped += line["quantity"]
            else:
                order.open[line["line_no"]] += line["quantity"]
        self._release(number, "third_party")

    def _release(self, number: str, node: str) -> None:
        """Give all open units to one node."""
        order = self.orders[number]
        units = {line_no: quantity for line_no, quantity in order.open.items() if quantity}
        if not order.paid or not units:
            return
        assignment = f"webshop:{number}/{len(order.held) + 1}"
        order.held[assignment] = dict(units)
        order.open = dict.fromkeys(order.open, 0)
        road = order.body["fulfillment"], order.body["channel"]
        at_store = road[0] == "bopis" or road[1] == "web-local"
        order.body[assignment] = node or ("stores" if at_store else "dc" if len(units) > 1 else "third_party")
        self._send("shipment.release", number, assignment, listed(units))

    def _send(self, message: str, number: str, assignment: str, lines: list[dict[str, Any]]) -> None:
        self._batch += 1
        order = self.orders[number]
        receiver = order.body[assignment]
        sent = {
            "message": message, "id": f"{assignment}/{self._batch}", "assignment": assignment, "order": f"webshop:{number}",
            "number": number, "node": receiver, "fulfillment": order.body["fulfillment"], "lines": lines,
        }  # fmt: skip
        if receiver == "dc":
            self._put("940", self._order_940(sent))
        else:
            self._told.put_nowait((self._plan["ports"][receiver], sent))

    def _order_940(self, sent: dict[str, Any]) -> list[list[str]]:
        body = [["W05", "F" if sent["message"] == "shipment.cancel" else "N", sent["assignment"], sent["number"]]]
        body += [["N1", "SF", "", "92", "DC"], ["N1", "ST", "CUSTOMER"]]
        for line in sent["lines"]:
            body += [
                ["LX", "1"],
                ["W01", str(line["quantity"]), "EA", "", "SK", "S"],
                ["N9", "LI", str(line["line_no"])],
            ]
        return body

    def _put(self, code: str, body: list[list[str]]) -> None:
        """Put one interchange into the DC's mailbox, as an SFTP client would: under a hidden name first."""
        self._interchanges += 1
        folder = self._folder / self._plan["folders"]["dc_in"]
        text = "~".join("*".join(segment) for segment in [*_head(code, self._interchanges), *body])
        text += f"~SE*{len(body) + 2}*0001~GE*1*{self._interchanges}~IEA*1*{self._interchanges:09}~"
        (folder / ".half").write_text(text)
        (folder / ".half").replace(folder / f"{code}-{self._interchanges:06}.edi")

    async def _tell(self) -> None:
        """Deliver over HTTP until it is taken."""
        while True:
            port, sent = await self._told.get()
            status = 0
            while status != 200:
                try:
                    body = msgspec.json.encode(sent)
                    headers = {"Idempotency-Key": sent["id"]}
                    status = (await self._clients[port].request("POST", "/interlock", headers, body, 2.0)).status
                except Exception:
                    await asyncio.sleep(0.02)

    async def _read_folders(self) -> None:
        """Take dropped files that stopped growing, and say so beside them."""
        sizes: dict[Path, int] = {}
        while True:
            for kind in ("counts", "sales", "tendered", "dc_out"):
                folder = self._folder / self._plan["folders"][kind]
                (folder / "done").mkdir(exist_ok=True)
                for path in sorted(each for each in folder.glob("[!.]*.*") if each.is_file()):
                    size = path.stat().st_size
                    if sizes.get(path) == size:
                        self._take(kind, path)
                    sizes[path] = size
            await asyncio.sleep(0.3)

    def _take(self, kind: str, path: Path) -> None:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        before = self._files.setdefault(digest, path.name)
        result: dict[str, Any] = {"state": "done"}
        if before != path.name:
            result = {"state": "duplicate", "duplicate_of": before}
        elif kind == "sales":
            self.rows[kind] += content.count(b"<Sale>")
        elif kind == "dc_out":
            self._take_interchange(content.decode())
        else:
            rows = list(csv.DictReader(io.StringIO(content.decode()), delimiter=";" if kind == "tendered" else ","))
            self.rows[kind] += len(rows)
        path.replace(path.parent / "done" / path.name)
        (path.parent / "done" / f"{path.name}.result.json").write_bytes(msgspec.json.encode(result))

    def _take_interchange(self, text: str) -> None:
        """Act on the DC's advices, and acknowledge their group."""
        segments = [each.strip().split("*") for each in text.split("~") if each.strip()]
        group = next(each for each in segments if each[0] == "GS")
        if group[1] != "SW":
            self.calls["functional acknowledgment"] += 1
            return
        for segment in segments:
            if segment[0] == "W06":
                head, line, shipped, short = segment, ["0", "0", "0"], [], []
            elif segment[0] == "W12":
                line = segment
            elif segment[0] == "N9":
                for place, lines in ((3, shipped), (4, short)):
                    if line[place] not in ("", "0"):
                        lines.append({"line_no": int(segment[2]), "quantity": int(line[place])})
            elif segment[0] == "SE":
                for action, lines in (("shipment.confirm", shipped), ("shipment.reject", short)):
                    if lines:
                        self._act(action, {"assignment": head[2], "ref": head[4], "lines": lines})
        self._put("997", [["AK1", "SW", group[6]], ["AK9", "A", "1", "1", "1"]])


def _head(code: str, number: int) -> list[list[str]]:
    """The segments before the body of a transaction set."""
    ids = ["ZZ", f"{'INTERLOCK':15}", "ZZ", f"{'DCWMS':15}"]
    isa = ["ISA", "00", " " * 10, "00", " " * 10, *ids, "170714", "0400", "U", "00401", f"{number:09}", "0", "P", ">"]
    kinds = {"940": "OW", "997": "FA"}
    group = ["GS", kinds[code], "INTERLOCK", "DCWMS", "20170714", "0400", str(number), "X", "004010"]
    return [isa, group, ["ST", code, "0001"]]


def listed(lines: dict[int, int]) -> list[dict[str, int]]:
    """Units by line, as a message has them."""
    return [{"line_no": line_no, "quantity": quantity} for line_no, quantity in lines.items() if quantity]


def _response(status: int, body: dict[str, Any]) -> Response:
    return Response(status, {"Content-Type": "application/json"}, msgspec.json.encode(body))
