"""What became of a chaos run, for a person and for machines."""

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from penpay.chaos.run import Outcome

_PROBLEMS_SHOWN = 20


def show(console: Console, outcome: Outcome) -> None:
    """Tables of what broke and of what became of everybody, then the verdict."""
    console.print(_broken(outcome), _fates(outcome))
    for problem in outcome.problems[:_PROBLEMS_SHOWN]:
        console.print(f"[red]WRONG[/] {problem}", highlight=False)
    verdict = outcome.verdict
    if verdict.reviews:
        asked = ", ".join(f"{count} {kind}" for kind, count in sorted(verdict.reviews.items()))
        console.print(f"questions for a person: {asked}", highlight=False)
    for reason in outcome.gave_up:
        console.print(f"left without service: {reason}", highlight=False)
    if outcome.held:
        console.print(f"not begun while an earlier withdrawal waited for a person: {outcome.held}", highlight=False)
    if outcome.kept is not None:
        console.print(
            f"[bold red]Something is wrong.[/] Everything is kept; look with: penpay chaos --look {outcome.kept}"
        )
        return
    ends = Counter(state for (_, state), count in verdict.ends.items() for _ in range(count))
    console.print(
        f"[bold green]Nothing was lost or doubled.[/] {outcome.accepted:,} accepted in {outcome.raged_s:.0f} s: "
        f"{', '.join(f'{count:,} {state}' for state, count in sorted(ends.items()))}; quiet {outcome.settled_s:.0f} s"
        " after it. Rails = books per transaction and in total, invariants zero, chains whole.",
        highlight=False,
    )


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The same for machines."""
    plan, verdict = outcome.plan, outcome.verdict
    return {
        "seed": plan.seed,
        "nodes": plan.nodes,
        "transactions": plan.transactions,
        "accepted": outcome.accepted,
        "held": outcome.held,
        "gave_up": outcome.gave_up,
        "storm_s": round(outcome.raged_s, 1),
        "settled_s": round(outcome.settled_s, 1),
        "blows": {str(kind): count for kind, count in outcome.blows.items()},
        "refused_starts": outcome.refused_starts,
        "ends": [{"type": type_, "state": state, "count": n} for (type_, state), n in sorted(verdict.ends.items())],
        "reviews": dict(verdict.reviews),
        "fates": [
            {"direction": direction, "fate": fate, "status": status, "count": count}
            for (direction, fate, status), count in sorted(outcome.fates.items())
        ],
        "wrong": outcome.problems,
        "kept": str(outcome.kept or ""),
    }


def _broken(outcome: Outcome) -> Table:
    table = Table("what broke", "times")
    for kind, count in outcome.blows.most_common():
        table.add_row(kind, str(count))
    if outcome.refused_starts:
        table.add_row("node's start refused, started again", str(outcome.refused_starts))
    return table


def _fates(outcome: Outcome) -> Table:
    table = Table("direction", "what the rails were told", "ended")
    grouped: dict[tuple[str, str], list[str]] = {}
    for (direction, fate, status), count in sorted(outcome.fates.items()):
        grouped.setdefault((direction, fate), []).append(f"{count} {status}")
    for (direction, fate), ends in grouped.items():
        table.add_row(direction, fate, ", ".join(ends))
    return table
