"""Deriv v3 as it really is, frame by frame: accounts, mailed codes, streams, statements, and the two money calls.

There is no idempotency key: a transfer that is asked for twice happens twice, and the truth says so at once.
"""

import json
import random
from collections.abc import Callable, Mapping
from decimal import Decimal

from penpay.simulation.belated import SOMEBODY, Belated
from penpay.simulation.clock import BEGAN_AT
from penpay.simulation.deriv_frames import Fault, Members, frame, refusal
from penpay.simulation.deriv_socket import ServerEnd
from penpay.simulation.odds import Odds
from penpay.simulation.post import Post
from penpay.simulation.scale import AGENT, scaled
from penpay.simulation.truth import Account, Movement, Transfer, Truth

SETTLES_S = scaled(600.0)
"""What Deriv has received it executes within this, or not at all."""
ODD_MINOR = 100
TICK_S = 0.000_001
"""Just before."""
_MONEY = {"paymentagent_transfer", "paymentagent_withdraw"}


class Deriv:
    """One Deriv for all sockets."""

    def __init__(
        self,
        truth: Truth,
        odds: Odds,
        post: Post,
        dice: random.Random,
        *,
        now_s: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._truth = truth
        self._odds = odds
        self._post = post
        self._dice = dice
        self._now_s = now_s
        self._say = tell
        self._lag_s = SETTLES_S * dice.choice((0.5, 1.5))
        """How far statements are behind when they are: longer than the settle window, the balances must tell."""
        self._still_s = (0.0, 0.0)
        """From when until when statements show nothing new, whoever reads them."""
        self._off_minor = 0
        """What the movement of this moment is short of."""
        self.belated = Belated(odds, post, dice, now_s=now_s)
        self._movements = 1000
        self._codes: dict[str, tuple[str, float]] = {}
        """Mailed code → login and time of its end. Each works once."""
        self._watchers: dict[ServerEnd, None] = {}
        self._asked: dict[str, int] = {}
        """How often each description was asked to be paid."""
        self.status = "up"
        self._calls: Mapping[str, Callable[[ServerEnd, Members], Members]] = {
            "authorize": self._authorize,
            "ping": lambda _end, _request: {"ping": "pong"},
            "time": lambda _end, _request: {"time": int(self._epoch())},
            "balance": self._balance,
            "transaction": self._transaction,
            "website_status": self._website_status,
            "statement": self._statement,
            "paymentagent_transfer": self._transfer,
            "paymentagent_withdraw": self._withdraw,
            "verify_email": self._verify_email,
        }
        self.mailed: Callable[[str, str], None] = lambda _loginid, _code: None
        """Told of every code: login and text."""

    def _epoch(self) -> float:
        return BEGAN_AT.timestamp() + self._now_s()

    # --- frames -------------------------------------------------------------------------------------------------

    def hear(self, end: ServerEnd, text: str) -> None:
        """One frame of a client."""
        request: Members = json.loads(text, parse_float=Decimal)
        name = next(iter(request))
        if self.status != "up" and name in _MONEY:
            end.drop()
            return
        if name in _MONEY and not request.get("dry_run"):
            self._play(end, name, request)
        else:
            end.say(self._answer(end, name, request))

    def _play(self, end: ServerEnd, name: str, request: Members) -> None:
        """A money call, and what may go wrong with it."""
        odds, call_s = self._odds, scaled(15.0)
        again = self._asked.get(request["description"], 0)
        self._asked[request["description"]] = again + 1
        if odds.hits("deriv.drops_unread"):
            end.drop()
        elif odds.hits("deriv.executes_late"):
            end.drop()
            self._post.send(self._dice.random() * SETTLES_S * 0.8, self._answer, end, name, request)
        elif odds.hits("deriv.silent"):
            return
        elif odds.hits("deriv.rate_limit"):
            end.say(refusal(name, request, Fault("RateLimit")))
        elif odds.hits("deriv.refuses") or (again and odds.hits("deriv.refuses_after_silence")):
            code = "PaymentAgentTransferError" if name == "paymentagent_transfer" else "PaymentAgentWithdrawError"
            end.say(refusal(name, request, Fault(code, "not allowed")))
        elif name == "paymentagent_transfer" and odds.hits("deriv.agent_short"):
            end.say(refusal(name, request, Fault("PaymentAgentTransferError", "Your balance is insufficient.")))
        elif not odds.knows("deriv.hides_reference") and odds.hits("deriv.moves_another_amount"):
            self._play_oddly(end, name, request)
        elif name == "paymentagent_transfer" and self.belated.keeps(end, request):
            return  # until it is given up
        elif name == "paymentagent_transfer" and odds.hits("deriv.pays_another", heals=False):
            self._pay_another(end, name, request)
        else:
            self._reply_somehow(end, self._answer(end, name, request), call_s)

    def _play_oddly(self, end: ServerEnd, name: str, request: Members) -> None:
        """A transfer of less than was asked, and no word of it; or a debit that arrives without a fee nobody knew of.

        A reply names no amount: where one comes and the transfer is another, only a comparison with the books shows it.
        """
        self._off_minor = ODD_MINOR
        reply = self._answer(end, name, request)
        self._off_minor = 0
        if name == "paymentagent_transfer":
            end.drop()
        else:
            end.say(reply)

    def _pay_another(self, end: ServerEnd, name: str, request: Members) -> None:
        """Somebody else gets it. The statement shows it at once, and its reply comes last."""
        self._truth.accounts.setdefault(SOMEBODY, Account(SOMEBODY, "", 0))
        before = len(self._truth.transfers)
        reply = self._answer(end, name, {**request, "transfer_to": SOMEBODY})
        if len(self._truth.transfers) == before:
            end.say(reply)
        else:
            self.belated.unsaid(request["description"], end, reply)

    def _reply_somehow(self, end: ServerEnd, reply: str, call_s: float) -> None:
        odds = self._odds
        if odds.hits("deriv.drops_executed"):
            end.drop()
        elif odds.hits("deriv.silent_executed"):
            return
        elif odds.hits("deriv.late_reply"):
            self._post.send(call_s * 2.0, end.say, reply)
        elif odds.hits("deriv.garbage"):
            end.say(reply[: len(reply) // 2])
        else:
            end.say(reply)
            if odds.hits("deriv.replies_twice"):
                end.say(reply)

    def _answer(self, end: ServerEnd, name: str, request: Members) -> str:
        try:
            members = self._calls[name](end, request)
        except Fault as fault:
            return refusal(name, request, fault)
        return frame(name, request, members)

    # --- reads ----------------------------------------------------------------------------------------------------

    def _authorize(self, end: ServerEnd, request: Members) -> Members:
        account = next((one for one in self._truth.accounts.values() if one.token == request["authorize"]), None)
        if account is None:
            raise Fault("InvalidToken")
        end.loginid = account.loginid
        return {
            "authorize": {
                "loginid": account.loginid,
                "currency": "USD",
                "scopes": ["read", "payments"],
                "is_virtual": 0,
                "fullname": "Somebody",
                "email": f"{account.loginid.lower()}@example.com",
            }
        }

    def _account(self, end: ServerEnd) -> Account:
        account = self._truth.accounts.get(end.loginid)
        if account is None:
            raise Fault("AuthorizationRequired")
        return account

    def _balance(self, end: ServerEnd, request: Members) -> Members:
        members: Members = {"balance": self._told_balance(self._account(end))}
        if request.get("subscribe"):
            end.streams["balance"] = request
            self._watchers[end] = None
            members["subscription"] = {"id": "b"}
        return members

    @staticmethod
    def _told_balance(account: Account) -> Members:
        return {"loginid": account.loginid, "balance": account.balance_minor / 100, "currency": "USD"}

    def _transaction(self, end: ServerEnd, request: Members) -> Members:
        self._account(end)
        end.streams["transaction"] = request
        self._watchers[end] = None
        return {"subscription": {"id": "t"}}

    def _website_status(self, end: ServerEnd, request: Members) -> Members:
        end.streams["website_status"] = request
        self._watchers[end] = None
        return {"website_status": {"site_status": self.status}, "subscription": {"id": "w"}}

    def _statement(self, end: ServerEnd, request: Members) -> Members:
        account = self._account(end)
        since, until_s = request.get("date_from", 0), self._shown_until_s(request)
        rows = [
            row
            for row in reversed(account.rows)
            if row.at_s <= until_s and BEGAN_AT.timestamp() + row.at_s >= since and self.belated.shows(row.id)
        ]
        offset = request.get("offset", 0)
        page = rows[offset : offset + request.get("limit", 100)]
        return {"statement": {"count": len(page), "transactions": [self._row(row) for row in page]}}

    def _shown_until_s(self, request: Members) -> float:
        """Up to when movements are shown."""
        now_s = self._now_s()
        if not request.get("date_from"):
            return now_s
        lag_s = self._lag_s if self._odds.hits("deriv.statement_lags") else 0.0
        still_s, again_s = self._still_s
        return min(now_s - lag_s, still_s) if now_s < again_s else now_s - lag_s

    def _row(self, row: Movement) -> Members:
        hidden = self._odds.knows("deriv.hides_reference")
        if hidden:
            self._odds.saw("deriv.hides_reference")
        words = "Payment agent transfer." if hidden else f"Payment agent transfer with {row.other}."
        if row.description and not hidden:
            words += f" Agent note: {row.description}"
        return {
            "transaction_id": row.id,
            "transaction_time": int(BEGAN_AT.timestamp() + row.at_s),
            "action_type": row.action,
            "amount": row.amount_minor / 100,
            "balance_after": row.balance_minor / 100,
            "longcode": words,
        }

    # --- money ------------------------------------------------------------------------------------------------------

    def _transfer(self, end: ServerEnd, request: Members) -> Members:
        agent = self._account(end)
        payee = self._truth.accounts.get(request["transfer_to"])
        if payee is None or agent.loginid != AGENT:
            raise Fault("PaymentAgentTransferError", "no such client")
        if request.get("dry_run"):
            return {"paymentagent_transfer": 2, "client_to_loginid": payee.loginid}
        moved = self._move(agent, payee, request)
        return {"paymentagent_transfer": 1, "transaction_id": moved.id, "client_to_loginid": payee.loginid}

    def _withdraw(self, end: ServerEnd, request: Members) -> Members:
        customer = self._account(end)
        loginid, until_s = self._codes.get(request["verification_code"], ("", 0.0))
        if loginid != customer.loginid or until_s <= self._now_s():
            raise Fault("InvalidToken" if self._odds.knows("deriv.hides_reference") else "PaymentAgentWithdrawError")
        del self._codes[request["verification_code"]]
        moved = self._move(customer, self._truth.accounts[AGENT], request)
        return {"paymentagent_withdraw": 1, "transaction_id": moved.id}

    def _move(self, payer: Account, payee: Account, request: Members) -> Transfer:
        asked_minor = int(request["amount"] * 100)
        arrived_minor = asked_minor - self._off_minor
        amount_minor = arrived_minor if payer.loginid == AGENT else asked_minor
        if payer.balance_minor < amount_minor:
            code = "PaymentAgentTransferError" if payer.loginid == AGENT else "PaymentAgentWithdrawError"
            raise Fault(code, "Your account balance is insufficient.")
        moved = Transfer(
            self._number(),
            0,
            payer.loginid,
            payee.loginid,
            amount_minor,
            request["description"],
            self._now_s(),
            asked_minor,
            arrived_minor,
        )
        self._truth.transfers.append(moved)
        self._may_stand_still()
        self._say(f"Deriv moves {amount_minor} cents from {payer.loginid} to {payee.loginid}: {moved.description}")
        self._post_row(payer, moved.id, "withdrawal", -amount_minor, moved)
        if payee.loginid == AGENT and self._odds.hits("deriv.credits_late"):
            self.belated.credit(moved, self._credit)
        else:
            self._credit(moved)
        return moved

    def _credit(self, moved: Transfer) -> None:
        moved.other_id = self._number()
        self.belated.hide(moved.other_id, moved.hidden_s)
        self._post_row(self._truth.accounts[moved.payee], moved.other_id, "deposit", moved.arrived_minor, moved)

    def give_up(self, descriptions: set[str]) -> None:
        """Nobody waits for these transfers any more: now they come."""
        for delay_s, hung, loginid in self.belated.given_up(descriptions):
            self._post.send(delay_s, self._execute_after_all, *hung, loginid)

    def _execute_after_all(self, end: ServerEnd, request: Members, loginid: str) -> None:
        """Only where its reply is heard: of anything else nobody could know."""
        agent = self._truth.accounts[AGENT]
        if end.closed or agent.balance_minor < int(request["amount"] * 100):
            return
        moved = self._move(agent, self._truth.accounts.setdefault(loginid, Account(loginid, "", 0)), request)
        moved.after_all = True
        told = {"paymentagent_transfer": 1, "transaction_id": moved.id, "client_to_loginid": loginid}
        end.say(frame("paymentagent_transfer", request, told))

    def _may_stand_still(self) -> None:
        """Statements show this movement, and all that follow, only well behind the settle window; balances show it now.

        Where each read lags by itself, one of many does not, and tells in time.
        """
        now_s = self._now_s()
        if now_s >= self._still_s[1] and self._odds.hits("deriv.statement_stands_still"):
            self._still_s = now_s - TICK_S, now_s + SETTLES_S * 1.5

    def _number(self) -> int:
        self._movements += 1
        return self._movements

    def _post_row(self, account: Account, number: int, action: str, amount_minor: int, moved: Transfer) -> None:
        account.balance_minor += amount_minor
        other = moved.payee if amount_minor < 0 else moved.payer
        row = Movement(number, self._now_s(), action, amount_minor, account.balance_minor, other, moved.description)
        account.rows.append(row)
        for end in list(self._watchers):
            if end.loginid == account.loginid:
                self._stream(end, account, row)

    def _verify_email(self, end: ServerEnd, request: Members) -> Members:
        del request
        account = self._account(end)
        code = f"{self._dice.getrandbits(40):010x}"
        self._codes[code] = (account.loginid, self._now_s() + scaled(3600.0))
        self.mailed(account.loginid, code)
        return {"verify_email": 1}

    # --- streams, and the site itself ---------------------------------------------------------------------------------

    def _stream(self, end: ServerEnd, account: Account, row: Movement) -> None:
        movement = {
            "transaction_id": row.id,
            "action": row.action,
            "amount": row.amount_minor / 100,
            "balance": row.balance_minor / 100,
            "currency": "USD",
            "transaction_time": int(BEGAN_AT.timestamp() + row.at_s),
        }
        for name, members in (("transaction", movement), ("balance", self._told_balance(account))):
            request = end.streams.get(name)
            if request is not None and (name == "balance" or self.belated.shows(row.id)):
                end.say(frame(name, request, {name: members, "subscription": {"id": name[0]}}))

    def gone(self, end: ServerEnd) -> None:
        """A socket is closed."""
        self._watchers.pop(end, None)

    def update_site(self) -> None:
        """`updating`: everybody is told, and dropped a moment later."""
        self._say_status("updating")
        self._post.send(scaled(30.0), self._drop_all)
        self._post.send(scaled(120.0), self._say_status, "up")

    def cut_one(self) -> None:
        """A socket breaks for no reason."""
        ends = list(self._watchers)
        if ends:
            self._dice.choice(ends).drop()

    def _say_status(self, status: str) -> None:
        self.status = status
        for end in list(self._watchers):
            request = end.streams.get("website_status")
            if request is not None:
                end.say(frame("website_status", request, {"website_status": {"site_status": status}}))

    def _drop_all(self) -> None:
        for end in list(self._watchers):
            end.drop()
