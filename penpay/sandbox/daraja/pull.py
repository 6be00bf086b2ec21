"""Pull Transactions: the PayBill's incoming payments of the last 48 hours, whether or not their callbacks came."""

from datetime import datetime
from typing import Any

from penpay.sandbox.config import DarajaKnobs, SandboxConfig
from penpay.sandbox.daraja import fields
from penpay.sandbox.daraja.gate import TOKEN_C2B, Body, Refusal, invalid
from penpay.sandbox.facts import Payment
from penpay.sandbox.ids import NAIROBI, Ids, now_epoch_s, utc_iso
from penpay.sandbox.steps import Script, Step
from penpay.sandbox.truth import Truth

_WINDOW_S = 48 * 3600


def _epoch_s(plain: str) -> float:
    return datetime.strptime(plain, "%Y-%m-%d %H:%M:%S").replace(tzinfo=NAIROBI).timestamp()


class PullQuery:
    """Rows newest last, in pages from a row offset, as an array of arrays with lower-case keys."""

    name = "pull"
    rules = fields.PULL_QUERY
    token_error = TOKEN_C2B

    def __init__(self, config: SandboxConfig, knobs: DarajaKnobs, truth: Truth, ids: Ids, script: Script) -> None:
        self._config = config
        self._knobs = knobs
        self._truth = truth
        self._ids = ids
        self._script = script

    def check(self, body: Body) -> Refusal | None:
        if fields.text_of(body["ShortCode"]) != self._config.shortcode:
            return invalid("ShortCode")
        return invalid("EndDate") if _epoch_s(body["EndDate"]) < _epoch_s(body["StartDate"]) else None

    def pick(self, body: Body) -> Step:
        return self._script.take("pull", body) or Step()

    async def accept(self, body: Body, step: Step) -> Refusal | dict[str, Any]:
        del step
        now = now_epoch_s()
        first = max(_epoch_s(body["StartDate"]), now - _WINDOW_S)
        # Dates have whole seconds: a payment within the last named second belongs to the period.
        last = min(_epoch_s(body["EndDate"]) + 1, now - self._knobs.pull_lag_s)
        inside = []
        for payment in reversed(self._truth.world.payments.values()):
            if payment.paid_epoch_s < first:
                break
            if payment.paid_epoch_s < last:
                inside.append(payment)
        inside.reverse()
        offset = int(body["OffSetValue"])
        page = inside[offset : offset + self._knobs.pull_page]
        return {
            "ResponseRefID": self._ids.request_id(),
            "ResponseCode": "1000" if page else "1001",
            "ResponseMessage": "Success" if page else "No transactions in this period",
            "Response": [[self._row(payment) for payment in page]],
        }

    def _row(self, payment: Payment) -> dict[str, Any]:
        return {
            "transactionId": payment.receipt,
            "trxDate": utc_iso(payment.paid_epoch_s),
            "msisdn": f"{payment.msisdn[:4]} ***** {payment.msisdn[-3:]}",
            "sender": "MPESA",
            "transactiontype": "c2b-pay-bill-debit",
            "billreference": payment.reference,
            "amount": f"{payment.amount_minor // 100}.{payment.amount_minor % 100:02d}",
            "organizationname": "PenPay",
        }


class PullRegister:
    """A short code is registered once; the second time answers 1001."""

    name = "pull_register"
    rules = fields.PULL_REGISTER
    token_error = TOKEN_C2B

    def __init__(self, config: SandboxConfig, ids: Ids) -> None:
        self._config = config
        self._ids = ids
        self._registered = False

    def check(self, body: Body) -> Refusal | None:
        return None if fields.text_of(body["ShortCode"]) == self._config.shortcode else invalid("ShortCode")

    def pick(self, body: Body) -> Step:
        del body
        return Step()

    async def accept(self, body: Body, step: Step) -> Refusal | dict[str, Any]:
        del step
        already, self._registered = self._registered, True
        return {
            "ResponseRefID": self._ids.request_id(),
            "ResponseStatus": "1001" if already else "1000",
            "ShortCode": fields.text_of(body["ShortCode"]),
            "ResponseDescription": "Short code already registered" if already else "Short code registered successfully",
        }
