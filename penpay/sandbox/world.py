"""What is true: the state that the facts add up to. Only `apply` changes it, live and at replay alike."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from penpay.sandbox import facts as f


@dataclass(slots=True)
class Row:
    """One line of a Deriv statement. Debits are negative."""

    transaction_id: int
    at_epoch_s: float
    action: str
    amount_minor: int
    balance_after_minor: int
    counterparty: str
    description: str


@dataclass(slots=True)
class Account:
    """A Deriv account with its statement, oldest row first."""

    customer: f.Customer
    user_id: int
    opening_minor: int
    balance_minor: int
    rows: list[Row] = field(default_factory=list)


class World:
    """Balances, prompts, payments, payouts, accounts and messages, in the order in which they came."""

    def __init__(self) -> None:
        self.boot = 0
        self.opening: f.Opening | None = None
        self.paybill_minor = 0
        self.utility_minor = 0
        self.charges_minor = 0
        self.default_wallet_minor = 0
        self.wallets: dict[str, f.Wallet] = {}
        self.pushes: dict[str, f.Push] = {}
        self.last_push: dict[str, f.Push] = {}
        self.payments: dict[str, f.Payment] = {}
        self.reversals: dict[str, f.Reversal] = {}
        self.provider_reversals: list[f.ProviderReversal] = []
        self.payouts: dict[str, f.Payout] = {}
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[str, f.Token] = {}
        self.transfers: dict[int, f.Transfer] = {}
        self.codes: dict[str, f.Code] = {}
        self.used_codes: set[str] = set()
        self._by_email: dict[str, list[Account]] = {}
        self._mailed: dict[str, list[f.Code]] = {}
        self.sms: list[f.Sms] = []
        self.mail: list[f.Mail] = []
        self.funds: list[f.Funds] = []
        self._appliers: dict[type, Callable[[Any], None]] = {
            kind: getattr(self, "_on" + re.sub("([A-Z])", r"_\1", kind.__name__).lower()) for kind in get_args(f.Fact)
        }

    def apply(self, fact: f.Fact) -> None:
        """Take one fact in. It has happened: nothing is checked here."""
        self._appliers[type(fact)](fact)

    def wallet(self, msisdn: str) -> f.Wallet:
        """The wallet behind a phone; every Kenyan number has one."""
        wallet = self.wallets.get(msisdn)
        if wallet is None:
            wallet = self.wallets[msisdn] = f.Wallet(msisdn, self.default_wallet_minor)
        return wallet

    def accounts_of(self, email: str) -> Iterator[Account]:
        return iter(self._by_email.get(email, ()))

    def codes_of(self, email: str) -> Iterator[f.Code]:
        """Mailed to this address, oldest first."""
        return iter(self._mailed.get(email, ()))

    def _on_boot(self, fact: f.Boot) -> None:
        self.boot = fact.number

    def _on_opening(self, fact: f.Opening) -> None:
        self.opening = fact
        self.paybill_minor = fact.paybill_minor
        self.utility_minor = fact.utility_minor
        self.default_wallet_minor = fact.wallet_minor

    def _on_wallet(self, fact: f.Wallet) -> None:
        self.wallets[fact.msisdn] = fact

    def _on_push(self, fact: f.Push) -> None:
        self.pushes[fact.checkout_id] = fact
        self.last_push[fact.msisdn] = fact

    def _on_push_failed(self, fact: f.PushFailed) -> None:
        push = self.pushes[fact.checkout_id]
        push.result_code, push.ended_epoch_s = fact.result_code, fact.ended_epoch_s

    def _on_payment(self, fact: f.Payment) -> None:
        self.payments[fact.receipt] = fact
        self.wallet(fact.msisdn).balance_minor -= fact.amount_minor
        self.paybill_minor += fact.amount_minor
        if push := self.pushes.get(fact.checkout_id):
            push.result_code, push.receipt, push.ended_epoch_s = "0", fact.receipt, fact.paid_epoch_s

    def _give_back(self, receipt: str, reversal_receipt: str) -> None:
        payment = self.payments[receipt]
        payment.reversed_by = reversal_receipt
        self.wallet(payment.msisdn).balance_minor += payment.amount_minor
        self.paybill_minor -= payment.amount_minor

    def _on_reversal(self, fact: f.Reversal) -> None:
        self.reversals[fact.conversation_id] = fact

    def _on_reversal_ended(self, fact: f.ReversalEnded) -> None:
        reversal = self.reversals[fact.conversation_id]
        reversal.result_code, reversal.ended_epoch_s = fact.result_code, fact.ended_epoch_s
        reversal.reversal_receipt = fact.reversal_receipt
        if fact.result_code == "0":
            self._give_back(reversal.receipt, fact.reversal_receipt)

    def _on_provider_reversal(self, fact: f.ProviderReversal) -> None:
        self.provider_reversals.append(fact)
        self._give_back(fact.receipt, fact.reversal_receipt)

    def _on_payout(self, fact: f.Payout) -> None:
        self.payouts[fact.originator_id] = fact

    def _on_payout_ended(self, fact: f.PayoutEnded) -> None:
        payout = self.payouts[fact.originator_id]
        payout.result_code, payout.receipt = fact.result_code, fact.receipt
        payout.charge_minor, payout.ended_epoch_s = fact.charge_minor, fact.ended_epoch_s
        if fact.result_code == "0":
            self.utility_minor -= payout.amount_minor
            self.charges_minor -= fact.charge_minor
            self.wallet(payout.msisdn).balance_minor += payout.amount_minor

    def _on_customer(self, fact: f.Customer) -> None:
        account = Account(fact, 1000 + len(self.accounts), fact.balance_minor, fact.balance_minor)
        self.accounts[fact.loginid] = account
        self._by_email.setdefault(fact.email, []).append(account)

    def _on_token(self, fact: f.Token) -> None:
        self.tokens[fact.token] = fact

    def _on_token_revoked(self, fact: f.TokenRevoked) -> None:
        self.tokens.pop(fact.token, None)

    def _on_transfer(self, fact: f.Transfer) -> None:
        self.transfers[fact.transaction_id] = fact
        self._post(fact.from_loginid, fact.transaction_id, "withdrawal", -fact.amount_minor, fact)
        self._post(fact.to_loginid, fact.other_transaction_id, "deposit", fact.amount_minor, fact)

    def _post(self, loginid: str, transaction_id: int, action: str, amount_minor: int, fact: f.Transfer) -> None:
        account = self.accounts[loginid]
        account.balance_minor += amount_minor
        other = fact.to_loginid if amount_minor < 0 else fact.from_loginid
        account.rows.append(
            Row(transaction_id, fact.at_epoch_s, action, amount_minor, account.balance_minor, other, fact.description)
        )

    def _on_code(self, fact: f.Code) -> None:
        self.codes[fact.code] = fact
        self._mailed.setdefault(fact.email, []).append(fact)

    def _on_code_used(self, fact: f.CodeUsed) -> None:
        self.used_codes.add(fact.code)

    def _on_funds(self, fact: f.Funds) -> None:
        self.funds.append(fact)
        if fact.account == "paybill":
            self.paybill_minor += fact.delta_minor
        elif fact.account == "utility":
            self.utility_minor += fact.delta_minor
        else:
            account = self.accounts[fact.account]
            account.balance_minor += fact.delta_minor
            action = "deposit" if fact.delta_minor > 0 else "withdrawal"
            account.rows.append(
                Row(
                    fact.transaction_id, fact.at_epoch_s, action, fact.delta_minor, account.balance_minor, "", "cashier"
                )
            )

    def _on_sms(self, fact: f.Sms) -> None:
        self.sms.append(fact)

    def _on_mail(self, fact: f.Mail) -> None:
        self.mail.append(fact)
