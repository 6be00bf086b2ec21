"""The report of `penpay bench deposits` in words: every figure with its goal, and what limited it."""

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from penpay.bench.deposits import Report
from penpay.bench.load import Measured, percentile

GOAL_PER_S = 200.0
STRETCH_PER_S = 400.0
POST_P99_S = 0.060
WAITING_BYTES = 80 << 20
COLD_START_S = 10.0
_MIB = 1 << 20


def lines(report: Report) -> list[str]:
    """The whole report."""
    text = [f"database on {report.stored_on or 'an unknown file system'}, every commit forced to it"]
    if report.rounds:
        text += _rounds(report)
    if report.half is not None:
        text += _half(report.half, report.half_per_s, report.speeds)
    if report.paced is not None:
        text += _paced(report.paced)
    if report.waiting is not None:
        text += _waiting(report)
    text += [f"WRONG: {problem}" for problem in report.broken]
    return text


def as_json(report: Report) -> dict[str, Any]:
    """The same for machines, without the single samples."""
    figures = asdict(report)
    for measured in (*figures["rounds"], figures["half"], figures["paced"]):
        if measured:
            for name in ("post_s", "whole_s"):
                samples = measured.pop(name)
                measured[name.removesuffix("_s") + "_p50_s"] = percentile(samples, 0.5)
                measured[name.removesuffix("_s") + "_p99_s"] = percentile(samples, 0.99)
    return {**figures, "completed_per_s": report.completed_per_s, "verdicts": dict(verdicts(report))}


def verdicts(report: Report) -> Iterator[tuple[str, bool]]:
    """Each goal that was measured, and whether it is met."""
    if report.rounds:
        yield "completed_per_s", report.completed_per_s >= GOAL_PER_S
    if report.half is not None:
        yield "post_p99_s", percentile(report.half.post_s, 0.99) <= POST_P99_S
    if report.waiting is not None:
        yield "waiting_bytes", report.waiting.above_idle_bytes <= WAITING_BYTES
        yield "cold_start_s", report.waiting.cold_s <= COLD_START_S
    yield "books", not report.broken


def limit(measured: Measured) -> str:
    """What a closed round was limited by, read off the CPU time of everybody."""
    cores = os.cpu_count() or 1
    node = measured.cpu_s.get("node", 0.0) / measured.took_s
    ours = sum(measured.cpu_s.values()) / measured.took_s
    others = max(0.0, measured.machine_s / measured.took_s - ours)
    if node > 0.85:
        by = "the one core that runs the node's loop"
    elif ours + others > 0.9 * cores:
        by = f"the machine: all {cores} cores are busy"
    else:
        by = "waiting: neither the node's core nor the machine is full"
    words = f"limited by {by} (node {node:.0%} of a core, all our processes {ours:.1f} of {cores} cores"
    return f"{words}; other programs took {others:.1f}, so this is noisy)" if others > 0.15 else f"{words})"


def _rounds(report: Report) -> list[str]:
    reached, rounds = report.completed_per_s, report.rounds
    spread = ", ".join(f"{one.completed_per_s:.0f}" for one in rounds)
    text = [
        (
            f"completed deposits: {reached:.0f}/s (median of {spread}; goal {GOAL_PER_S:.0f}, stretch "
            f"{STRETCH_PER_S:.0f}) — {mark(met=reached >= GOAL_PER_S)}"
        ),
        (
            f"  POST p50 {ms(rounds, 'post_s', 0.5)}, p99 {ms(rounds, 'post_s', 0.99)}; from request to credit p50 "
            f"{ms(rounds, 'whole_s', 0.5)}, p99 {ms(rounds, 'whole_s', 0.99)}"
        ),
        f"  CPU per deposit: {cpu(rounds)}",
    ]
    refused = {reason: times for one in rounds for reason, times in one.refused.items()}
    if refused:
        text.append(f"  refused: {refused}")
    text.append(f"  {limit(rounds[-1])}")
    if report.parts:
        node_s = statistics.median(_per_deposit(one)["node"] for one in rounds)
        costs = [f"{name} {share * node_s * 1000:.2f} ms ({share:.0%})" for name, share in report.parts.items()]
        text += [
            f"  the node's largest costs per deposit: {'; '.join(costs[:3])}",
            f"  the rest: {'; '.join(costs[3:])}",
        ]
    return text


def _half(half: Measured, per_s: float, speeds: Sequence[float]) -> list[str]:
    p99 = percentile(half.post_s, 0.99)
    return [
        (
            f"at {per_s:.0f} requests/s (half of that): POST p50 {ms([half], 'post_s', 0.5)}, p99 "
            f"{ms([half], 'post_s', 0.99)} (goal {POST_P99_S * 1000:.0f} ms) — {mark(met=p99 <= POST_P99_S)}; from "
            f"request to credit p50 {ms([half], 'whole_s', 0.5)}, p99 {ms([half], 'whole_s', 0.99)}"
        ),
        f"  CPU per deposit: {cpu([half])}",
        f"  {limit(half)}",
        *_lent(speeds),
    ]


def _lent(speeds: Sequence[float]) -> list[str]:
    """What the machine was worth then, beside what it was worth in the rounds: the host lends it now more, now less."""
    if len(speeds) < 3:
        return []
    share = statistics.mean(speeds[-2:]) / statistics.median(speeds[:-2])
    return [
        f"  before and after it the idle machine did a fixed piece of work {share:.0%} as fast as before the rounds"
    ]


def _paced(paced: Measured) -> list[str]:
    return [
        f"under production pacing: {paced.completed_per_s:.1f} completed/s",
        (
            "  limited by our own limits towards Deriv (200 calls a minute; a new recipient takes two, check and "
            "transfer) and Safaricom (5 pushes a second)"
        ),
    ]


def _waiting(report: Report) -> list[str]:
    found = report.waiting
    assert found is not None
    grown = found.above_idle_bytes
    return [
        (
            f"{found.count:,} deposits waiting for their payer: {grown / _MIB:.0f} MiB above idle (goal "
            f"{WAITING_BYTES / _MIB:.0f}) — {mark(met=grown <= WAITING_BYTES)}; idle {found.idle_bytes / _MIB:.0f}, "
            f"peak {found.peak_bytes / _MIB:.0f}, after a cold start {found.cold_bytes / _MIB:.0f} MiB"
        ),
        (
            f"cold start with them: ready in {found.cold_s:.1f} s (goal {COLD_START_S:.0f}) — "
            f"{mark(met=found.cold_s <= COLD_START_S)}"
        ),
        "  limited by importing Python and taking leases; waiting sagas are rows, not actors",
    ]


def _per_deposit(measured: Measured) -> Mapping[str, float]:
    done = measured.ended.get("COMPLETED", 0) or 1
    return {name: seconds / done for name, seconds in measured.cpu_s.items()}


def cpu(rounds: Sequence[Measured]) -> str:
    """Milliseconds of each process per completed transaction, medians over the rounds."""
    spent = [_per_deposit(one) for one in rounds]
    medians = {name: statistics.median(one[name] for one in spent) for name in spent[0]}
    each = ", ".join(f"{name} {seconds * 1000:.2f}" for name, seconds in medians.items())
    return f"{each}; together {sum(medians.values()) * 1000:.2f} ms"


def ms(rounds: Sequence[Measured], name: str, share: float) -> str:
    """A percentile of some samples in words, the median over the rounds."""
    return f"{statistics.median(percentile(getattr(one, name), share) for one in rounds) * 1000:.0f} ms"


def mark(*, met: bool) -> str:
    """A goal's verdict in one word."""
    return "ok" if met else "MISSED"
