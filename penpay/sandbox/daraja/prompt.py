"""A prompt on a phone: when the customer answers, what that moves, and which callback tells of it."""

from collections.abc import Mapping
from typing import Any

import orjson

from penpay.sandbox.config import DarajaKnobs
from penpay.sandbox.daraja.results import code_value, describe
from penpay.sandbox.facts import Payment, Push, PushFailed
from penpay.sandbox.ids import Ids, nairobi_digits, now_epoch_s
from penpay.sandbox.postman import Postman
from penpay.sandbox.truth import Truth

# The acknowledgement leaves before the callback unless a step asks for the opposite.
_AFTER_ACK_S = 0.003


class Prompts:
    """Plays the customers. Money moves here and nowhere else on the way in."""

    def __init__(self, knobs: DarajaKnobs, truth: Truth, ids: Ids, postman: Postman) -> None:
        self._knobs = knobs
        self._truth = truth
        self._ids = ids
        self._postman = postman

    def show(self, push: Push) -> None:
        """Put a recorded prompt on its phone. After a restart an open prompt goes on where it was."""
        step = push.step
        elapsed_s = now_epoch_s() - push.pushed_epoch_s
        wait_s = self._knobs.prompt_timeout_s
        if step.outcome not in ("silent", "wait"):
            wait_s = step.answer_delay_s if step.answer_delay_s >= 0 else self._knobs.answer_delay_s
        code = "1037" if step.outcome in ("silent", "wait") else step.outcome
        self._postman.after(max(wait_s - elapsed_s, _AFTER_ACK_S), lambda: self.answer(push, code))
        for extra in step.extra:
            extra_code, _, after_s = extra.partition("@")
            self._postman.after(
                max(float(after_s) - elapsed_s, _AFTER_ACK_S),
                lambda c=extra_code: self._contradict(push, c),  # type: ignore[misc]
            )

    def answer(self, push: Push, code: str) -> None:
        """End a prompt, once. The callback leaves when the fact is durable."""
        if push.result_code:
            return
        self.decide(push, code)
        if push.step.callback == "send" and push.step.outcome != "silent":
            self._truth.when_durable(lambda: self.tell(push))

    def decide(self, push: Push, code: str) -> None:
        """Record how the prompt ended. An empty wallet turns a payment into code 1."""
        step = push.step
        amount_minor = step.paid_kes * 100 or push.amount_minor
        if code == "0" and self._truth.world.wallet(push.msisdn).balance_minor < amount_minor:
            code = "1"
        now = now_epoch_s()
        if code == "0":
            receipt = self._ids.receipt()
            self._truth.record(Payment(receipt, push.msisdn, amount_minor, push.reference, now, push.checkout_id))
        else:
            self._truth.record(PushFailed(push.checkout_id, code, now))

    def tell(self, push: Push) -> None:
        """Send the callback of an ended prompt as its step says."""
        step = push.step
        body = callback_body(push, self._truth.world.payments.get(push.receipt), self._ids)
        self._postman.send("stk", push.callback_url, body, delay_s=step.callback_delay_s, copies=step.copies)

    async def tell_now(self, push: Push) -> None:
        """Deliver the callback and wait for its answer: it overtakes our own acknowledgement."""
        await self._truth.durable()
        body = callback_body(push, self._truth.world.payments.get(push.receipt), self._ids)
        await self._postman.deliver("stk", push.callback_url, body)

    def _contradict(self, push: Push, code: str) -> None:
        self._postman.send("stk_extra", push.callback_url, failure_body(push, code))


def failure_body(push: Push, code: str) -> bytes:
    """A callback without metadata, as every failure has it."""
    return orjson.dumps({"Body": {"stkCallback": _head(push, code)}})


def _head(push: Push, code: str) -> dict[str, Any]:
    return {
        "MerchantRequestID": push.merchant_id,
        "CheckoutRequestID": push.checkout_id,
        "ResultCode": code_value(code, push.step.code_type),
        "ResultDesc": describe(code),
    }


def callback_body(push: Push, payment: Payment | None, ids: Ids) -> bytes:
    """The body for CallBackURL, in the variation that the step asks for."""
    if payment is None:
        return failure_body(push, push.result_code)
    step = push.step
    callback = _head(push, "0")
    if step.metadata != "none":
        items = _items(push, payment)
        if step.metadata == "no_receipt":
            items = [item for item in items if item["Name"] != "MpesaReceiptNumber"]
        if step.shuffle:
            ids.random.shuffle(items)
        callback["CallbackMetadata"] = {"Item": items[0] if step.metadata == "object" else items}
    return orjson.dumps({"Body": {"stkCallback": callback}})


def _items(push: Push, payment: Payment) -> list[dict[str, Any]]:
    step = push.step
    kes = payment.amount_minor / 100
    amounts: Mapping[str, Any] = {"float": kes, "int": payment.amount_minor // 100, "string": f"{kes:.2f}"}
    phones: Mapping[str, Any] = {
        "int": int(push.msisdn),
        "string": push.msisdn,
        "masked": f"{push.msisdn[:4]} ***** {push.msisdn[-3:]}",
    }
    balances: Mapping[str, list[dict[str, Any]]] = {
        "absent": [],
        "empty": [{"Name": "Balance"}],
        "number": [{"Name": "Balance", "Value": 12345.5}],
        "packed": [
            {"Name": "Balance", "Value": "{Amount={CurrencyCode=KES, MinimumAmount=1234550, BasicAmount=12345.50}}"}
        ],
    }
    return [
        {"Name": "Amount", "Value": amounts[step.amount_type]},
        {"Name": "MpesaReceiptNumber", "Value": payment.receipt},
        *balances[step.balance],
        {"Name": "TransactionDate", "Value": nairobi_digits(payment.paid_epoch_s)},
        {"Name": "PhoneNumber", "Value": phones[step.phone]},
    ]
