"""After everything that was played: the rails and the books still agree."""

import asyncio

from penpay.chaos.books import settled, sums
from penpay.demo.proof import trial_balance
from tests.faults.stage import Stage


async def test_rails_and_books_agree_and_every_invariant_holds(stage: Stage) -> None:
    await settled(stage.installation, within_s=30)
    truth = await stage.control.get("/truth")
    summary = truth["summary"]
    booked, books = sums(stage.installation), trial_balance(stage.installation)
    # What a query was believed about is put right when the receipt names another amount.
    ((count, minor),) = stage.rows(
        "SELECT COUNT(IF(p.posting_key = 'corrected', NULL, 1)), COALESCE(CAST(SUM(e.amount_minor) AS SIGNED), 0)"
        " FROM {ledger}.postings p JOIN {ledger}.ledger_entries e ON e.posting_id = p.id"
        " JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE a.code = 'mpesa_paybill' AND p.posting_key IN ('paid', 'suspense', 'corrected')"
    )
    assert (count, minor) == (summary["payments"]["count"], summary["payments"]["amount_minor"])
    # The dollars of a withdrawal that cannot be paid out go back by the same kind of transfer.
    # And what left although it had been given up is booked under its own id.
    unasked = stage.rows(
        "SELECT COUNT(*), COALESCE(CAST(-SUM(e.amount_minor) AS SIGNED), 0) FROM {ledger}.postings p"
        " JOIN {ledger}.ledger_entries e ON e.posting_id = p.id JOIN {ledger}.accounts a ON a.id = e.account_id"
        " WHERE a.code = 'deriv_agent' AND p.posting_key LIKE 'unasked:%%'"
    )
    # Of those that somebody else got another one may be made, numbered.
    done = [found for key, found in booked.items() if key == "done" or key.partition(":")[0] == "return_done"]
    sent = [*unasked, *done]
    assert sum(count for count, _ in sent) == summary["transfers"]["count"]
    assert sum(minor for _, minor in sent) == summary["transfers"]["amount_minor"]
    taken = summary["withdrawals"]
    assert booked.get("witnessed", (0, 0)) == (taken["count"], taken["amount_minor"])
    paid_out = stage.rows("SELECT COUNT(*) FROM {ledger}.postings WHERE posting_key LIKE 'payout_done%%'")
    assert paid_out == [(summary["payouts"]["count"],)]
    # What Safaricom took back by itself, and nobody here asked for, is no refund of ours.
    asked = {reversal["receipt"] for reversal in truth["reversals"]}
    taken = {one["receipt"] for one in truth["provider_reversals"]} - asked
    lost = [one["amount_minor"] for one in truth["payments"] if one["receipt"] in taken]
    given_back = (summary["reversals"]["count"] - len(lost), summary["reversals"]["amount_minor"] - sum(lost))
    assert booked.get("refund_done", (0, 0)) == given_back
    for currency in ("KES", "USD"):
        assert sum(minor for (_, of), minor in books.items() if of == currency) == 0
    if booked:
        assert books["mpesa_paybill", "KES"] == summary["paybill"]["current_minor"]
        assert books["mpesa_utility", "KES"] == summary["utility"]["current_minor"]
        assert books["deriv_agent", "USD"] == summary["agent"]["current_minor"]
    await asyncio.to_thread(stage.installation.run, "check")
    await asyncio.to_thread(stage.installation.run, "audit", "verify")
