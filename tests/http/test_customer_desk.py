"""Staff decisions about customers, on the internal listener: freeze, thaw, forget."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
import pytest

from penpay.adapters.audit_store import MySqlSysAudit
from penpay.adapters.kyc_store import MySqlKyc
from penpay.adapters.metrics import Metrics
from penpay.adapters.staff_store import MySqlApprovals, MySqlCustomerRecords
from penpay.adapters.system import RandomUlids
from penpay.domain.unit import RejectCode
from penpay.http.approvals import FourEyes
from penpay.http.customers import CustomerDesk
from penpay.http.event_hub import EventHub
from penpay.http.internal import InternalParts, internal_app
from penpay.http.site import Site
from penpay.messages import Committed, CommitUnit, UnitRejected
from penpay.messages_rails import DERIV_CUSTOMERS, CloseCustomer
from tests.http.rows import add_transaction
from tests.http.world import Actors, Customer, LostAnswer, MovedClock, World, signed_in

TOKEN = {"Authorization": "Bearer operators-secret"}
NAMES = {"by": "Achieng Otieno", "second": "Brian Kamau"}


@dataclass
class Staff:
    """People at the internal listener."""

    actors: Actors
    clock: MovedClock
    base: str
    session: aiohttp.ClientSession

    async def decide(self, user_id: str, act: str, *, evidence: str, **other: object) -> tuple[int, dict]:
        reason = {"reason": "a match"} if act in {"freeze", "thaw"} else {}
        body = {**NAMES, "evidence": evidence, **reason, **other}
        async with self.session.post(f"{self.base}/admin/v1/users/{user_id}/{act}", json=body, headers=TOKEN) as answer:
            return answer.status, await answer.json(content_type=None)

    @property
    def units(self) -> list:
        return [message.unit for _, message in self.actors.asked]


@pytest.fixture
async def staff(stores, sealer) -> AsyncIterator[Staff]:
    actors, clock = Actors(), MovedClock()
    actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    parts = InternalParts(
        readiness=None,
        operations=None,
        metrics=Metrics(),
        ids=RandomUlids(),
        ops_token="operators-secret",
        drain=lambda: None,
        before_scrape=lambda: None,
        customers=CustomerDesk(
            records=MySqlCustomerRecords(stores),
            tiers=MySqlKyc(stores, sealer),
            bell=EventHub(),
            four_eyes=FourEyes(MySqlApprovals(stores), MySqlSysAudit(stores)),
            addresses=actors,
            clock=clock,
            ids=RandomUlids(),
            lost_answers=(LostAnswer,),
        ),
    )
    site = Site("internal", lambda: internal_app(parts), host="127.0.0.1", port=0, close_s=0.2)
    await site.open()
    async with aiohttp.ClientSession() as session:
        yield Staff(actors, clock, f"http://127.0.0.1:{site.port}", session)
    await site.close()


def sys_log(database, user_id: str) -> list[tuple[str, dict]]:
    rows = database.rows(
        "SELECT action, detail FROM {audit}.audit_log WHERE chain = 'sys' AND subject = %s", (user_id,)
    )
    return [(str(action), json.loads(detail)) for action, detail in rows]


async def test_a_freeze_is_a_unit_of_the_customers_shard(staff: Staff, customer: Customer, module_database):
    ((shard,),) = module_database.rows("SELECT shard FROM {users}.users WHERE id = %s", (customer.id,))
    assert (await staff.decide(customer.id, "freeze", evidence="case 1"))[0] == 200
    assert (await staff.decide(customer.id, "thaw", evidence="case 2"))[0] == 200
    assert [address for address, _ in staff.actors.asked] == [f"shards/{shard}/ledger"] * 2
    assert [unit.user_status.status for unit in staff.units] == ["FROZEN", "ACTIVE"]
    assert [unit.audit[0].action for unit in staff.units] == ["user.frozen", "user.active"]
    assert [action for action, _ in sys_log(module_database, customer.id)] == ["user.freeze", "user.thaw"]


async def test_a_reason_holds_no_phone_number(staff: Staff, customer: Customer, module_database):
    told = "caller from 0712345678 asked"
    status, body = await staff.decide(customer.id, "freeze", evidence="case 9", reason=told)
    assert (status, [error["field"] for error in body["errors"]]) == (400, ["reason"])
    assert "no phone number" in body["errors"][0]["message"]
    assert (staff.units, sys_log(module_database, customer.id)) == ([], [])


async def test_forgetting_freezes_first_and_leaves_nothing_personal(
    staff: Staff, world: World, customer: Customer, module_database
):
    add_transaction(module_database, customer, state="COMPLETED", status="COMPLETED")
    assert (await staff.decide(customer.id, "erase", evidence="request 1"))[0] == 200
    freeze, tombstone = staff.units
    assert freeze.user_status.status == "FROZEN"
    assert (tombstone.unit_id, tombstone.audit[0].action) == (f"user:{customer.id}:erased", "user.erased")
    assert staff.actors.told == [(DERIV_CUSTOMERS, CloseCustomer(customer.id))]
    answer = await customer.call("GET", "/me")
    assert (answer.status, answer.code) == (401, "unauthorized")
    tables = [name for (name,) in module_database.rows("SHOW TABLES IN {users}")]
    for table in tables:
        columns = {name for (name, *_) in module_database.rows(f"SHOW COLUMNS FROM {{users}}.{table}")}
        # Snapshots hold figures only, and the law keeps them.
        if "user_id" in columns and table != "kyc_snapshots":
            left = module_database.rows(f"SELECT * FROM {{users}}.{table} WHERE user_id = %s", (customer.id,))
            assert left == [], table
    ((row,),) = module_database.rows(
        "SELECT CONCAT(email_sealed, phone_sealed, name_sealed, phone_mask, password_hash, pin_hash)"
        " FROM {users}.users WHERE id = %s AND erased_at IS NOT NULL",
        (customer.id,),
    )
    assert not row


async def test_whoever_was_forgotten_may_come_again_as_somebody_new(staff: Staff, world: World, customer: Customer):
    await staff.decide(customer.id, "erase", evidence="request 2")
    body = {
        "email": customer.email,
        "phone": customer.phone,
        "password": "correct horse battery",
        "full_name": "Wanjiku Kamau",
    }
    world.edge.clock.ahead = timedelta(minutes=2)
    assert (await world.call("POST", "/auth/register", body)).status == 201
    verify = {"phone": customer.phone, "code": world.actors.last_code()}
    assert (await world.call("POST", "/auth/phone/verify", verify)).status == 200


async def test_open_money_is_not_forgotten(staff: Staff, customer: Customer, module_database):
    transaction = add_transaction(module_database, customer)
    status, body = await staff.decide(customer.id, "erase", evidence="request 3")
    assert (status, body["code"]) == (409, "money_open")
    assert transaction in body["detail"]
    assert staff.actors.asked == []
    assert (await customer.call("GET", "/me")).status == 200


async def test_what_begins_between_the_look_and_the_freeze_ends_the_freeze(
    staff: Staff, customer: Customer, module_database
):
    def commit(asked: CommitUnit) -> Committed:
        if len(staff.units) == 1:
            add_transaction(module_database, customer)
        return Committed(asked.unit.unit_id)

    staff.actors.answers[CommitUnit] = commit
    status, body = await staff.decide(customer.id, "erase", evidence="request 4")
    assert (status, body["code"]) == (409, "money_open")
    assert [unit.user_status.status for unit in staff.units] == ["FROZEN", "ACTIVE"]
    assert (await customer.call("GET", "/me")).status == 200


async def test_forgetting_may_be_repeated_after_a_lost_answer(staff: Staff, customer: Customer):
    answers = iter([Committed("x"), LostAnswer()])
    staff.actors.answers[CommitUnit] = lambda _: next(answers)
    assert (await staff.decide(customer.id, "erase", evidence="request 5"))[0] == 503
    staff.actors.answers[CommitUnit] = lambda asked: UnitRejected(asked.unit.unit_id, RejectCode.UNIT_DIFFERS)
    assert (await staff.decide(customer.id, "erase", evidence="request 5"))[0] == 200


async def test_nobody_is_decided_about_who_does_not_exist(staff: Staff, customer: Customer):
    for user_id in ("01KAF0Z3T9V5N5W6H3C8Q2YB7D", "nonsense"):
        for act in ("freeze", "thaw", "erase"):
            assert (await staff.decide(user_id, act, evidence=f"{act} {user_id}"))[0] == 404
    await staff.decide(customer.id, "erase", evidence="request 6")
    assert (await staff.decide(customer.id, "thaw", evidence="request 7"))[0] == 404


async def test_a_customers_token_opens_nothing_here(staff: Staff, customer: Customer):
    headers = {"Authorization": f"Bearer {customer.access}"}
    url = f"{staff.base}/admin/v1/users/{customer.id}/erase"
    async with staff.session.post(url, json={**NAMES, "evidence": "mine"}, headers=headers) as answer:
        assert answer.status == 401
    assert (await customer.call("GET", "/me")).status == 200


async def test_the_export_has_everything_and_no_secret(world: World, customer: Customer, module_database):
    other = await signed_in(world)
    mine = {add_transaction(module_database, customer) for _ in range(3)}
    add_transaction(module_database, other)
    await customer.call("PUT", "/me/pin", {"pin": "480375", "password": "correct horse battery"})
    answer = await customer.call("GET", "/me/export")
    assert answer.status == 200
    body = answer.body
    assert body["profile"]["email"] == customer.email
    assert body["profile"]["phone"] == customer.phone
    assert [device["id"] for device in body["devices"]] == [customer.device]
    assert body["deriv"]["loginid"] == f"CR{customer.phone[3:]}"
    assert [one["reason"] for one in body["kyc"]] == ["phone_verified", "deriv_linked"]
    assert [notice["kind"] for notice in body["notices"]] == ["pin_set"]
    assert {one["id"] for one in body["transactions"]} == mine
    assert body["complete"] is True
    for secret in (customer.refresh, "a1-CR", "480375", other.email, other.phone):
        assert secret not in answer.raw.decode()
