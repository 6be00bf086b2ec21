"""What is said to the rails. Calls are told and end as stored evidence; questions are told and answered."""

from dataclasses import dataclass, field
from datetime import datetime

from penpay.domain.money import Money
from penpay.domain.unit import OperationKind

DARAJA_GATE = "rails/daraja/gate"
DARAJA_POLLERS = "rails/daraja/pollers"
DERIV_SESSION = "rails/deriv/session"
DERIV_TRANSFERS = "rails/deriv/transfers"
DERIV_WITHDRAWALS = "rails/deriv/withdrawals"
DERIV_CREDITS = "rails/deriv/credits"
DERIV_RESOLVER = "rails/deriv/resolver"
DERIV_CUSTOMERS = "rails/deriv/customers"
SMS = "rails/sms"
MAIL = "rails/mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Run the provider call of an operation whose INTENT is committed. Tell; safe to repeat.

    The rail records the attempt, sends, stores the end as an inbox row of kind `rail` and tells the saga.
    `loginid` and `amount` are set for Deriv operations: equal ones wait for each other before an attempt is made.
    """

    operation_id: str
    kind: OperationKind
    shard: int
    transaction_id: str
    loginid: str = ""
    amount: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStk:
    """Ask Safaricom about a push. Tell; the answer is a `ProbeAnswered` (probe `stk`) to the saga.

    Its `reference` repeats `checkout_request_id`: a claim may have named another push than the one acknowledged since.
    """

    operation_id: str
    shard: int
    transaction_id: str
    checkout_request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePull:
    """Look for a payment with our reference in Safaricom's list. Tell; answer probe `pull`.

    Of several payments the first of the asked `payer` (a mask) and `amount` is told, else the first of all.
    """

    operation_id: str
    shard: int
    transaction_id: str
    reference: str
    payer: str
    amount: Money
    since: datetime


NEVER_ACKNOWLEDGED = "never_acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReversal:
    """Ask for the state of a Reversal: the result arrives as an inbox row. Tell; answer probe `reversal`.

    UNANSWERED `NEVER_ACKNOWLEDGED` when Safaricom gave no conversation to ask about. `originator_conversation_id`: the
    second id of its acknowledgement, when that one is asked by; otherwise the first is.
    """

    operation_id: str
    shard: int
    transaction_id: str
    originator_conversation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecipient:
    """Ask Deriv, by a dry run cached 10 minutes, whether the recipient can receive. Tell; answer probe `recipient`."""

    shard: int
    transaction_id: str
    loginid: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveTransfer:
    """Find out from the agent's statement what became of an UNKNOWN transfer. Tell; answer probe `transfer`."""

    operation_id: str
    shard: int
    transaction_id: str
    reference: str
    loginid: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeWitness:
    """Look for the agent's side of a debit. Tell `DERIV_CREDITS`; answer probe `witness`.

    CONFIRMED: `reference` is the credit's id, offered to this operation only. PENDING: not there yet. AMBIGUOUS: more
    credits of this amount than operations that wait for one.
    """

    operation_id: str
    shard: int
    transaction_id: str
    loginid: str
    amount: Money
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveDebit:
    """Find out what became of a debit without a reply. Tell `DERIV_RESOLVER`; answer probe `debit`.

    CONFIRMED only when the customer's own statement shows the debit after the watermark (`reference`) and the agent's
    shows the credit; AMBIGUOUS when only one side does; ABSENT when both are clean behind the settle window; else
    PENDING, or UNANSWERED when a side could not be read.
    """

    operation_id: str
    shard: int
    transaction_id: str
    user_id: str
    loginid: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePayout:
    """Ask Safaricom for the status of a payout. Tell `DARAJA_GATE`; answer probe `payout`.

    PENDING: asked, the result arrives as an inbox row of kind `txstatus`. UNANSWERED: it could not be asked.
    `conversation_id`: Safaricom's own id of it, when that one is asked by; otherwise ours is.
    """

    operation_id: str
    shard: int
    transaction_id: str
    conversation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPayouts:
    """A result says that our initiator is at fault: stop every payout. Tell `DARAJA_GATE`; safe to repeat.

    It holds until `ResumePayouts` or a restart of the rail. It is not kept over a restart: the first payout that
    meets the same fault stops them again.
    """

    code: str


@dataclass(frozen=True, slots=True)
class ResumePayouts:
    """A person has repaired the initiator: payouts may go on. Tell `DARAJA_GATE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendWithdrawalCode:
    """Have Deriv mail the customer a code for a withdrawal of `amount`. Ask `DERIV_WITHDRAWALS`.

    Reply: `CodeSent`, or `Refusal` with `retry_after_s` where Deriv says to wait. Asked once, never repeated by itself:
    every mail makes the codes before it worthless.
    """

    loginid: str
    token: str = field(repr=False)
    email: str = field(repr=False)
    amount: Money


@dataclass(frozen=True, slots=True)
class CodeSent:
    """Deriv has taken the order to mail a code."""


@dataclass(frozen=True, slots=True)
class SendSms:
    """One text message. Tell; best effort with retries, never blocks money."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMail:
    """One mail. Tell, or ask to hear `sent`, `refused` or `given_up`; never blocks money.

    `reference` becomes the Message-ID: a mail that is sent twice is one mail.
    """

    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    reference: str


@dataclass(frozen=True, slots=True)
class CloseCustomer:
    """Close a customer's own session and forget what it told: the link behind it is gone. Tell."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetBalance:
    """A customer's Deriv balance. Reply: `DerivBalance` or `Refusal`. `token` opens the customer's own session."""

    user_id: str
    loginid: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivBalance:
    """Last known balance; `live` while a stream feeds it."""

    balance: Money
    as_of_at: datetime
    live: bool
