"""The report of `penpay bench withdrawals` in words: every figure with its goal, and what limited it."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from penpay.bench.load import percentile
from penpay.bench.verdict import COLD_START_S, cpu, limit, mark, ms
from penpay.bench.withdrawals import Report

URGENT_FIRST = 0.99


def lines(report: Report) -> list[str]:
    """The whole report."""
    text = [f"database on {report.stored_on or 'an unknown file system'}, every commit forced to it"]
    if report.rounds:
        rounds, reached = report.rounds, report.completed_per_s
        spread = ", ".join(f"{one.completed_per_s:.0f}" for one in rounds)
        text += [
            (
                f"completed withdrawals: {reached:.1f}/s (median of {spread}); one thread compares "
                f"{report.pins_per_s:.0f} PINs/s, goal half of it — {mark(met=reached >= report.goal_per_s)}"
            ),
            (
                f"  POST with its PIN p50 {ms(rounds, 'post_s', 0.5)}, p99 {ms(rounds, 'post_s', 0.99)}; from asking "
                f"for the code to the payout p50 {ms(rounds, 'whole_s', 0.5)}, p99 {ms(rounds, 'whole_s', 0.99)}"
            ),
            f"  CPU per withdrawal: {cpu(rounds)}",
        ]
        refused = {reason: times for one in rounds for reason, times in one.refused.items()}
        text += [f"  refused: {refused}"] if refused else []
        text.append(f"  {limit(rounds[-1])}")
    if (found := report.open) is not None:
        text += [
            (
                f"{found.count:,} withdrawals past the debit and {found.payers:,} payers, all due: ready in "
                f"{found.cold_s:.1f} s (goal {COLD_START_S:.0f}) — {mark(met=found.cold_s <= COLD_START_S)}"
            ),
            (
                f"withdrawals among those that moved first: {found.urgent_first:.1%} (goal {URGENT_FIRST:.0%}) — "
                f"{mark(met=found.urgent_first >= URGENT_FIRST)}"
            ),
            "  limited by importing Python and taking leases; a shard wakes fifty sagas a second, urgent ones first",
        ]
    text += [f"WRONG: {problem}" for problem in report.broken]
    return text


def as_json(report: Report) -> dict[str, Any]:
    """The same for machines, without the single samples."""
    figures = asdict(report)
    for measured in figures["rounds"]:
        for name in ("post_s", "whole_s"):
            samples = measured.pop(name)
            measured[name.removesuffix("_s") + "_p50_s"] = percentile(samples, 0.5)
            measured[name.removesuffix("_s") + "_p99_s"] = percentile(samples, 0.99)
    return {**figures, "completed_per_s": report.completed_per_s, "verdicts": dict(verdicts(report))}


def verdicts(report: Report) -> Iterator[tuple[str, bool]]:
    """Each goal that was measured, and whether it is met."""
    if report.rounds:
        yield "completed_per_s", report.completed_per_s >= report.goal_per_s
    if report.open is not None:
        yield "cold_start_s", report.open.cold_s <= COLD_START_S
        yield "urgent_first", report.open.urgent_first >= URGENT_FIRST
    yield "books", not report.broken
