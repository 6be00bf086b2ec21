"""S16: nobody decides alone, and no approval is used twice.

Staff do not sign in yet: the names are what somebody wrote, so two ways of writing one person count as one.
"""

import asyncio
import json
import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from penpay.client import ApiProblem, Client
from penpay.domain.errors import BadInput
from penpay.domain.review import approval_of
from penpay.messages import CommitUnit
from tests.faults.stage import Stage
from tests.http.test_customer_desk import Staff, staff, sys_log
from tests.http.world import Customer, World, signed_in

__all__ = ["staff"]


@pytest.mark.parametrize(
    ("by", "second"),
    [
        ("Achieng Otieno", "Achieng Otieno"),
        ("Achieng Otieno", "achieng  OTIENO"),
        ("Achieng Otieno", "Otieno Achieng"),
        ("Achieng Otieno", "Achiéng Otieno."),
        ("achieng.otieno@penpay.example", "Achieng-Otieno@PENPAY.example"),
        ("\uff21\uff22 Kamau", "ab kamau"),
    ],
)
def test_one_person_written_in_two_ways_is_one_person(by: str, second: str):
    with pytest.raises(BadInput) as refused:
        approval_of(by=by, second=second, evidence="ticket 1", action="close")
    assert refused.value.field in {"second", "by"}


def test_people_of_one_family_are_two():
    for second in ("Brian Otieno", "Achieng Odhiambo", "A. Otieno"):
        assert approval_of(by="Achieng Otieno", second=second, evidence="ticket 1", action="close")


async def test_an_approval_carries_one_decision(staff: Staff, world: World, customer: Customer):
    other = await signed_in(world)
    assert (await staff.decide(customer.id, "freeze", evidence="Ticket 900"))[0] == 200
    for user_id, act, evidence in (
        (customer.id, "thaw", "Ticket 900"),
        (other.id, "freeze", "ticket  900"),
        (other.id, "erase", "TICKET 900"),
    ):
        status, body = await staff.decide(user_id, act, evidence=evidence)
        assert (status, body["code"]) == (409, "approval_reused"), act
    assert len(staff.units) == 1


async def test_other_people_cannot_take_over_an_approval(staff: Staff, customer: Customer):
    assert (await staff.decide(customer.id, "freeze", evidence="ticket 901"))[0] == 200
    status, body = await staff.decide(customer.id, "freeze", evidence="ticket 901", second="Chebet Korir")
    assert (status, body["code"]) == (409, "approval_reused")


async def test_the_same_decision_may_be_repeated_for_a_day(staff: Staff, customer: Customer):
    assert (await staff.decide(customer.id, "freeze", evidence="ticket 902"))[0] == 200
    staff.clock.ahead = timedelta(hours=23)
    assert (await staff.decide(customer.id, "freeze", evidence="ticket 902"))[0] == 200
    staff.clock.ahead = timedelta(hours=25)
    assert (await staff.decide(customer.id, "freeze", evidence="ticket 902"))[1]["code"] == "approval_reused"


async def test_who_decided_stands_in_the_chain_before_anything_is_done(
    staff: Staff, customer: Customer, module_database
):
    seen = []

    def commit(asked):
        seen.extend(sys_log(module_database, customer.id))
        raise TimeoutError

    staff.actors.answers[CommitUnit] = commit
    await staff.decide(customer.id, "freeze", evidence="ticket 903")
    ((action, detail),) = seen
    assert action == "user.freeze"
    assert (detail["second"], detail["evidence"]) == ("Brian Kamau", "ticket 903")


@pytest.mark.parametrize("missing", ["by", "second", "evidence"])
async def test_nothing_is_done_without_both_names_and_a_reference(staff: Staff, customer: Customer, missing: str):
    status, body = await staff.decide(customer.id, "freeze", **({"evidence": "ticket 904"} | {missing: ""}))
    assert (status, [error["field"] for error in body["errors"]]) == (400, [missing])
    assert staff.units == []


async def test_a_name_in_doubt_is_decided_on_a_running_node(stage: Stage) -> None:
    """From the browser's return to a paid deposit: the question comes by itself, two people decide it."""
    number = 70_001
    client = Client(stage.installation.node.public_url, stage.session)
    msisdn, email, password = f"2547{number:08d}", f"doubt{number}@example.com", "a long enough password, doubtful"
    await client.register(email=email, phone=f"+{msisdn}", password=password, full_name="Wanjiru Kamau Doubt")
    async with asyncio.timeout(60):
        while not (found := re.search(r"code is ([0-9]{6})", await stage.control.newest_sms(msisdn))):
            await asyncio.sleep(0.05)
    await client.verify_phone(f"+{msisdn}", found[1])
    await client.login(email=email, password=password, device_id="doubt")
    customer = {"fullname": "Somebody Else", "email": email, "balance": "0.00"}
    loginid = str((await stage.control.post("/deriv/customers", customer))["loginid"])
    async with stage.session.get(f"{await client.link_deriv()}&login={loginid}", allow_redirects=False) as page:
        back = urlsplit(page.headers["Location"])
    url = f"{stage.installation.node.public_url}{back.path}?{back.query}"
    async with stage.session.get(url, headers={"Accept": "application/json"}) as linked:
        assert (linked.status, (await linked.json())["code"]) == (403, "name_mismatch")
    with pytest.raises(ApiProblem) as refused:
        await client.deposit("1300.00", "KES", key="doubt-1")
    assert refused.value.code == "deriv_not_linked"
    async with asyncio.timeout(60):
        while not (items := [one for one in listed(stage) if one["kind"] == "name_mismatch"]):
            await asyncio.sleep(0.2)
    (item,) = items
    names = ("--by", "Achieng Otieno", "--second", "Brian Kamau", "--evidence", f"passport of {number}", "--yes")
    assert "done" in stage.installation.run("review", "resolve", item["id"], "--action", "approve", *names)
    paid = await client.deposit("1300.00", "KES", key="doubt-2")
    await stage.reaches(paid["id"], "COMPLETED")
    assert not [one for one in listed(stage) if one["kind"] == "name_mismatch"]


def listed(stage: Stage) -> list[dict]:
    return list(json.loads(stage.installation.run("review", "list", "--json")))
