"""The facts that the truth file consists of, one dataclass per kind. Money in minor units, times in epoch seconds."""

from dataclasses import dataclass, field

from penpay.sandbox.steps import ResultStep, StkStep


@dataclass(slots=True)
class Boot:
    """The process started. Its number goes into every id drawn afterwards, so that none comes twice."""

    number: int
    at_epoch_s: float


@dataclass(slots=True)
class Opening:
    """The providers' balances before anything happened; written once per truth file."""

    paybill_minor: int
    utility_minor: int
    agent_loginid: str
    agent_token: str
    agent_fullname: str
    agent_minor: int
    wallet_minor: int


@dataclass(slots=True)
class Wallet:
    """A phone's M-Pesa wallet as the control API set it. An unset one opens with the configured sum."""

    msisdn: str
    balance_minor: int
    registered: bool = True


@dataclass(slots=True)
class Push:
    """A prompt that was shown on a phone, and how it ended."""

    checkout_id: str
    merchant_id: str
    msisdn: str
    amount_minor: int
    reference: str
    description: str
    callback_url: str
    pushed_epoch_s: float
    step: StkStep
    result_code: str = ""
    receipt: str = ""
    ended_epoch_s: float = 0.0


@dataclass(slots=True)
class PushFailed:
    """A prompt ended without money."""

    checkout_id: str
    result_code: str
    ended_epoch_s: float


@dataclass(slots=True)
class Payment:
    """Shillings moved from a phone into the PayBill; without a push it was paid by hand."""

    receipt: str
    msisdn: str
    amount_minor: int
    reference: str
    paid_epoch_s: float
    checkout_id: str = ""
    reversed_by: str = ""


@dataclass(slots=True)
class Reversal:
    """A request to give a payment back, and its result."""

    conversation_id: str
    originator_id: str
    receipt: str
    amount_minor: int
    result_url: str
    timeout_url: str
    requested_epoch_s: float
    step: ResultStep
    initiator_code: str = ""
    result_code: str = ""
    reversal_receipt: str = ""
    ended_epoch_s: float = 0.0


@dataclass(slots=True)
class ReversalEnded:
    """A Reversal was decided; with code 0 the money went back to the phone."""

    conversation_id: str
    result_code: str
    reversal_receipt: str
    ended_epoch_s: float


@dataclass(slots=True)
class ProviderReversal:
    """Safaricom itself took a payment back, which no request of the merchant caused."""

    receipt: str
    reversal_receipt: str
    at_epoch_s: float


@dataclass(slots=True)
class Payout:
    """A B2C request that was accepted, and its result."""

    originator_id: str
    conversation_id: str
    msisdn: str
    amount_minor: int
    result_url: str
    timeout_url: str
    requested_epoch_s: float
    step: ResultStep
    initiator_code: str = ""
    result_code: str = ""
    receipt: str = ""
    charge_minor: int = 0
    ended_epoch_s: float = 0.0


@dataclass(slots=True)
class PayoutEnded:
    """A payout was decided; with code 0 the shillings left the Utility account."""

    originator_id: str
    result_code: str
    receipt: str
    charge_minor: int
    ended_epoch_s: float


@dataclass(slots=True)
class Customer:
    """A Deriv account."""

    loginid: str
    fullname: str
    email: str
    currency: str
    country: str
    balance_minor: int
    is_virtual: bool = False
    is_agent: bool = False


@dataclass(slots=True)
class Token:
    """A Deriv token. With an `app_id` it is a session token of that application only."""

    token: str
    loginid: str
    scopes: list[str] = field(default_factory=list)
    app_id: str = ""


@dataclass(slots=True)
class TokenRevoked:
    """A token that Deriv no longer knows."""

    token: str


@dataclass(slots=True)
class Transfer:
    """Dollars moved between the agent and a customer, in either direction.

    Each side has its own transaction id; `transaction_id` is the payer's, and the one that the reply names.
    """

    kind: str
    transaction_id: int
    other_transaction_id: int
    from_loginid: str
    to_loginid: str
    amount_minor: int
    currency: str
    description: str
    at_epoch_s: float


@dataclass(slots=True)
class Code:
    """A verification code that Deriv mailed to a customer."""

    code: str
    email: str
    amount: str
    agent_loginid: str
    expires_epoch_s: float


@dataclass(slots=True)
class CodeUsed:
    """A verification code works once."""

    code: str


@dataclass(slots=True)
class Funds:
    """Money from outside: a top-up or a withdrawal by hand on `paybill`, `utility` or a Deriv login."""

    account: str
    delta_minor: int
    transaction_id: int
    at_epoch_s: float


@dataclass(slots=True)
class Sms:
    """A text message that was accepted for a phone."""

    message_id: str
    to: str
    sender: str
    text: str
    at_epoch_s: float


@dataclass(slots=True)
class Mail:
    """A mail that was accepted for a mailbox."""

    message_id: str
    to: str
    sender: str
    subject: str
    text: str
    at_epoch_s: float


Fact = (
    Boot
    | Opening
    | Wallet
    | Push
    | PushFailed
    | Payment
    | Reversal
    | ReversalEnded
    | ProviderReversal
    | Payout
    | PayoutEnded
    | Customer
    | Token
    | TokenRevoked
    | Transfer
    | Code
    | CodeUsed
    | Funds
    | Sms
    | Mail
)
