"""STK push and its query."""

import base64
from typing import Any

from penpay.sandbox.config import DarajaKnobs, SandboxConfig
from penpay.sandbox.daraja import fields
from penpay.sandbox.daraja.gate import TOKEN_STK, Body, Refusal, invalid
from penpay.sandbox.daraja.prompt import Prompts
from penpay.sandbox.daraja.results import describe
from penpay.sandbox.facts import Push
from penpay.sandbox.ids import Ids, now_epoch_s
from penpay.sandbox.steps import Script, Step, StkStep
from penpay.sandbox.truth import Truth

# One dotted code, four meanings: only the text tells them apart.
WRONG_CREDENTIALS = Refusal(500, "500.001.1001", "Wrong credentials")
NO_MERCHANT = Refusal(500, "500.001.1001", "Merchant does not exist")
LOCKED = Refusal(
    500,
    "500.001.1001",
    "Unable to lock subscriber, a transaction is already in process for the current subscriber",
)
PENDING = Refusal(500, "500.001.1001", "The transaction is being processed")


class PhoneScripts:
    """What the control API said about prompts: per phone, per amount, or for everyone."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.steps: dict[str, list[StkStep]] = {}
        self.by_amount: dict[tuple[str, int], StkStep] = {}
        self.default = StkStep()

    def clear(self) -> None:
        self.steps.clear()
        self.by_amount.clear()
        self.default = StkStep()

    def pick(self, msisdn: str, amount_kes: int, body: Body) -> StkStep:
        """The nearest word wins: phone and amount, the phone's queue, the common script, the amount, the default."""
        if (step := self.by_amount.get((msisdn, amount_kes))) is not None:
            return step
        if queue := self.steps.get(msisdn):
            return queue.pop(0)
        common = self._script.take("stk", body)
        if isinstance(common, StkStep):
            return common
        return self.by_amount.get(("", amount_kes), self.default)


def credential_refusal(config: SandboxConfig, body: Body) -> Refusal | None:
    """Password is base64 of short code, passkey and timestamp without separators."""
    shortcode = fields.text_of(body["BusinessShortCode"])
    if shortcode != config.shortcode:
        return NO_MERCHANT
    plain = f"{shortcode}{config.passkey}{fields.text_of(body['Timestamp'])}"
    if body["Password"] != base64.b64encode(plain.encode()).decode():
        return WRONG_CREDENTIALS
    return None


class StkPush:
    """Shows a prompt. One at a time per phone, and not two within the spacing."""

    name = "stk"
    rules = fields.STK
    token_error = TOKEN_STK

    def __init__(
        self,
        config: SandboxConfig,
        knobs: DarajaKnobs,
        truth: Truth,
        ids: Ids,
        prompts: Prompts,
        scripts: PhoneScripts,
    ) -> None:
        self._config = config
        self._knobs = knobs
        self._truth = truth
        self._ids = ids
        self._prompts = prompts
        self._scripts = scripts

    def check(self, body: Body) -> Refusal | None:
        if (refusal := credential_refusal(self._config, body)) is not None:
            return refusal
        paybill = body["TransactionType"] == "CustomerPayBillOnline"
        if paybill and fields.text_of(body["PartyB"]) != self._config.shortcode:
            return invalid("PartyB")
        if self._knobs.https_callbacks and not body["CallBackURL"].startswith("https://"):
            return invalid("CallBackURL")
        last = self._truth.world.last_push.get(fields.text_of(body["PhoneNumber"]))
        if last is not None:
            recent = now_epoch_s() - last.pushed_epoch_s < self._knobs.push_interval_s
            if not last.result_code or recent:
                return LOCKED
        return None

    def pick(self, body: Body) -> Step:
        return self._scripts.pick(fields.text_of(body["PhoneNumber"]), int(body["Amount"]), body)

    async def accept(self, body: Body, step: Step) -> Refusal | dict[str, Any]:
        assert isinstance(step, StkStep)
        now = now_epoch_s()
        push = Push(
            self._ids.checkout_id(now),
            self._ids.merchant_id(),
            fields.text_of(body["PhoneNumber"]),
            int(body["Amount"]) * 100,
            body["AccountReference"],
            body.get("TransactionDesc", ""),
            body["CallBackURL"],
            now,
            step,
        )
        self._truth.record(push)
        if step.before_ack and step.outcome not in ("silent", "wait"):
            self._prompts.decide(push, step.outcome)
            await self._prompts.tell_now(push)
        else:
            self._prompts.show(push)
        return {
            "MerchantRequestID": push.merchant_id,
            "CheckoutRequestID": push.checkout_id,
            "ResponseCode": "0",
            "ResponseDescription": "Success. Request accepted for processing",
            "CustomerMessage": "Success. Request accepted for processing",
        }


class StkQuery:
    """Tells a prompt's result code, as text, and neither receipt nor amount."""

    name = "query"
    rules = fields.STK_QUERY
    token_error = TOKEN_STK

    def __init__(self, config: SandboxConfig, truth: Truth, script: Script) -> None:
        self._config = config
        self._truth = truth
        self._script = script
        self._asked: dict[str, int] = {}

    def check(self, body: Body) -> Refusal | None:
        if (refusal := credential_refusal(self._config, body)) is not None:
            return refusal
        return None if body["CheckoutRequestID"] in self._truth.world.pushes else invalid("CheckoutRequestID")

    def pick(self, body: Body) -> Step:
        return self._script.take("query", body) or Step()

    async def accept(self, body: Body, step: Step) -> Refusal | dict[str, Any]:
        del step
        push = self._truth.world.pushes[body["CheckoutRequestID"]]
        code = self._code(push)
        if code in ("", "pending"):
            return PENDING
        return {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successsfully",
            "MerchantRequestID": push.merchant_id,
            "CheckoutRequestID": push.checkout_id,
            "ResultCode": code,
            "ResultDesc": describe(code),
        }

    def _code(self, push: Push) -> str:
        """Scripted answers first, which may be premature or wrong; then the truth."""
        asked = self._asked.get(push.checkout_id, 0)
        if asked < len(push.step.query):
            self._asked[push.checkout_id] = asked + 1
            return push.step.query[asked]
        return push.result_code
