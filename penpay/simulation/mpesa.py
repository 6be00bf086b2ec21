"""Safaricom as it really is: prompts on phones, payments, Reversals, payouts, and the posts that tell of them.

Every effect is in the truth before a word of it leaves. What is told may be lost, late, doubled, too early or wrong in
the ways that the provider's pages and reports name; TransactionStatus and the list of payments lag, and do not lie.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from penpay.domain.errors import OutcomeUnknown, Refused
from penpay.domain.money import kes
from penpay.domain.mpesa_callbacks import COMPLETED, EAT, NOT_COMPLETED, visible_tail
from penpay.domain.payments import PullRow
from penpay.domain.payout_codes import INITIATOR_FAULTS, payout_fee
from penpay.domain.rail_end import DUPLICATE, SUBSCRIBER_LOCKED, TIMED_OUT, WRONG_CREDENTIALS
from penpay.ports_rails import PullList, ReversalAck, StkAck, StkStatus
from penpay.simulation.clock import BEGAN_AT
from penpay.simulation.odds import Odds
from penpay.simulation.people import Payers, masked
from penpay.simulation.post import Post
from penpay.simulation.scale import scaled
from penpay.simulation.truth import Payment, Payout, Push, Reversal, Truth

PROMPT_S = scaled(60.0)
"""How long a prompt stays on a phone."""
LAG_MAX_S = scaled(500.0)
"""Statements are never further behind."""
CLOCK_ERROR_S = scaled(50.0)
"""How far its clock is off: less than the margin with which its list is asked."""


class Deliver(Protocol):
    """Hand a post to whoever answers under a URL."""

    def __call__(self, url: str, body: bytes, *, genuine: bool) -> None: ...


class Mpesa:
    """One Safaricom for all nodes."""

    def __init__(
        self,
        truth: Truth,
        odds: Odds,
        post: Post,
        payers: Payers,
        deliver: Deliver,
        *,
        now_s: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._truth = truth
        self._odds = odds
        self._post = post
        self._payers = payers
        self._deliver = deliver
        self._now_s = now_s
        self._say = tell
        self._numbers = 0
        self._ahead_s = CLOCK_ERROR_S * payers.dice.choice((-1, 1)) if odds.hits("daraja.clock_is_wrong") else 0.0
        """Of what it writes on payments."""
        self.stopped = ""
        """Code with which everything of our initiator is refused, until staff have repaired it."""

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # --- pushes -------------------------------------------------------------------------------------------------

    def push(self, amount_minor: int, phone: str, reference: str, url: str) -> StkAck:
        """Show a prompt. One at a time per phone."""
        last = next((push for push in reversed(self._truth.pushes.values()) if push.phone == phone), None)
        too_soon = last is not None and self._now_s() - last.at_s < scaled(60.0)
        if self._odds.hits("stk.busy_phone") or (last is not None and (not last.code or too_soon)):
            raise Refused(SUBSCRIBER_LOCKED)
        push = Push(f"ws_CO_{self._number()}", phone, amount_minor, reference, url, self._now_s())
        self._truth.pushes[push.checkout_id] = push
        self._say(f"Safaricom shows a prompt {reference} {push.checkout_id} over {amount_minor // 100} KES")
        answer = self._payers.answer(push)
        if self._odds.hits("callback.before_answer"):
            self._end(push, answer.code, answer.amount_minor)
        else:
            self._post.send(answer.delay_s, self._end, push, answer.code, answer.amount_minor)
        if self._odds.hits("callback.forged"):
            self._post.send(scaled(5.0), self._forge, push)
        return StkAck(push.checkout_id, f"m-{push.checkout_id}", b"{}")

    def _end(self, push: Push, code: str, amount_minor: int) -> None:
        if push.code == "0":
            return
        push.code, push.answered = code, True
        if code == "0":
            receipt = f"R{self._number():09d}"
            payment = Payment(receipt, push.checkout_id, push.phone, amount_minor, push.reference, self._now_s())
            self._truth.payments[receipt] = payment
            self._truth.paybill_minor += amount_minor
            push.receipt = receipt
            self._say(f"{push.reference} {push.checkout_id} is paid: {receipt} over {amount_minor // 100} KES")
        else:
            self._say(f"{push.reference} {push.checkout_id} ends with {code}")
        self._tell(push)

    def _tell(self, push: Push) -> None:
        payment = self._truth.payments.get(push.receipt)
        if payment is None:
            body = _stk_body(push, push.code)
        else:
            if self._odds.hits("callback.contradicts"):
                push.denied = True
                self._tell_later(push.url, _stk_body(push, "1032"))
            payment.phone = self._payers.payer_of(push)
            items = _metadata(payment, self._payers.shown(payment.phone), payment.at_s + self._ahead_s)
            if self._odds.hits("callback.without_receipt"):
                items = [item for item in items if item["Name"] != "MpesaReceiptNumber"]
            body = _stk_body(push, "0", items)
        self._tell_later(push.url, body)

    def _forge(self, push: Push) -> None:
        """Somebody who knows the URL, or guesses one; never from an address of Safaricom's."""
        payment = Payment("FORGED0001", push.checkout_id, push.phone, push.amount_minor, "", self._now_s())
        url = push.url if self._number() % 2 else push.url[:-8] + "00000000"
        self._deliver(url, _stk_body(push, "0", _metadata(payment, push.phone, payment.at_s)), genuine=False)

    def query(self, checkout_id: str) -> StkStatus:
        """A result code, which may be a failure while the customer still looks at the prompt."""
        push = self._truth.pushes[checkout_id]
        push.queries += 1
        code = self._queried(push)
        if code not in {"", "0"}:
            push.refused_s.append(self._now_s())
        return StkStatus(code, "")

    def _queried(self, push: Push) -> str:
        open_ = not push.answered
        young = self._now_s() - push.at_s < PROMPT_S
        if open_ and young and self._odds.hits("query.premature_failure"):
            return "1032"
        paid = self._truth.payments.get(push.receipt)
        odd = paid is not None and paid.amount_minor != push.amount_minor
        if odd or self._odds.hits("query.pending"):
            # What a query says of a payment of another amount is not documented: here it says nothing.
            return ""
        if open_ and not young:
            return "1037"
        return push.code

    def pull(self, since_s: float, until_s: float) -> PullList:
        """The list of payments of a period, behind by its lag."""
        lag_s = LAG_MAX_S * 0.5 if self._odds.hits("pull.lags") else 0.0
        upto_s = min(until_s, self._now_s() - lag_s)
        self._truth.lists.append((self._now_s(), min(self._now_s(), upto_s - self._ahead_s)))
        return PullList(
            tuple(
                PullRow(
                    receipt=one.receipt,
                    reference=one.reference,
                    amount=kes(one.amount_minor),
                    paid_at=BEGAN_AT + timedelta(seconds=at_s),
                    phone_tail=visible_tail(masked(one.phone)),
                )
                for one in self._truth.payments.values()
                for at_s in (one.at_s + self._ahead_s,)
                if since_s <= at_s <= upto_s
            )
        )

    # --- Reversals ----------------------------------------------------------------------------------------------

    def reverse(self, receipt: str, amount_minor: int, result_url: str) -> ReversalAck:
        """Accept, and decide a moment later."""
        reversal = Reversal(f"AG_{self._number()}", receipt, amount_minor, result_url, self._now_s())
        self._truth.reversals[reversal.conversation_id] = reversal
        self._post.send(scaled(10.0), self._reversed, reversal)
        if self._truth.is_first(reversal) and self._odds.hits("reversal.unheard", heals=False):
            reversal.untold = True
            raise OutcomeUnknown(TIMED_OUT)
        return ReversalAck(reversal.conversation_id, _second_id(reversal.conversation_id))

    def _reversed(self, reversal: Reversal) -> None:
        payment = self._truth.payments.get(reversal.receipt)
        if payment is None or payment.amount_minor != reversal.amount_minor:
            reversal.code = "R000002"
        elif payment.reversed_by:
            reversal.code = "R000001"
        elif self._odds.hits("reversal.refused"):
            reversal.code = "21"
        elif self._truth.is_first(reversal) and self._odds.hits("reversal.refused_untold", heals=False):
            reversal.code, reversal.untold = "21", True
        else:
            reversal.code, reversal.reversal_receipt = "0", f"B{self._number():09d}"
            payment.reversed_by = reversal.reversal_receipt
            self._truth.paybill_minor -= payment.amount_minor
        self._say(f"the Reversal of {reversal.receipt} ends with {reversal.code}")
        if reversal.untold:
            return
        receipt = reversal.reversal_receipt or "0000000000"
        done = None
        if reversal.code == "0":
            done = [("Amount", f"{reversal.amount_minor // 100}"), ("OriginalTransactionID", reversal.receipt)]
        self._tell_later(reversal.result_url, _result_body(reversal.code, reversal.conversation_id, receipt, done))

    # --- payouts ------------------------------------------------------------------------------------------------

    def pay_out(self, originator_id: str, amount_minor: int, phone: str, *, result_url: str, timeout_url: str) -> str:
        """Take each id once."""
        known = self._truth.payouts.get(originator_id)
        if self.stopped or (known is not None and self._odds.hits("payout.refused_on_retry")):
            raise Refused("400.002.02" if known is not None else WRONG_CREDENTIALS)
        if known is not None:
            raise OutcomeUnknown(DUPLICATE, "Duplicate OriginatorConversationID.")
        fee_minor = payout_fee(kes(amount_minor)).minor
        payout = Payout(
            originator_id,
            f"AG_{self._number()}",
            phone,
            amount_minor,
            fee_minor,
            result_url,
            timeout_url,
            self._now_s(),
        )
        self._truth.payouts[originator_id] = payout
        if self._odds.hits("callback.before_answer"):
            self._paid_out(payout)
        else:
            self._post.send(scaled(10.0), self._paid_out, payout)
        return payout.conversation_id

    def _paid_out(self, payout: Payout) -> None:
        payout.code = self._fate()
        payout.ended_s = self._now_s()
        self._say(f"the payout {payout.originator_id} ends with {payout.code}")
        told = payout.code
        if payout.code == "0":
            payout.receipt = f"P{self._number():09d}"
            self._truth.utility_minor -= payout.amount_minor
            self._truth.charges_minor += payout.fee_minor
            if self._odds.hits("payout.lies"):
                told = self._payers.dice.choice(("17", "2040", "1"))
        elif payout.code in INITIATOR_FAULTS:
            self.stopped = payout.code
        if self._odds.hits("payout.queue_timeout"):
            self._tell_later(payout.timeout_url, _result_body("1", payout.conversation_id, "0000000000"))
        receipt = payout.receipt if told == "0" else "0000000000"
        amount_minor = payout.amount_minor if told == "0" else 0
        more = _amount(amount_minor, receipt)
        body = _result_body(told, payout.conversation_id, receipt, more, originator_id=_echoed(payout))
        self._tell_later(payout.result_url, body)

    def _fate(self) -> str:
        for kind, code in (
            ("payout.fails_for_good", "2040"),
            ("payout.fails_for_now", "1"),
            ("payout.fails_unclear", "17"),
            ("payout.stops", "2001"),
        ):
            if self._odds.hits(kind):
                return code
        return "0"

    # --- questions whose answers are posted ------------------------------------------------------------------------

    def status(self, receipt: str, conversation_id: str, result_url: str) -> str:
        """What became of a payout or a Reversal. Lags, and tells the truth."""
        asked = f"AG_{self._number()}"
        lag_s = LAG_MAX_S * 0.4 if self._odds.hits("status.lags") else 0.0
        if self.stopped:
            body = _result_body(self.stopped, asked, "0000000000")
        else:
            body = self._status_body(receipt, conversation_id, asked, lag_s)
        self._tell_later(result_url, body)
        return asked

    def _status_body(self, receipt: str, conversation_id: str, asked: str, lag_s: float) -> bytes:
        for payout in self._truth.payouts.values():
            if conversation_id in (payout.originator_id, payout.conversation_id):
                known = bool(payout.code) and payout.ended_s <= self._now_s() - lag_s
                verdict = (COMPLETED if payout.code == "0" else _denied(asked)) if known else "Initiated"
                found = _status(verdict, payout.receipt, payout.amount_minor)
                found += [
                    ("OriginatorConversationID", payout.originator_id),
                    ("ConversationID", payout.conversation_id),
                ]
                return _result_body("0", asked, "S000000001", found)
        for reversal in self._truth.reversals.values():
            if conversation_id == _asked_by(reversal):
                verdict = {"": "Initiated", "0": COMPLETED}.get(reversal.code, _denied(asked))
                found = _status(verdict, reversal.reversal_receipt, reversal.amount_minor)
                found += [("ConversationID", reversal.conversation_id)]
                return _result_body("0", asked, "S000000001", found)
        del receipt
        return _result_body("2001" if self.stopped else "R000002", asked, "0000000000")

    def balance(self, *, payouts: bool, result_url: str) -> str:
        """One of the two short codes."""
        asked = f"AG_{self._number()}"
        if self.stopped:
            self._tell_later(result_url, _result_body(self.stopped, asked, "0000000000"))
            return asked
        minor = self._truth.utility_minor if payouts else self._truth.paybill_minor
        text = f"Working Account|KES|0.00|0.00|0.00|0.00&Utility Account|KES|{minor / 100:.2f}|{minor / 100:.2f}|0|0"
        body = _result_body("0", asked, "S000000001", [("AccountBalance", text)])
        self._tell_later(result_url, body)
        return asked

    # --- the postman --------------------------------------------------------------------------------------------------

    def _tell_later(self, url: str, body: bytes) -> None:
        odds, post = self._odds, self._post
        if odds.hits("callback.lost"):
            self._say(f"a callback is lost: {body.decode()}")
            return
        genuine = not odds.hits("callback.foreign_address")
        delay_s = post.travel_s()
        if odds.hits("callback.delayed"):
            delay_s += self._payers.dice.choice((scaled(20), scaled(200), scaled(1000), scaled(172_800)))
        deliver = partial(self._deliver, url, body, genuine=genuine)
        post.send(delay_s, deliver)
        if odds.hits("callback.twice"):
            post.send(delay_s * 2.0, deliver)


def _nairobi(at_s: float) -> int:
    return int((BEGAN_AT + timedelta(seconds=at_s)).astimezone(EAT).strftime("%Y%m%d%H%M%S"))


def _metadata(payment: Payment, phone: str, at_s: float) -> list[dict[str, Any]]:
    return [
        {"Name": "Amount", "Value": payment.amount_minor // 100},
        {"Name": "MpesaReceiptNumber", "Value": payment.receipt},
        {"Name": "TransactionDate", "Value": _nairobi(at_s)},
        {"Name": "PhoneNumber", "Value": phone},
    ]


def _stk_body(push: Push, code: str, items: list[dict[str, Any]] | None = None) -> bytes:
    callback: dict[str, Any] = {
        "MerchantRequestID": f"m-{push.checkout_id}",
        "CheckoutRequestID": push.checkout_id,
        "ResultCode": int(code),
        "ResultDesc": "",
    }
    if items is not None:
        callback["CallbackMetadata"] = {"Item": items}
    return json.dumps({"Body": {"stkCallback": callback}}).encode()


def _result_body(
    code: str,
    conversation_id: str,
    transaction_id: str,
    parameters: list[tuple[str, str]] | None = None,
    *,
    originator_id: str = "",
) -> bytes:
    result: dict[str, Any] = {
        "ResultType": 0,
        "ResultCode": int(code) if code.isdigit() else code,
        "ResultDesc": "",
        "OriginatorConversationID": originator_id or _second_id(conversation_id),
        "ConversationID": conversation_id,
        "TransactionID": transaction_id,
    }
    if parameters:
        result["ResultParameters"] = {"ResultParameter": [{"Key": key, "Value": value} for key, value in parameters]}
    return json.dumps({"Result": result}).encode()


def _second_id(conversation_id: str) -> str:
    return f"{conversation_id}-1"


def _asked_by(reversal: Reversal) -> str:
    """Which of its ids the status knows a Reversal by is not documented: every third it knows by the second."""
    first = reversal.conversation_id
    return first if int(first.removeprefix("AG_")) % 3 else _second_id(first)


def _denied(asked: str) -> str:
    """Any of the final words that say no."""
    return sorted(NOT_COMPLETED)[int(asked.removeprefix("AG_")) % len(NOT_COMPLETED)]


def _echoed(payout: Payout) -> str:
    """Whether a result repeats the id that we chose is not documented: every third names one of Safaricom's own."""
    return payout.originator_id if int(payout.conversation_id.removeprefix("AG_")) % 3 else ""


def _amount(amount_minor: int, receipt: str) -> list[tuple[str, str]] | None:
    if not amount_minor:
        return None
    return [("TransactionAmount", f"{amount_minor // 100}"), ("TransactionReceipt", receipt)]


def _status(verdict: str, receipt: str, amount_minor: int) -> list[tuple[str, str]]:
    return [("TransactionStatus", verdict), ("ReceiptNo", receipt), ("Amount", f"{amount_minor / 100:.2f}")]
