"""What each v3 call answers. Reads look at the truth; the two money calls hand over to `money`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from penpay.sandbox.config import DerivKnobs, SandboxConfig
from penpay.sandbox.deriv.money import DerivError, Money, number
from penpay.sandbox.facts import Token, Transfer
from penpay.sandbox.ids import now_epoch_s
from penpay.sandbox.truth import Truth
from penpay.sandbox.world import Account, Row

if TYPE_CHECKING:
    from penpay.sandbox.deriv.session import Session

Request = Mapping[str, Any]
Members = dict[str, Any]


class Calls:
    """One method per call; each returns the members that the reply adds to the envelope."""

    def __init__(self, config: SandboxConfig, knobs: DerivKnobs, truth: Truth, money: Money) -> None:
        self._config = config
        self._knobs = knobs
        self._truth = truth
        self._money = money
        self.site_status = "up"
        self.site_message = ""
        self.moved: Callable[[Transfer], None] = lambda _: None
        self._by_name: dict[str, Callable[[Session, Request, str], Members]] = {
            name.removeprefix("_do_"): getattr(self, name) for name in dir(self) if name.startswith("_do_")
        }

    def perform(self, session: "Session", name: str, request: Request, loginid: str) -> Members:
        """Execute a validated call as `loginid` (empty where no authorization is needed)."""
        return self._by_name[name](session, request, loginid)

    def _do_authorize(self, session: "Session", request: Request, _: str) -> Members:
        """A new authorize replaces the session's identity. With `tokens`, all of them are taken together."""
        first = request["authorize"]
        wanted = [*request.get("tokens", [])] if first == "MULTI" else [first, *request.get("tokens", [])]
        tokens = [self._token(session, text) for text in wanted]
        if not tokens:
            raise DerivError("InvalidToken", "The token is invalid.")
        session.identify({token.loginid: token for token in tokens})
        token = tokens[0]
        account = self._truth.world.accounts[token.loginid]
        customer = account.customer
        linked = list(self._truth.world.accounts_of(customer.email)) if token.app_id else [account]
        return {
            "authorize": {
                "account_list": [_listed(one) for one in linked],
                "balance": number(account.balance_minor),
                "country": customer.country,
                "currency": customer.currency,
                "email": customer.email,
                "fullname": "" if customer.is_virtual else customer.fullname,
                "is_virtual": int(customer.is_virtual),
                "landing_company_fullname": "Sandbox Landing Company",
                "landing_company_name": "virtual" if customer.is_virtual else "svg",
                "linked_to": [],
                "local_currencies": {"KES": {"fractional_digits": 2}},
                "loginid": customer.loginid,
                "scopes": token.scopes,
                "user_id": account.user_id,
            }
        }

    def _token(self, session: "Session", text: str) -> Token:
        world = self._truth.world
        if text not in world.tokens and text.startswith("a1-"):
            self._money.account(text.removeprefix("a1-"))
        token = world.tokens.get(text)
        if token is None:
            raise DerivError("InvalidToken", "The token is invalid.")
        if token.app_id and token.app_id != session.app_id:
            raise DerivError("InvalidToken", "Token is not valid for current app ID.")
        return token

    def _do_logout(self, session: "Session", request: Request, _: str) -> Members:
        del request
        session.identify({})
        return {"logout": 1}

    def _do_ping(self, session: "Session", request: Request, _: str) -> Members:
        del session, request
        return {"ping": "pong"}

    def _do_time(self, session: "Session", request: Request, _: str) -> Members:
        del session, request
        return {"time": int(now_epoch_s())}

    def _do_website_status(self, session: "Session", request: Request, _: str) -> Members:
        members: Members = {"website_status": self.website_status()}
        if request.get("subscribe") == 1:
            members["subscription"] = {"id": session.subscribe("website_status", "", request)}
        return members

    def website_status(self) -> Members:
        """The site's state; on `updating` the sockets will be dropped soon."""
        limits = {"applies_to": "general", "hourly": 14_400, "minutely": self._knobs.calls_per_min or 240}
        status: Members = {
            "api_call_limits": {
                "max_proposal_subscription": {"applies_to": "subscribing to proposal concurrently", "max": 5},
                "max_requestes_general": limits,
                "max_requests_outcome": limits,
                "max_requests_pricing": limits,
            },
            "clients_country": "ke",
            "currencies_config": {
                "USD": {
                    "fractional_digits": 2,
                    "is_deposit_suspended": 0,
                    "is_suspended": 0,
                    "is_withdrawal_suspended": 0,
                    "name": "US Dollar",
                    "type": "fiat",
                }
            },
            "payment_agents": {"initial_deposit_per_country": {}},
            "site_status": self.site_status,
            "supported_languages": ["EN"],
            "terms_conditions_version": "Version 1",
        }
        if self.site_message:
            status["message"] = self.site_message
        return status

    def _do_balance(self, session: "Session", request: Request, loginid: str) -> Members:
        wanted = request.get("account", "current")
        if wanted == "all":
            return self._all_balances(session, request, loginid)
        if wanted not in ("current", loginid):
            raise DerivError("PermissionDenied", "Permission denied, balance of this account is not available.")
        members: Members = {"balance": self.balance(loginid)}
        if request.get("subscribe") == 1:
            subscription = session.subscribe("balance", loginid, request)
            members["balance"]["id"] = subscription
            members["subscription"] = {"id": subscription}
        return members

    def balance(self, loginid: str) -> Members:
        account = self._truth.world.accounts[loginid]
        return {
            "balance": number(account.balance_minor),
            "currency": account.customer.currency,
            "loginid": loginid,
        }

    def _all_balances(self, session: "Session", request: Request, loginid: str) -> Members:
        """All accounts of one login in one message; an API token may not ask for it."""
        if not session.identities[loginid].app_id:
            raise DerivError("PermissionDenied", "Permission denied, balances of all accounts require oauth token")
        mine = list(self._truth.world.accounts_of(self._truth.world.accounts[loginid].customer.email))
        members = self.balance(loginid)
        members["accounts"] = {
            one.customer.loginid: {
                "balance": number(one.balance_minor),
                "converted_amount": number(one.balance_minor),
                "currency": one.customer.currency,
                "demo_account": int(one.customer.is_virtual),
                "status": 1,
                "type": "deriv",
            }
            for one in mine
        }
        real = sum(one.balance_minor for one in mine if not one.customer.is_virtual)
        members["total"] = {"deriv": {"amount": number(real), "currency": "USD"}}
        answer: Members = {"balance": members}
        if request.get("subscribe") == 1:
            answer["subscription"] = {"id": session.subscribe("balance", loginid, request)}
        return answer

    def _do_transaction(self, session: "Session", request: Request, loginid: str) -> Members:
        """The first message has a subscription and nothing else."""
        return {"subscription": {"id": session.subscribe("transaction", loginid, request)}}

    def transaction(self, loginid: str, row: Row) -> Members:
        """One stream message: neither counterparty nor remark."""
        return {
            "action": self._action(row),
            "amount": self._amount(row),
            "balance": number(row.balance_after_minor),
            "currency": self._truth.world.accounts[loginid].customer.currency,
            "transaction_id": row.transaction_id,
            "transaction_time": int(row.at_epoch_s),
        }

    def _action(self, row: Row) -> str:
        return "transfer" if row.counterparty and self._knobs.payments_are_transfers else row.action

    def _amount(self, row: Row) -> int | float:
        return number(abs(row.amount_minor) if self._knobs.amounts_unsigned else row.amount_minor)

    def _do_statement(self, session: "Session", request: Request, loginid: str) -> Members:
        """Newest first. Rows younger than the lag are not there yet."""
        del session
        first, last = request.get("date_from", 0), request.get("date_to", 2**53)
        action, described = request.get("action_type"), request.get("description") == 1
        offset, limit = request.get("offset", 0), request.get("limit", 100)
        visible = now_epoch_s() - self._knobs.statement_lag_s
        page: list[Members] = []
        skipped = 0
        for row in reversed(self._truth.world.accounts[loginid].rows):
            at = int(row.at_epoch_s)
            if at < first or len(page) == limit:
                break
            if row.at_epoch_s > visible or at > last or (action and self._action(row) != action):
                continue
            if skipped < offset:
                skipped += 1
                continue
            page.append(self._statement_row(row, loginid, described=described))
        return {"statement": {"count": len(page), "transactions": page}}

    def _statement_row(self, row: Row, loginid: str, *, described: bool) -> Members:
        members: Members = {
            "action_type": self._action(row),
            "amount": self._amount(row),
            "app_id": None,
            "balance_after": number(row.balance_after_minor),
            "reference_id": None,
            "transaction_id": row.transaction_id,
            "transaction_time": int(row.at_epoch_s),
        }
        if members["action_type"] == "transfer":
            sides = (loginid, row.counterparty) if row.amount_minor < 0 else (row.counterparty, loginid)
            members["from"], members["to"] = ({"loginid": side} for side in sides)
        if described:
            words = f"Payment agent transfer with {row.counterparty}." if row.counterparty else "Cashier."
            if row.description and self._knobs.longcode_carries_description:
                words += f" Agent note: {row.description}"
            members["longcode"] = words
        return members

    def _do_get_limits(self, session: "Session", request: Request, loginid: str) -> Members:
        del session, request
        balance = number(self._truth.world.accounts[loginid].balance_minor)
        return {
            "get_limits": {
                "account_balance": 300_000,
                "daily_transfers": {},
                "lifetime_limit": 10_000_000.0,
                "num_of_days": 30,
                "num_of_days_limit": 10_000_000.0,
                "payout": 50_000,
                "remainder": balance,
                "withdrawal_for_x_days_monetary": 0,
                "withdrawal_since_inception_monetary": 0,
            }
        }

    def _do_forget(self, session: "Session", request: Request, _: str) -> Members:
        return {"forget": int(session.forget(request["forget"]))}

    def _do_forget_all(self, session: "Session", request: Request, _: str) -> Members:
        kinds = request["forget_all"]
        return {"forget_all": session.forget_all([kinds] if isinstance(kinds, str) else kinds)}

    def _do_paymentagent_list(self, session: "Session", request: Request, _: str) -> Members:
        del session
        agent = self._truth.world.accounts[self._config.agent_loginid].customer
        if request.get("currency", agent.currency) != agent.currency:
            return {"paymentagent_list": {"available_countries": [["ke", "Kenya"]], "list": []}}
        row = {
            "currencies": agent.currency,
            "deposit_commission": "0",
            "email": agent.email,
            "further_information": "",
            "max_withdrawal": f"{self._knobs.transfer_max_minor / 100:.2f}",
            "min_withdrawal": f"{self._knobs.transfer_min_minor / 100:.2f}",
            "name": agent.fullname,
            "paymentagent_loginid": agent.loginid,
            "phone_numbers": [],
            "summary": "",
            "supported_payment_methods": [],
            "urls": [],
            "withdrawal_commission": "0",
        }
        return {"paymentagent_list": {"available_countries": [["ke", "Kenya"]], "list": [row]}}

    def _do_paymentagent_transfer(self, session: "Session", request: Request, loginid: str) -> Members:
        del session
        return self._report(self._money.transfer(loginid, request))

    def _do_paymentagent_withdraw(self, session: "Session", request: Request, loginid: str) -> Members:
        del session
        return self._report(self._money.withdraw(loginid, request))

    def _report(self, outcome: tuple[Members, Transfer | None]) -> Members:
        members, moved = outcome
        if moved is not None:
            self.moved(moved)
        return members

    def _do_verify_email(self, session: "Session", request: Request, _: str) -> Members:
        del session
        return self._money.mail_code(request)


def _listed(account: Account) -> Members:
    customer = account.customer
    return {
        "account_category": "trading",
        "account_type": "binary",
        "currency": customer.currency,
        "currency_type": "fiat",
        "is_disabled": 0,
        "is_virtual": int(customer.is_virtual),
        "landing_company_name": "virtual" if customer.is_virtual else "svg",
        "loginid": customer.loginid,
    }
