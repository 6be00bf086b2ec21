"""Reading transactions, their timeline, and cancelling."""

from datetime import timedelta

import pytest

from penpay.http.schemas import Timeline, Transaction, Transactions
from penpay.messages import CancelTransaction, Refusal, WakeUp, saga_of
from tests.faults.test_F092_unreadable_row import DAMAGE
from tests.http.rows import BEGAN, add_step, add_transaction
from tests.http.world import Customer, World, signed_in


async def test_one_transaction_has_the_documented_form(customer: Customer, module_database):
    data = {"receipt": "TKK1ABC2DE", "deriv_transaction_id": "9001", "money_at": "gone"}
    done = BEGAN + timedelta(hours=1)
    made = add_transaction(
        module_database, customer, state="COMPLETED", status="COMPLETED", data=data, completed_at=done
    )
    answer = await customer.call("GET", f"/transactions/{made}")
    assert answer.status == 200
    Transaction.model_validate(answer.body)
    assert answer.body["evidence"] == {"mpesa_receipt": "TKK1ABC2DE", "deriv_transaction_id": "9001"}
    assert answer.body["quote"] == {"id": None, "mid_rate": "129.50", "spread": "5.00", "rate": "134.50"}
    assert answer.body["send"] == {"amount": "1300.00", "currency": "KES"}
    assert answer.body["receive"] == {"amount": "9.66", "currency": "USD"}
    assert answer.body["stage"] == answer.body["status"] == "COMPLETED"
    assert answer.body["failure"] is None
    assert answer.body["completed_at"] == "2026-11-20T10:00:00.000Z"


async def test_a_withdrawal_is_shown_filtered_and_counted_as_one(customer: Customer, module_database):
    money = {"send_minor": 2_000, "send_currency": "USD", "receive_minor": 249_000, "receive_currency": "KES"}
    made = add_transaction(
        module_database,
        customer,
        type="WITHDRAWAL",
        state="AWAITING_RESULT",
        status="AWAITING_MPESA_DISBURSEMENT",
        data={"debit_transaction_id": "71", "money_at": "b2c_out"},
        **money,
    )
    answer = await customer.call("GET", f"/transactions/{made}")
    Transaction.model_validate(answer.body)
    assert (answer.body["type"], answer.body["stage"]) == ("WITHDRAWAL", "AWAITING_RESULT")
    assert answer.body["send"] == {"amount": "20.00", "currency": "USD"}
    assert answer.body["receive"] == {"amount": "2490.00", "currency": "KES"}
    assert answer.body["quote"]["rate"] == "124.50"
    assert answer.body["evidence"] == {"mpesa_receipt": None, "deriv_transaction_id": "71"}
    listed = (await customer.call("GET", "/transactions", params={"type": "WITHDRAWAL"})).body["items"]
    assert [item["id"] for item in listed] == [made]
    timeline = (await customer.call("GET", f"/transactions/{made}/timeline")).body
    assert "the dollars are with us, held for the payout" in timeline["outlook"]


async def test_a_failure_says_why_and_what_to_do(customer: Customer, module_database):
    made = add_transaction(module_database, customer, state="FAILED", status="FAILED", failure_code="mpesa_1032")
    failure = (await customer.call("GET", f"/transactions/{made}")).body["failure"]
    assert failure["code"] == "mpesa_1032"
    assert "cancelled on the phone" in failure["message"]
    assert failure["next_action"]


async def test_an_unchanged_transaction_is_not_sent_again(customer: Customer, module_database):
    made = add_transaction(module_database, customer)
    first = await customer.call("GET", f"/transactions/{made}")
    again = await customer.call("GET", f"/transactions/{made}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.raw) == (304, b"")
    module_database.rows("UPDATE {ledger}.transactions SET version = 3, event_count = 3 WHERE id = %s", (made,))
    changed = await customer.call("GET", f"/transactions/{made}", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("path", ["", "/timeline"])
async def test_somebody_elses_transaction_does_not_exist(world: World, customer: Customer, module_database, path: str):
    made = add_transaction(module_database, customer)
    stranger = await signed_in(world)
    answer = await stranger.call("GET", f"/transactions/{made}{path}")
    assert (answer.status, answer.code) == (404, "not_found")
    assert (await stranger.call("POST", f"/transactions/{made}/cancel")).status == 404
    assert world.actors.asked == []


@pytest.mark.parametrize("wrong", ["x", "01kaf0z3t9v5n5w6h3c8q2yb7d", "01KAF0Z3T9V5N5W6H3C8Q2YB7D'--", "%00"])
async def test_what_cannot_be_an_id_is_not_found(customer: Customer, wrong: str):
    assert (await customer.call("GET", f"/transactions/{wrong}")).status == 404


async def test_the_history_comes_in_pages_without_gaps(customer: Customer, module_database):
    made = [add_transaction(module_database, customer) for _ in range(5)]
    seen, cursor = [], ""
    while True:
        answer = await customer.call(
            "GET", "/transactions", params={"limit": "2"} | ({"cursor": cursor} if cursor else {})
        )
        Transactions.model_validate(answer.body)
        seen += [item["id"] for item in answer.body["items"]]
        cursor = answer.body["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_the_history_can_be_filtered(customer: Customer, module_database):
    waiting = add_transaction(module_database, customer)
    failed = add_transaction(module_database, customer, state="FAILED", status="FAILED")

    async def ids(**params: str) -> list[str]:
        answer = await customer.call("GET", "/transactions", params=params)
        return [item["id"] for item in answer.body["items"]]

    assert await ids(status="FAILED") == [failed]
    assert await ids(type="DEPOSIT") == [failed, waiting]
    assert await ids(type="WITHDRAWAL") == []
    assert await ids(to="2026-11-20T12:00:00+03:00") == []
    assert await ids(**{"from": "2026-11-20T12:00:00+03:00"}) == [failed, waiting]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "2e1"}, "limit"),
        ({"status": "DONE"}, "status"),
        ({"cursor": "1 OR 1=1"}, "cursor"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-20T12:00:00"}, "from"),
        ({"user_id": "01KAF0Z3T9V5N5W6H3C8Q2YB7D"}, "user_id"),
    ],
)
async def test_a_wrong_filter_is_named(customer: Customer, params: dict[str, str], field: str):
    answer = await customer.call("GET", "/transactions", params=params)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.fields == {field}


async def test_the_timeline_says_where_the_money_is_and_until_when(customer: Customer, module_database):
    pushed = BEGAN.isoformat()
    made = add_transaction(
        module_database, customer, data={"pushed_at": pushed}, next_wake_at=BEGAN + timedelta(seconds=20)
    )
    add_step(module_database, made, 1, "CREATED", "StkStarted", "STK_SENDING")
    add_step(module_database, made, 2, "STK_SENDING", "StkAccepted", "AWAITING_PAYER", checkout_request_id="ws_CO_1")
    answer = await customer.call("GET", f"/transactions/{made}/timeline")
    Timeline.model_validate(answer.body)
    outlook = answer.body["outlook"]
    for part in ("prompt is on the phone", "no money has moved", "09:00:20.000Z", "09:03:00.000Z"):
        assert part in outlook
    assert [step["event"] for step in answer.body["steps"]] == ["StkStarted", "StkAccepted"]
    assert answer.body["steps"][1]["evidence"] == {"checkout_request_id": "ws_CO_1"}


async def test_the_saga_decides_about_cancelling(world: World, customer: Customer, module_database):
    made = add_transaction(module_database, customer)
    world.actors.answers[CancelTransaction] = lambda _: Refusal("not_cancellable")
    answer = await customer.call("POST", f"/transactions/{made}/cancel")
    assert (answer.status, answer.code) == (409, "not_cancellable")
    row = await world.edge.reads.transaction(customer.id, made)
    world.actors.answers[CancelTransaction] = lambda _: row
    assert (await customer.call("POST", f"/transactions/{made}/cancel")).body["id"] == made
    assert world.actors.asked[-1] == (f"shards/0/sagas/{made}", CancelTransaction(customer.id))


@pytest.mark.parametrize(
    "time",
    [
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "2026-W47-5T12:00:00Z",
        "20261120T120000Z",
        "2026-13-01T00:00:00Z",
    ],
)
async def test_a_time_that_is_none_of_ours_is_named(customer: Customer, time: str):
    answer = await customer.call("GET", "/transactions", params={"from": time})
    assert (answer.status, answer.fields) == (400, {"from"})


@pytest.mark.parametrize("form", ['W/"{}-2"', "*", '"x", W/"{}-2"'])
async def test_a_weakened_tag_is_still_ours(customer: Customer, module_database, form: str):
    made = add_transaction(module_database, customer)
    path = f"/transactions/{made}"
    assert (await customer.call("GET", path, headers={"If-None-Match": form.format(made)})).status == 304
    assert (await customer.call("GET", path, headers={"If-None-Match": f'"{made}-1"'})).status == 200


async def test_a_failure_is_told_in_swahili_to_who_asks_for_it(customer: Customer, module_database):
    made = add_transaction(module_database, customer, state="FAILED", status="FAILED", failure_code="mpesa_1")
    english = await customer.call("GET", f"/transactions/{made}")
    swahili = await customer.call("GET", f"/transactions/{made}", headers={"Accept-Language": "sw-KE"})
    assert swahili.body["failure"]["message"] == "Salio la M-Pesa halikutosha."
    assert swahili.headers["Content-Language"] == "sw"
    assert english.headers["Vary"] == swahili.headers["Vary"] == "Accept-Language"
    assert english.headers["ETag"] != swahili.headers["ETag"]
    listed = await customer.call("GET", "/transactions", headers={"Accept-Language": "sw"})
    assert listed.body["items"][0]["failure"] == swahili.body["failure"]


class TestARowThatNobodyCanRead:
    """F92: people are asked about it, and its customer is told just that."""

    @pytest.fixture(params=DAMAGE.values(), ids=DAMAGE)
    def spoiled(self, request: pytest.FixtureRequest, customer: Customer, module_database) -> str:
        column, value = request.param
        return add_transaction(module_database, customer, **{"state": "PAID", "status": "PROCESSING", column: value})

    async def test_it_stands_in_review_for_its_customer(self, customer: Customer, spoiled: str):
        shown = await customer.call("GET", f"/transactions/{spoiled}")
        assert (shown.status, shown.body["status"], shown.body["stage"]) == (200, "IN_REVIEW", "IN_REVIEW")
        assert shown.body["failure"]["code"] == "row_unreadable"
        Transaction.model_validate(shown.body)
        timeline = await customer.call("GET", f"/transactions/{spoiled}/timeline")
        Timeline.model_validate(timeline.body)
        assert "where the money is, has to be found out" in timeline.body["outlook"]
        assert (await customer.call("GET", f"/transactions/{spoiled}/receipt")).code == "receipt_not_ready"

    async def test_the_others_are_shown_beside_it(self, customer: Customer, spoiled: str, module_database):
        sound = add_transaction(module_database, customer)
        listed = await customer.call("GET", "/transactions")
        Transactions.model_validate(listed.body)
        assert [(item["id"], item["status"]) for item in listed.body["items"]] == [
            (sound, "AWAITING_MPESA_CALLBACK"),
            (spoiled, "IN_REVIEW"),
        ]
        days = {"from": "2026-11-20", "to": "2026-11-20"}
        customer.world.edge.clock.ahead = BEGAN - customer.world.edge.clock.began
        for ending in ("csv", "pdf"):
            kept = await customer.call("GET", "/statements", params={**days, "format": ending})
            assert kept.status == 200
        assert (await customer.call("GET", "/me/export")).status == 200

    async def test_its_saga_is_woken_so_that_people_are_asked_and_nothing_else_is_asked_of_it(
        self, world: World, customer: Customer, spoiled: str
    ):
        answer = await customer.call("POST", f"/transactions/{spoiled}/cancel", headers={"Idempotency-Key": "k"})
        assert (answer.status, answer.code) == (409, "not_cancellable")
        assert world.actors.told[-1] == (saga_of(0, spoiled), WakeUp())
        assert not any(isinstance(message, CancelTransaction) for _, message in world.actors.asked)

    async def test_no_copy_of_what_was_told_outlives_its_repair(
        self, customer: Customer, spoiled: str, module_database
    ):
        before = await customer.call("GET", f"/transactions/{spoiled}")
        repair = "UPDATE {ledger}.transactions SET state = 'PAID', data = %s WHERE id = %s"
        module_database.rows(repair, ("{}", spoiled))
        known = {"If-None-Match": before.headers["ETag"]}
        after = await customer.call("GET", f"/transactions/{spoiled}", headers=known)
        assert (after.status, after.body["status"]) == (200, "PROCESSING")
