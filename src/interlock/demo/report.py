"""What the demo prints: what went in, what came of it, and the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from interlock.operations.audit import Finding

Summary = dict[str, Any]


class DemoOutcome(msgspec.Struct, frozen=True):
    """The summary, and what the audit found."""

    summary: Summary
    findings: Sequence[Finding]

    @property
    def green(self) -> bool:
        """Whether everything came to its end, the accounts agree, and every statement holds."""
        return bool(self.summary["complete"]) and all(finding.holds for finding in self.findings)

    def show(self, console: Console) -> None:
        """Print it for people."""
        for title, facts in self.summary.items():
            if isinstance(facts, Mapping):
                _table(console, title, facts)
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("audit: always true", "holds", "offending", "seconds"):
            table.add_column(column)
        for finding in self.findings:
            table.add_row(
                finding.name,
                "[green]yes[/]" if finding.holds else "[red]NO[/]",
                str(finding.count),
                f"{finding.seconds:.2f}",
            )
        console.print(table)
        for finding in self.findings:
            for row in finding.rows:
                console.print(f"{finding.name}: {row}", style="red", markup=False)
        for line in self.summary["differences"]:
            console.print(f"the accounts differ: {line}", style="red", markup=False)
        verdict = "complete, and every statement holds" if self.green else "NOT as it should be: see above"
        console.print(f"\nThe demo is {verdict}.", style="bold green" if self.green else "bold red")


def summarize(
    plan: Mapping[str, Any], report: Mapping[str, Any], totals: Mapping[str, Any], status: Mapping[str, Any]
) -> Summary:
    """One account from three: what was planned, what the peers did, what Interlock has."""
    events = totals["events_by_type"]
    outcomes: Counter[str] = Counter()
    for row in status["messages"]:
        outcomes[row["outcome"]] += row["messages"]
    states: Counter[str] = Counter()
    for row in status["orders"]:
        states[row["state"]] += row["orders"]
    rows = plan["rows"]
    differences = _differences(plan, report, totals)
    trading_s = report.get("seconds", {}).get("trading") if isinstance(report.get("seconds"), Mapping) else None
    return {
        "complete": bool(report.get("finished")) and not differences,
        "differences": differences,
        "source rows": {"in": rows["in"], **rows["outcomes"]},
        "orders": {"all": totals["orders"], **states, "from more than one node": totals["split_orders"]},
        "lines and units": {"lines": totals["lines"], "units": totals["units"], **totals["units_by_state"]},
        "messages": {"all": totals["messages"], **outcomes},
        "what happened": {
            "allocations": events.get("units.allocated", 0),
            "short picks and rejections, sourced again": events.get("units.rejected", 0),
            "backordered": events.get("units.backordered", 0),
            "shipments": totals["shipments"],
            "packages": totals["packages"],
            "cancellations": events.get("units.canceled", 0),
            "returns authorized": events.get("return.authorized", 0),
            "returns received": events.get("units.returned", 0),
            "refunds": events.get("refund.issued", 0),
            "orders closed": events.get("order.closed", 0),
            "stock movements": totals["movements"],
            "positions": totals["positions"],
        },
        "exceptions open": {row["reason"]: row["open"] for row in status["exceptions"]},
        "speed": {"orders per second while trading": round(totals["orders"] / trading_s, 1)} if trading_s else {},
        "peers": report.get("counters", {}),
    }


def _differences(plan: Mapping[str, Any], report: Mapping[str, Any], totals: Mapping[str, Any]) -> list[str]:
    """Where what went in is not what is there."""
    found = []
    rows = plan["rows"]
    if rows["in"] != sum(rows["outcomes"].values()):
        found.append(f"{rows['in']} source rows are not the sum of their outcomes, {sum(rows['outcomes'].values())}")
    if plan["orders"]["total"] != totals["orders"]:
        found.append(f"{plan['orders']['total']} orders were planned, {totals['orders']} are there")
    if plan["lines"]["total"] != totals["lines"]:
        found.append(f"{plan['lines']['total']} lines were planned, {totals['lines']} are there")
    if report.get("unsettled"):
        found.append(f"{report['unsettled']} orders did not come to their end: {report.get('unsettled_orders')}")
    if report.get("given_up"):
        found.append(f"the peers gave up {report['given_up']} requests or files")
    return found


def _table(console: Console, title: str, facts: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=44)
    table.add_column(justify="right")
    for name, value in facts.items():
        if isinstance(value, Mapping):
            table.add_row(f"{name}:", "")
            for part, number in value.items():
                table.add_row(f"  {part}", _number(number))
        else:
            table.add_row(name, _number(value))
    console.print(title, style="bold")
    console.print(table)
    console.print()


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
