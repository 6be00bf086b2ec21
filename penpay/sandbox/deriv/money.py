"""The payment agent's money: transfers to customers, withdrawals by customers, and the mailed codes."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from penpay.sandbox.config import DerivKnobs, SandboxConfig
from penpay.sandbox.facts import Code, CodeUsed, Customer, Token, Transfer
from penpay.sandbox.ids import Ids, now_epoch_s
from penpay.sandbox.truth import Truth
from penpay.sandbox.world import Account

_AUTO_MAIL = "@customers.example"
ALL_SCOPES = ("read", "trade", "trading_information", "payments", "admin")


class DerivError(Exception):
    """An error reply: nothing was executed."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details


def number(minor: int) -> int | float:
    """Deriv writes money as JSON numbers; two decimals survive as the shortest float."""
    return minor / 100


class Money:
    """Moves dollars in the truth. Nothing here answers before it has recorded."""

    def __init__(self, config: SandboxConfig, knobs: DerivKnobs, truth: Truth, ids: Ids) -> None:
        self._config = config
        self._knobs = knobs
        self._truth = truth
        self._ids = ids

    def account(self, loginid: str) -> Account | None:
        """An account; one whose login has the automatic prefix comes into being when it is first named."""
        account = self._truth.world.accounts.get(loginid)
        prefix = self._knobs.auto_prefix
        if account is None and prefix and loginid.startswith(prefix) and loginid[len(prefix) :].isdigit():
            email = f"{loginid.lower()}{_AUTO_MAIL}"
            self.open(Customer(loginid, "Auto Customer", email, "USD", "ke", self._knobs.auto_balance_minor))
            account = self._truth.world.accounts[loginid]
        return account

    def open(self, customer: Customer, scopes: tuple[str, ...] = ALL_SCOPES, token: str = "") -> str:
        """Open an account with an API token of its own, and return that token."""
        token = token or f"a1-{customer.loginid}"
        self._truth.record(customer)
        self._truth.record(Token(token, customer.loginid, list(scopes)))
        return token

    def transfer(self, payer: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], Transfer | None]:
        """The agent pays a customer. A dry run checks the same and moves nothing."""
        code = "PaymentAgentTransferError"
        agent = self._truth.world.accounts[payer]
        if not agent.customer.is_agent:
            raise DerivError(code, "You are not authorized for transfers via payment agents.")
        receiver = self.account(request["transfer_to"])
        if receiver is None:
            raise DerivError(code, f"Login ID ({request['transfer_to']}) does not exist.")
        if receiver is agent:
            raise DerivError(code, "You cannot transfer to the same account.")
        amount_minor = self._amount_minor(request, agent, receiver, code)
        if self._knobs.transfers_per_day and self._transfers_today(payer) >= self._knobs.transfers_per_day:
            raise DerivError(code, "Payment agent transfers are not allowed, as you have reached the daily limit.")
        names = {
            "client_to_full_name": receiver.customer.fullname,
            "client_to_loginid": receiver.customer.loginid,
        }
        if request.get("dry_run") == 1:
            return {"paymentagent_transfer": 2, **names}, None
        moved = self._move("paymentagent_transfer", agent, receiver, amount_minor, request)
        return {"paymentagent_transfer": 1, "transaction_id": moved.transaction_id, **names}, moved

    def withdraw(self, payer: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], Transfer | None]:
        """A customer pays the agent, with a code that was mailed to them. The code works once."""
        code = "PaymentAgentWithdrawError"
        customer = self._truth.world.accounts[payer]
        agent = self._truth.world.accounts.get(request["paymentagent_loginid"])
        if agent is None or not agent.customer.is_agent or customer is agent:
            raise DerivError(code, "Please enter a valid payment agent login ID.")
        mailed = self._truth.world.codes.get(request["verification_code"])
        if (
            mailed is None
            or mailed.email != customer.customer.email
            or mailed.code in self._truth.world.used_codes
            or mailed.expires_epoch_s <= now_epoch_s()
        ):
            raise DerivError(self._knobs.bad_code_error, "Your token has expired or is invalid.")
        amount_minor = self._amount_minor(request, customer, agent, code)
        name = {"paymentagent_name": agent.customer.fullname}
        if request.get("dry_run") == 1:
            return {"paymentagent_withdraw": 2, **name}, None
        self._truth.record(CodeUsed(mailed.code))
        moved = self._move("paymentagent_withdraw", customer, agent, amount_minor, request)
        return {"paymentagent_withdraw": 1, "transaction_id": moved.transaction_id, **name}, moved

    def mail_code(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Mail a code to a known address; an unknown one gets the same answer and no code."""
        email = request["verify_email"]
        # An account that exists by itself has a mailbox as well.
        self.account(email.removesuffix(_AUTO_MAIL).upper())
        known = next(self._truth.world.accounts_of(email), None)
        if known is not None and request["type"] == "paymentagent_withdraw":
            parameters = request.get("url_parameters", {})
            self._truth.record(
                Code(
                    self._ids.hex(8),
                    email,
                    str(parameters.get("pa_amount", "")),
                    parameters.get("pa_loginid", ""),
                    now_epoch_s() + self._knobs.code_ttl_s,
                )
            )
        return {"verify_email": 1}

    def _amount_minor(self, request: Mapping[str, Any], payer: Account, payee: Account, code: str) -> int:
        """The amount in cents, within limits and balance."""
        amount = Decimal(request["amount"])
        cents = amount * 100
        if cents != cents.to_integral_value():
            raise DerivError(code, "Invalid amount. Amount provided can not have more than 2 decimal places.")
        amount_minor = int(cents)
        least, most = self._knobs.transfer_min_minor, self._knobs.transfer_max_minor
        if not least <= amount_minor <= most:
            raise DerivError(code, f"Invalid amount. Minimum is {least / 100:.2f}, maximum is {most / 100:.2f}.")
        currencies = {request["currency"], payer.customer.currency, payee.customer.currency}
        if len(currencies) > 1 or payee.customer.is_virtual or payer.customer.is_virtual:
            raise DerivError(code, "You cannot perform this action, as the currencies of the accounts differ.")
        if payer.balance_minor < amount_minor:
            raise DerivError(code, "Your account balance is insufficient for this transaction.")
        return amount_minor

    def _transfers_today(self, payer: str) -> int:
        midnight = now_epoch_s() // 86_400 * 86_400
        rows = self._truth.world.accounts[payer].rows
        return sum(1 for row in rows if row.amount_minor < 0 and row.at_epoch_s >= midnight)

    def _move(
        self, kind: str, payer: Account, payee: Account, amount_minor: int, request: Mapping[str, Any]
    ) -> Transfer:
        fact = Transfer(
            kind,
            self._ids.transaction_id(),
            self._ids.transaction_id(),
            payer.customer.loginid,
            payee.customer.loginid,
            amount_minor,
            request["currency"],
            request.get("description", ""),
            now_epoch_s(),
        )
        self._truth.record(fact)
        return fact
