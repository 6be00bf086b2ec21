"""`penpay demo`: bring an installation up, play all scenarios at once, show their progress, prove the end."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from penpay.demo.play import FINAL, Played, Stage, play
from penpay.demo.proof import Check, checks, trial_balance
from penpay.demo.rails import SandboxControl
from penpay.demo.scenarios import DEPOSITS, SCENARIOS, WITHDRAWALS, Scenario
from penpay.stack.installation import PrivateInstallation

SPEED = 30
"""Times of sagas are divided by this, and the demo says so: half an hour of waiting fits into a minute."""
END_WITHIN_S = 120.0
AT_ONCE = 16
SETTINGS = {
    "PENPAY_TIMING__SPEED": str(SPEED),
    # Pushes wait for their turn under pacing; sped up thirtyfold they would be too old to be sent.
    "PENPAY_TIMING__STK_MAX_AGE_S": "6000",
    "PENPAY_LIMITS__DARAJA_STK_PER_S": "20",
    "PENPAY_NODE__LOG_LEVEL": "info",
}


def run(console: Console | None = None) -> int:
    """0 when every transaction ended as its scenario says and every check holds, else 1."""
    console = console or Console()
    began = time.monotonic()
    console.print(
        f"[bold]PenPay demo[/]: {DEPOSITS} deposits and {WITHDRAWALS} withdrawals over real sockets; "
        f"times of sagas run {SPEED} times faster."
    )
    with PrivateInstallation(
        settings=SETTINGS, on_step=lambda step: console.print(f"  starting {step}")
    ) as installation:
        installation.start()
        everyone = [Played(scenario, number) for number, scenario in enumerate(_each(), start=1)]
        truth = asyncio.run(_play(installation, everyone, console))
        books = trial_balance(installation)
        verdict = checks(installation, books, truth)
    _show_scenarios(console, everyone)
    _show_books(console, books)
    _show_checks(console, verdict)
    good = all(one.right for one in everyone) and all(check.holds for check in verdict)
    took = time.monotonic() - began
    words = "[bold green]Every cent is where it belongs[/]" if good else "[bold red]Something is wrong[/]"
    console.print(f"{words} ({took:.0f} s)")
    return 0 if good else 1


def _each() -> list[Scenario]:
    return [scenario for scenario in SCENARIOS for _ in range(scenario.count)]


async def _play(installation: PrivateInstallation, everyone: Sequence[Played], console: Console) -> Mapping[str, Any]:
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
    )
    asked = progress.add_task("asked", total=len(everyone))
    ended = progress.add_task("ended", total=len(everyone))

    def changed() -> None:
        progress.update(asked, completed=sum(bool(one.transaction_id) for one in everyone))
        progress.update(ended, completed=sum(one.status in FINAL for one in everyone))

    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        control = SandboxControl(installation.control_url, session)
        stage = Stage(installation.node.public_url, session, control, END_WITHIN_S)
        with Live(progress, console=console, refresh_per_second=4):
            await asyncio.gather(*(play(stage, one, changed) for one in everyone))
        truth: Mapping[str, Any] = await control.summary()
        return truth


def _show_scenarios(console: Console, everyone: Sequence[Played]) -> None:
    table = Table("scenario", "played", "must end", "ended", "through")
    for scenario in SCENARIOS:
        played = [one for one in everyone if one.scenario is scenario]
        ends = sorted({one.problem or one.status for one in played})
        colour = "green" if all(one.right for one in played) else "red"
        table.add_row(
            scenario.name,
            str(len(played)),
            scenario.ends,
            f"[{colour}]{', '.join(ends)}[/]",
            " → ".join(played[0].trace),
        )
    console.print(table)


def _show_books(console: Console, books: Mapping[tuple[str, str], int]) -> None:
    table = Table("account", "currency", "balance", title="Trial balance (debit positive)")
    table.columns[2].justify = "right"
    for (code, currency), minor in books.items():
        table.add_row(code, currency, f"{minor / 100:,.2f}")
    console.print(table)


def _show_checks(console: Console, verdict: Sequence[Check]) -> None:
    for check in verdict:
        console.print(
            f"  {'[green]holds[/]' if check.holds else '[red]BROKEN[/]'}  {check.name}  [dim]{check.detail}[/]"
        )
