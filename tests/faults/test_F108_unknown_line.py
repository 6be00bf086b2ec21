"""F108: the agent's statement has a line that we do not know."""

import asyncio
from typing import Any

from tests.faults.operating import findings, run, until_comparable
from tests.faults.stage import Stage


async def test_dollars_that_came_stand_in_suspense_and_what_left_is_asked_about(stage: Stage) -> None:
    await until_comparable(stage)
    await stage.control.post("/funds", {"account": "agent", "delta_minor": 4_321})
    await stage.control.post("/funds", {"account": "agent", "delta_minor": -4_321})
    truth = await stage.control.get("/truth")
    came, left = (str(one["transaction_id"]) for one in truth["funds"] if abs(one["delta_minor"]) == 4_321)
    questions: dict[str, Any] = {}
    async with asyncio.timeout(150):
        while not {came, left} <= questions.keys():
            await findings(stage)
            _, listed = await run(stage.installation, "review", "list")
            questions = {str(one["evidence"].get("ref")): one for one in listed}
    assert (questions[came]["kind"], questions[left]["kind"]) == ("credit_unmatched", "debit_unmatched")
    assert {questions[one]["owner_role"] for one in (came, left)} == {"FINANCE"}
    keys = stage.rows(
        "SELECT posting_key FROM {ledger}.postings WHERE unit_id IN (%s, %s)", f"ref:{came}", f"ref:{left}"
    )
    assert keys == [("suspense",)]
    # What left is in no book until a person has booked it, and the balance says so.
    assert "deriv_agent" in await findings(stage)
    decision = ("--action", "settle", "--by", "Achieng", "--second", "Brian", "--evidence", left, "--yes")
    stage.installation.run("review", "resolve", str(questions[came]["id"]), *decision)
    async with asyncio.timeout(60):
        while "deriv_agent" in await findings(stage):
            await asyncio.sleep(0.1)
