"""F34: result codes that nobody has documented."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penpay.domain.mpesa_callbacks import parse_stk_callback
from tests.faults.stage import Stage


@given(st.integers(min_value=-(10**6), max_value=10**9).filter(bool), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_code_but_zero_is_read_and_is_no_payment(code: int, as_text: bool) -> None:
    callback = {
        "MerchantRequestID": "m",
        "CheckoutRequestID": "ws_1",
        "ResultCode": str(code) if as_text else code,
        "ResultDesc": "new",
    }
    read = parse_stk_callback(json.dumps({"Body": {"stkCallback": callback}}).encode())
    assert (read.result_code, read.receipt) == (str(code), "")


async def test_an_unseen_code_fails_the_deposit_without_money(stage: Stage) -> None:
    who = stage.customer()
    deposit = await stage.deposit(who, phone={"outcome": "9999"})
    await stage.reaches(deposit, "FAILED")
    shown = (await stage.get(who, f"/transactions/{deposit}")).body
    assert shown["failure"]["code"]
    assert stage.postings(deposit) == []
