"""The name under which M-Pesa knows a receiver: kept sealed, scored, and before a person when it is another."""

import asyncio
from typing import Any

from tests.faults.conftest import stage, theatre
from tests.faults.stage import Stage
from tests.faults.withdrawing import Withdrawer, withdrawer

__all__ = ["stage", "theatre"]


async def kept(stage: Stage, who: Withdrawer, count: int) -> list[tuple[Any, ...]]:
    """Score and verdict of each name of this customer, once there are so many."""
    statement = (
        "SELECT m.score, m.matched, m.name_sealed FROM {users}.name_matches m"
        " JOIN {ledger}.transactions t ON t.user_id = m.user_id"
        " JOIN {ledger}.provider_operations o ON o.transaction_id = t.id AND o.id = m.reference"
        " WHERE m.rail = 'mpesa' AND t.deriv_loginid = %s ORDER BY m.seen_at"
    )
    async with asyncio.timeout(40):
        while len(rows := stage.rows(statement, who.loginid)) < count:
            await asyncio.sleep(0.1)
    return rows


def questions(stage: Stage, who: Withdrawer) -> list[tuple[Any, ...]]:
    return stage.rows(
        "SELECT r.id, r.owner_role, r.evidence FROM {ledger}.review_items r"
        " JOIN {ledger}.transactions t ON r.evidence LIKE CONCAT('%%', t.id, '%%')"
        " WHERE r.kind = 'payee_name' AND r.closed_at IS NULL AND t.deriv_loginid = %s",
        who.loginid,
    )


async def paid(stage: Stage, who: Withdrawer, name: str) -> str:
    withdrawal = await who.withdraw(b2c={"receiver_name": name})
    await stage.reaches(withdrawal, "COMPLETED")
    return withdrawal


async def test_another_name_is_asked_about_once_and_stops_nobody(stage: Stage):
    who = await withdrawer(stage)
    first = await paid(stage, who, "PETER OTHERMAN")
    ((score, matched, sealed),) = await kept(stage, who, 1)
    assert (matched, score < 80) == (0, True)
    assert b"OTHERMAN" not in bytes(sealed)
    ((item, owner, evidence),) = questions(stage, who)
    assert owner == "COMPLIANCE"
    assert first in evidence
    assert "OTHERMAN" not in evidence
    # Nothing holds the customer: the payout was to their own verified number.
    await paid(stage, who, "PETER OTHERMAN")
    await kept(stage, who, 2)
    assert [one[0] for one in questions(stage, who)] == [item]
    body = {"by": "Achieng Otieno", "second": "Brian Kamau", "evidence": "ticket 77"}
    url = f"{stage.installation.node.internal_url}/admin/v1/reviews/{item}"
    headers = {"Authorization": f"Bearer {stage.installation.ops_token}"}
    async with stage.session.post(f"{url}/names", json=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["mpesa"]) == (200, "PETER OTHERMAN")
    closing = {**body, "evidence": "ticket 78", "action": "close"}
    async with stage.session.post(f"{url}/resolve", json=closing, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    assert questions(stage, who) == []


async def test_the_customers_own_name_is_kept_and_asks_nobody(stage: Stage):
    who = await withdrawer(stage)
    await paid(stage, who, "WANJIRU KAMAU")
    ((score, matched, _),) = await kept(stage, who, 1)
    assert (score, matched) == (100, 1)
    assert questions(stage, who) == []
    snapshots = stage.rows(
        "SELECT s.reason, s.name_score, s.mpesa_score FROM {users}.kyc_snapshots s"
        " JOIN {ledger}.transactions t ON t.user_id = s.user_id WHERE t.deriv_loginid = %s ORDER BY s.version",
        who.loginid,
    )
    assert snapshots[-1] == ("payee_named", 100, 100)
    assert [one[2] for one in snapshots[:-1]] == [None] * (len(snapshots) - 1)


async def test_the_status_names_a_receiver_whose_result_was_lost(stage: Stage):
    who = await withdrawer(stage)
    withdrawal = await who.withdraw(b2c={"receiver_name": "WANJIRU KAMAU", "callback": "lost"})
    await stage.reaches(withdrawal, "COMPLETED")
    # Answers that take their time are several: asked again meanwhile.
    assert {(score, matched) for score, matched, _ in await kept(stage, who, 1)} == {(100, 1)}
