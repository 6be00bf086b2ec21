"""Names on Deriv that differ: scored, put before staff, approved or refused; and the tiers that follow."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from penpay.adapters.kyc_store import MySqlKyc
from penpay.adapters.system import RandomUlids
from penpay.app.name_questions import NameQuestions
from penpay.domain.errors import Unavailable
from penpay.messages import Committed, CommitUnit
from tests.http.test_customer_desk import Staff, staff
from tests.http.test_reviews import Desk, desk
from tests.http.world import Actors, Customer, World, link, signed_in

__all__ = ["desk", "staff"]
OTHER_NAME = "Brian Odhiambo"
APPROVE = {"action": "approve", "by": "Achieng Otieno", "second": "Brian Kamau", "evidence": "passport seen"}


@pytest.fixture(autouse=True)
def nobody_waits(module_database) -> None:
    module_database.rows("DELETE FROM {users}.deriv_links WHERE status = 'name_mismatch'")
    module_database.rows("UPDATE {ledger}.review_items SET closed_at = NOW(6) WHERE closed_at IS NULL")


@pytest.fixture
async def someone(world: World) -> Customer:
    customer = await signed_in(world, linked=False)
    assert (await link(customer, f"CR{customer.phone[3:]}", OTHER_NAME)).code == "name_mismatch"
    return customer


@pytest.fixture
def put(world: World, stores, sealer, module_database) -> Callable:
    """Run the job against a ledger that writes what the real one would."""
    actors = Actors()

    def commit(asked: CommitUnit) -> Committed:
        for opened in asked.unit.reviews:
            module_database.rows(
                "INSERT IGNORE INTO {ledger}.review_items VALUES"
                " (%s, %s, '', '', %s, %s, %s, '{}', %s, NOW(6), NULL, '')",
                (
                    *(opened.id, asked.unit.shard, opened.kind, opened.reason, opened.owner_role),
                    opened.due_at.replace(tzinfo=None),
                ),
            )
        for closed in asked.unit.reviews_closed:
            module_database.rows(
                "UPDATE {ledger}.review_items SET closed_at = NOW(6), resolution = %s WHERE id = %s",
                (closed.resolution, closed.item_id),
            )
        return Committed(asked.unit.unit_id)

    actors.answers[CommitUnit] = commit
    job = NameQuestions(MySqlKyc(stores, sealer), actors, RandomUlids(), world.edge.clock)

    async def run() -> list:
        await job.put()
        units = [message.unit for _, message in actors.asked]
        actors.asked.clear()
        return units

    run.actors = actors
    return run


def rows_of(module_database, customer: Customer) -> dict[str, object]:
    ((tier, status, review_id),) = module_database.rows(
        "SELECT u.kyc_tier, l.status, l.review_id FROM {users}.users u JOIN {users}.deriv_links l ON l.user_id = u.id"
        " WHERE u.id = %s",
        (customer.id,),
    )
    return {"tier": tier, "status": status, "review_id": review_id}


def reasons(module_database, customer: Customer) -> list[tuple[int, int, str]]:
    return module_database.rows(
        "SELECT version, tier, reason FROM {users}.kyc_snapshots WHERE user_id = %s ORDER BY version", (customer.id,)
    )


async def test_a_verified_phone_and_a_link_make_the_first_tier(customer: Customer, module_database):
    assert reasons(module_database, customer) == [(1, 0, "phone_verified"), (2, 1, "deriv_linked")]
    assert (await customer.call("GET", "/me")).body["kyc_tier"] == 1


async def test_every_name_is_stored_sealed_with_its_score(someone: Customer, module_database):
    ((rail, score, matched, sealed),) = module_database.rows(
        "SELECT rail, score, matched, name_sealed FROM {users}.name_matches WHERE user_id = %s", (someone.id,)
    )
    assert (rail, matched) == ("deriv", 0)
    assert 0 <= score < 60
    assert b"Odhiambo" not in sealed


async def test_the_question_is_put_once_and_names_nobody(someone: Customer, put, module_database):
    (unit,) = await put()
    (opened,) = unit.reviews
    assert (opened.kind, opened.owner_role, opened.evidence["user"]) == ("name_mismatch", "COMPLIANCE", someone.id)
    assert "Odhiambo" not in repr(unit)
    assert rows_of(module_database, someone)["review_id"] == opened.id
    assert await put() == []


async def test_a_ledger_that_is_away_gets_the_same_question_later(someone: Customer, put):
    commit = put.actors.answers[CommitUnit]
    put.actors.answers[CommitUnit] = lambda _: Unavailable("shard")
    (lost,) = await put()
    put.actors.answers[CommitUnit] = commit
    (unit,) = await put()
    assert unit.unit_id == lost.unit_id


async def test_two_people_approve_and_the_link_is_active(desk: Desk, someone: Customer, put, module_database):
    (unit,) = await put()
    item = unit.reviews[0].id
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    status, body = await desk.resolve(item, APPROVE)
    assert (status, body["item"]) == (200, item)
    assert rows_of(module_database, someone) == {"tier": 1, "status": "active", "review_id": item}
    assert (await someone.call("GET", "/me")).body["deriv"]["status"] == "active"
    assert reasons(module_database, someone)[-1][2] == "name_approved"
    told = module_database.rows("SELECT kind FROM {users}.notices WHERE user_id = %s", (someone.id,))
    assert told == [("deriv_linked",)]
    ((closed,),) = [unit.reviews_closed for unit in (message.unit for _, message in desk.actors.asked)]
    assert closed.item_id == item
    # An answer that was lost is asked for again.
    assert (await desk.resolve(item, APPROVE))[0] == 200


async def test_a_refused_name_forgets_the_link(desk: Desk, someone: Customer, put, module_database):
    (unit,) = await put()
    desk.actors.answers[CommitUnit] = lambda asked: Committed(asked.unit.unit_id)
    assert (await desk.resolve(unit.reviews[0].id, {**APPROVE, "action": "close"}))[0] == 200
    assert rows_of(module_database, someone)["status"] == "none"
    told = module_database.rows("SELECT kind FROM {users}.notices WHERE user_id = %s", (someone.id,))
    assert told == [("deriv_refused",)]


async def test_a_name_has_no_other_exit(desk: Desk, someone: Customer, put):
    (unit,) = await put()
    for action in ("credit", "refund", "pay"):
        decision = {**APPROVE, "action": action, "evidence": f"ticket {action}"}
        status, body = await desk.resolve(unit.reviews[0].id, decision)
        assert (status, body["code"]) == (409, "review_not_resolvable")


async def test_a_link_that_somebody_else_has_by_now_is_not_approved(desk: Desk, world: World, put, module_database):
    first, second = [await signed_in(world, linked=False) for _ in range(2)]
    account = f"CR{first.phone[3:]}"
    assert (await link(first, account, OTHER_NAME)).code == "name_mismatch"
    (unit,) = await put()
    world.deriv.known.clear()
    assert (await link(second, account, "Wanjiku Kamau")).body["status"] == "active"
    status, body = await desk.resolve(unit.reviews[0].id, APPROVE)
    assert (status, body["code"]) == (409, "deriv_account_taken")
    assert rows_of(module_database, first)["status"] == "name_mismatch"


async def test_a_customer_who_links_anew_outlives_the_question(someone: Customer, put, desk: Desk, module_database):
    (unit,) = await put()
    item = unit.reviews[0].id
    assert (await link(someone, f"CR9{someone.phone[4:]}", "Wanjiku Kamau")).body["status"] == "active"
    status, body = await desk.resolve(item, APPROVE)
    assert (status, body["code"]) == (409, "review_not_resolvable")
    (closing,) = await put()
    assert closing.reviews_closed[0].item_id == item
    assert rows_of(module_database, someone)["status"] == "active"


async def test_who_reads_both_names_is_written_down(desk: Desk, someone: Customer, put, module_database):
    (unit,) = await put()
    item = unit.reviews[0].id
    url = f"{desk.base}/admin/v1/reviews/{item}/names"
    headers = {"Authorization": "Bearer operators-secret"}
    look = {"by": "Achieng Otieno", "second": "Brian Kamau", "evidence": "passport seen"}
    async with desk.session.post(url, json=look, headers=headers) as answer:
        assert await answer.json() == {"item": item, "registered": "Wanjiku Kamau", "deriv": OTHER_NAME}
    seen = module_database.rows("SELECT action, detail FROM {audit}.audit_log WHERE subject = %s", (item,))
    assert [action for action, _ in seen] == ["names.read"]
    assert b"Odhiambo" not in repr(seen).encode()


async def test_staff_widen_a_day_with_two_names(staff: Staff, customer: Customer, module_database, clock):
    before = (await customer.call("GET", "/me")).body["limits"]["deposit"]["today_max"]["amount"]
    status, body = await staff.decide(customer.id, "tier", evidence="case 70", tier=3)
    assert (status, body["kyc_tier"]) == (200, 3)
    clock.ahead = timedelta(minutes=1)
    me = (await customer.call("GET", "/me")).body
    assert (before, me["kyc_tier"], me["limits"]["deposit"]["today_max"]["amount"]) == ("2000.00", 3, "3500.00")
    *_, (version, tier, reason) = reasons(module_database, customer)
    assert (version, tier, reason) == (3, 3, "staff")
    assert (await staff.decide(customer.id, "tier", evidence="case 71", tier=1))[0] == 200
    assert (await customer.call("GET", "/me")).body["limits"]["deposit"]["today_max"]["amount"] == "2000.00"


async def test_nobody_is_widened_before_they_are_known(staff: Staff, world: World):
    unlinked = await signed_in(world, linked=False)
    status, body = await staff.decide(unlinked.id, "tier", evidence="case 72", tier=2)
    assert (status, body["code"]) == (409, "review_not_resolvable")
