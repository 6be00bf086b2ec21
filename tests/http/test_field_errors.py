"""A 400 names what is not valid, in our words: a client shows them, and they tell nothing of how we are made."""

import re

import pytest

from penpay.domain.problems import PROBLEMS
from tests.http.rows import add_transaction
from tests.http.world import PASSWORD, Answer, Customer, World

KEY = {"Idempotency-Key": "k-1"}
SIGN_IN = {"email": "a@example.com", "password": "x" * 9}


def said(answer: Answer) -> list[tuple[str, str]]:
    assert (answer.status, answer.code) == (400, "invalid_request")
    return [(error["field"], error["message"]) for error in answer.body["errors"]]


@pytest.mark.parametrize("amount", ["1300.00", 1300, [], True])
async def test_what_must_be_an_object_is_told_so(customer: Customer, amount: object):
    answer = await customer.call("POST", "/deposits", {"amount": amount}, headers=KEY)
    assert said(answer) == [("amount", "must be an object")]
    assert said(await customer.world.call("POST", "/auth/login", {**SIGN_IN, "device": "x"})) == [
        ("device", "must be an object")
    ]


async def test_choices_lengths_and_kinds_are_told_in_our_words(world: World, customer: Customer):
    money = {"amount": "1300.00", "currency": "EUR"}
    quote = await customer.call("POST", "/quotes", {"type": "deposit", "amount": money})
    assert said(quote) == [("type", "must be 'DEPOSIT' or 'WITHDRAWAL'"), ("amount.currency", "must be 'KES' or 'USD'")]
    names = {"email": "a", "phone": "0" * 21, "password": "short", "full_name": "x" * 121}
    assert said(await world.call("POST", "/auth/register", names)) == [
        ("email", "must have at least 3 characters"),
        ("phone", "must have at most 20 characters"),
        ("password", "must have at least 8 characters"),
        ("full_name", "must have at most 120 characters"),
    ]
    leave = {"refresh_token": "x" * 43, "device_id": "d", "everywhere": "yes"}
    assert said(await world.call("POST", "/auth/logout", leave)) == [("everywhere", "must be true or false")]


@pytest.mark.parametrize("amount", ["1300", "1300.0", "1e3", "-1.00", "", "NaN"])
async def test_the_form_of_an_amount_is_told(customer: Customer, amount: str):
    money = {"amount": {"amount": amount, "currency": "KES"}}
    message = "must be an amount with two digits behind the point, such as 1300.00"
    assert said(await customer.call("POST", "/deposits", money, headers=KEY)) == [("amount.amount", message)]


async def test_the_form_of_a_pin_and_of_a_code_is_told(customer: Customer):
    pin = await customer.call("PUT", "/me/pin", {"pin": "27491", "password": PASSWORD})
    assert said(pin) == [("pin", "must be six digits")]
    code = await customer.world.call("POST", "/auth/phone/verify", {"phone": customer.phone, "code": "12345"})
    assert said(code) == [("code", "must be six digits")]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1e2", "", "abc", "1000", "%D9%A3"])
async def test_a_limit_outside_its_bounds_is_told_its_bounds(customer: Customer, limit: str):
    assert said(await customer.call("GET", f"/transactions?limit={limit}")) == [("limit", "must be 1 to 100")]


async def test_a_parameter_that_comes_twice_is_named(customer: Customer):
    twice = await customer.call("GET", "/transactions?limit=1&type=DEPOSIT&limit=2")
    assert said(twice) == [("limit", "is named twice")]


@pytest.mark.parametrize("path", ["/transactions?from=", "/transactions?to=", "/statements?from=", "/statements?to="])
async def test_an_empty_time_does_not_widen_what_is_asked_for(customer: Customer, path: str):
    assert [field for field, _ in said(await customer.call("GET", path))] == [path[:-1].rpartition("?")[2]]


async def test_a_time_behind_the_other_is_no_empty_history(customer: Customer):
    answer = await customer.call("GET", "/transactions?from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z")
    assert said(answer) == [("from", "must not lie behind `to`")]


async def test_a_call_without_parameters_takes_none(customer: Customer, module_database):
    made = add_transaction(module_database, customer)
    for path in ("/me", "/balance", f"/transactions/{made}", f"/transactions/{made}/timeline", "/me/export"):
        assert said(await customer.call("GET", f"{path}?fields=id")) == [("fields", "is not a field of this request")]
    money = {"amount": {"amount": "1300.00", "currency": "KES"}}
    posted = await customer.call("POST", "/deposits?amount=1", money, headers=KEY)
    assert said(posted) == [("amount", "is not a field of this request")]


async def test_two_access_tokens_are_none(customer: Customer):
    both = [("Authorization", f"Bearer {customer.access}"), ("Authorization", "Bearer other")]
    for headers in (both, both[::-1]):
        assert (await customer.world.call("GET", "/me", headers=headers)).status == 401


def test_a_refusal_that_is_kept_under_its_key_asks_for_a_new_one():
    """Stored answers are given again for 90 days: the same key would hear the same refusal for ever."""
    for code in ("stk_open", "withdrawal_open"):
        assert PROBLEMS[code].retryable
        assert re.search("new Idempotency-Key", PROBLEMS[code].next_action)
