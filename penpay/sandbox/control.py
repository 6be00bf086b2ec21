"""The control API: how a test, a demo or a person scripts the sandbox and reads its ground truth.

JSON in, JSON out. An unknown key is a 400 that names it: `{"error": "…"}`. Success without content is `{"ok": true}`.
Money: `*_minor` is cents, `*_kes` whole shillings, `balance` and `amount` of Deriv a decimal string.
Nothing here is authenticated: bind the sandbox to loopback.

READING
GET  /control                        this index
GET  /control/identity               URLs, and the PENPAY_* variables that point a node here
GET  /control/truth                  everything: summary, pushes, payments, reversals, provider_reversals, payouts,
                                     transfers, funds, codes, sms, mail, wallets, customers
GET  /control/truth/summary          opening_minor and current_minor of paybill, utility, charges, agent, customers;
                                     count and amount_minor of payments, reversals, payouts, transfers, withdrawals;
                                     pushes {count, open}; funds by account; sms; mail
GET  /control/deliveries?kind=       callbacks sent: counts {delivered, refused, lost} and the last 5,000
                                     deliveries [{at_epoch_s, kind, url, status}]; status 0 = nobody answered.
                                     Kinds: stk, stk_extra, reversal, status, balance, b2c, <those>_timeout, forged
GET  /control/sms?to=                {messages [{message_id, to, sender, text, at_epoch_s}]}, oldest first
GET  /control/mail?to=               {messages [{message_id, to, sender, subject, text, at_epoch_s}]}, oldest first
GET  /control/deriv/codes?email=     {codes [{code, email, amount, agent_loginid, expires_epoch_s, used}]}
GET  /control/deriv/sessions         {sessions [{app_id, loginids, subscriptions}]}
GET  /control/script                 steps not used up yet, and all knobs

PHONES (msisdn 2547… or 2541…, 12 digits; every number exists)
POST /control/phones/{msisdn}        {"balance_kes"?: 100, "registered"?: false}
POST /control/phones/{msisdn}/script {"steps"?: [STK_STEP], "by_amount"?: {"1300": STK_STEP}, "clear"?: true}
                                     steps are used up one per prompt, by_amount stays
POST /control/phones/{msisdn}/pay    {"amount_kes": 500, "reference"?: "ABC"} -> {receipt}:
                                     paid by hand, seen only by Pull
POST /control/pushes/{checkout_id}/answer    {"result_code"?: "0"} -> {result_code, receipt}: the customer answers an
                                     open prompt
POST /control/pushes/{checkout_id}/callback  {"copies"?: 1}: send the callback of an ended prompt (again, or late)
POST /control/payments/{receipt}/reverse     {} -> {reversal_receipt}: Safaricom itself takes the payment back

STK_STEP, every key optional
  outcome           "0" pays (an empty wallet makes it "1"); another result code fails; "silent" = no answer and no
                    callback, ends as 1037 after prompt_timeout_s; "wait" = open until answered through this API, else
                    1037 with its callback
  answer_delay_s    from push to outcome; default: the knob
  paid_kes          another amount than was asked
  callback          send | lost
  callback_delay_s  a late callback
  copies            that many at the same moment
  before_ack        callback delivered before our HTTP reply
  code_type         int | string
  amount_type       float | int | string
  balance           empty | absent | number | packed
  phone             int | string | masked
  metadata          full | none | no_receipt | object (one Item, not in a list)
  shuffle           items in random order
  query             answers of the STK query in order, before the truth: "pending" or a result code;
                    ["1032"] is a premature failure
  extra             further failure callbacks: "1032@0.5" = code at seconds after the push
  and the FAULT keys

FAULT keys
  fault             nothing executed: error (error_http, error_code, error_message) | html | reset |
                    refused_200 (HTTP 200 with ResponseCode 1)
                    executed and recorded: reset_after | html_after | truncated | late (fault_delay_s)

DARAJA
POST /control/daraja/script          {"knobs"?: {…}, "steps"?: [{"op": …, "match"?: {field: value}, "times"?: 1, …}],
                                     "stk_default"?: STK_STEP, "stk_by_amount"?: {"1300": STK_STEP},
                                     "expire_tokens"?: true, "unlock_credential"?: true, "clear"?: true}
  op                oauth | stk | query | reversal | status | balance | pull | b2c
  match             request fields by their wire names, e.g. {"TransactionID": "TK…"}; times 0 = for ever
  further keys      FAULT keys for all; stk: STK_STEP keys; reversal, status, balance, b2c: result_code (forces it),
                    delay_s, callback send | lost | queue_timeout | queue_timeout_then_send, callback_delay_s, copies,
                    code_type natural | string, reference object | array, result_type (1 = not final),
                    transaction_status (of status), receiver_name (of b2c)
  order for a push  phone and amount, the phone's steps, op stk steps, stk_by_amount, stk_default
  knobs             latency_s, token_ttl_s, answer_delay_s, prompt_timeout_s, push_interval_s, result_delay_s,
                    status_lag_s, status_not_found_code, pull_lag_s, pull_page, spike_per_s, wallet_max_minor,
                    receiver_daily_minor, credential_tries, callback_source, callback_timeout_s, https_callbacks,
                    products_off (list of op)
POST /control/daraja/drop            {} -> {dropped}: cut every connection, in the middle of whatever it carries

DERIV
POST /control/deriv/customers        {"fullname", "email", "loginid"?, "currency"?: "USD", "country"?: "ke",
                                     "balance"?: "0.00", "scopes"?: […], "is_virtual"?: false} -> {loginid, token};
                                     a known loginid is a 400. Logins CRB<digits> exist by themselves, with token
                                     a1-<loginid>. Accounts with one email belong to one Deriv user
POST /control/deriv/tokens           {"loginid", "scopes"?, "app_id"?} -> {token}
POST /control/deriv/tokens/revoke    {"token"}: later calls answer InvalidToken
POST /control/deriv/tokens/restore   {"token", "loginid", "scopes"?, "app_id"?}: the same token is known again
POST /control/deriv/oauth            {"redirect_url"?, "login"?, "scopes"?}: what /oauth2/authorize sends back;
                                     ?login= in its URL wins
POST /control/deriv/script           {"steps"?: [DERIV_STEP], "knobs"?: {…}, "clear"?: true}
  DERIV_STEP        {"op": a call's name, "match"?: {field: value}, "times"?: 1 (0 = for ever), "fault": …}; a step for
                    a money call leaves dry runs alone unless "dry_run": 1 is in its match
  fault             before_read | not_executed | executed: each drops the socket, only the last one moves money
                    late_execute: dropped now, executed after fault_delay_s
                    late_reply: executed now, answered after fault_delay_s; slow: both after fault_delay_s
                    no_reply: executed, the socket stays; duplicate_reply; garbage_reply
                    refuse (error_code, error_message); other_amount (amount: "9.00")
                    other_recipient (loginid): a transfer that somebody else gets, and the reply says so; a loginid does
                    the same beside executed, late_reply, no_reply, duplicate_reply and garbage_reply
  knobs             latency_s, idle_close_s, statement_lag_s, longcode_carries_description, amounts_unsigned,
                    payments_are_transfers (rows of that action, with from and to), transfer_min_minor,
                    transfer_max_minor, transfers_per_day, calls_per_min, code_ttl_s, bad_code_error, zombie,
                    zombie_executes, auto_prefix, auto_balance_minor
POST /control/deriv/drop             {"loginid"?} -> {dropped}: cut all sockets, or those of one login
POST /control/deriv/site             {"status": "up" | "down" | "updating", "message"?, "drop_after_s"?: 60}

OTHER
POST /control/funds                  {"account": "paybill" | "utility" | "agent" | <loginid>, "delta_minor": -500}
POST /control/fx                     {"primary"?: RATES, "second"?: RATES}, RATES {mid, base, quote, age_s, status,
                                     latency_s, raw}; mid is written as it stands: "129.50", "0", "NaN"
POST /control/sms                    {"fail"?: 2, "status"?: 500, "latency_s"?, "reject"?: ["+2547…"]}
POST /control/mail                   {"fail"?: 2, "status"?: 451, "latency_s"?, "reject"?: ["a@example.com"]}
POST /control/forge                  {"url", "body"?, "source"?, "amount_kes"?, "checkout_id"?, "receipt"?, "msisdn"?}
                                     -> {status}: post body, or a paid STK callback made of the rest
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from aiohttp import web

from penpay.sandbox.control_rails import RailControl, answer
from penpay.sandbox.facts import Funds, Token, TokenRevoked
from penpay.sandbox.house import House
from penpay.sandbox.ids import now_epoch_s
from penpay.sandbox.report import everything, summary
from penpay.sandbox.steps import BadControl, turn

Handler = Callable[[web.Request], Awaitable[web.Response]]

INDEX = tuple(line for line in (__doc__ or "").splitlines() if line.startswith(("GET  /", "POST /")))


class Control:
    """Serves `/control`; what concerns one rail is in `control_rails`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._rails = RailControl(house)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        reads: dict[str, Callable[[web.Request], Any]] = {
            "/control": lambda _: {"endpoints": INDEX, "reference": __doc__},
            "/control/identity": lambda _: self._house.identity,
            "/control/truth": lambda _: everything(self._house.truth.world),
            "/control/truth/summary": lambda _: summary(self._house.truth.world),
            "/control/deliveries": self._deliveries,
            "/control/sms": self._sms,
            "/control/mail": self._mail,
            "/control/deriv/codes": self._codes,
            "/control/deriv/sessions": lambda _: {"sessions": self._house.deriv.describe()},
            "/control/script": self._rails.describe,
        }
        writes: dict[str, Callable[[web.Request, dict[str, Any]], Awaitable[Any]]] = {
            **self._rails.routes(),
            "/control/deriv/tokens": self._issue_token,
            "/control/deriv/tokens/revoke": self._revoke_token,
            "/control/deriv/tokens/restore": self._restore_token,
            "/control/funds": self._move_funds,
            "/control/fx": self._set_rates,
            "/control/sms": self._set_sms,
            "/control/mail": self._set_mail,
            "/control/forge": self._rails.forge,
        }
        for path, read in reads.items():
            router.add_route("GET", path, _reading(read))
        for path, write in writes.items():
            router.add_route("POST", path, self._writing(write))

    def _writing(self, write: Callable[[web.Request, dict[str, Any]], Awaitable[Any]]) -> Handler:
        async def serve(request: web.Request) -> web.Response:
            data = await request.read()
            try:
                told = await write(request, _object(data))
            except (BadControl, orjson.JSONDecodeError) as bad:
                return answer({"error": str(bad)}, 400)
            except KeyError as missing:
                return answer({"error": f"missing or unknown: {missing.args[0]}"}, 400)
            await self._house.truth.durable()
            return answer(told if told is not None else {"ok": True})

        return serve

    def _deliveries(self, request: web.Request) -> dict[str, Any]:
        kind = request.query.get("kind")
        postman = self._house.postman
        chosen = [one for one in postman.deliveries if kind in (None, one.kind)]
        return {"counts": postman.counts, "deliveries": chosen}

    def _sms(self, request: web.Request) -> dict[str, Any]:
        # A plus sign in a query string arrives as a blank.
        to = request.query.get("to", "").strip().removeprefix("+")
        return {"messages": [one for one in self._house.truth.world.sms if one.to.removeprefix("+") == to or not to]}

    def _mail(self, request: web.Request) -> dict[str, Any]:
        to = request.query.get("to", "")
        return {"messages": [one for one in self._house.truth.world.mail if one.to == to or not to]}

    def _codes(self, request: web.Request) -> dict[str, Any]:
        world, email = self._house.truth.world, request.query.get("email")
        return {
            "codes": [
                {
                    "code": one.code,
                    "email": one.email,
                    "amount": one.amount,
                    "agent_loginid": one.agent_loginid,
                    "expires_epoch_s": one.expires_epoch_s,
                    "used": one.code in world.used_codes,
                }
                for one in (world.codes.values() if email is None else world.codes_of(email))
            ]
        }

    async def _issue_token(self, request: web.Request, body: dict[str, Any]) -> Any:
        del request
        if self._house.deriv.money.account(body["loginid"]) is None:
            raise BadControl(f"no such login: {body['loginid']}")
        token = f"a1-{self._house.ids.hex(29)}"
        scopes = body.get("scopes", ["read", "trade", "trading_information", "payments", "admin"])
        self._house.truth.record(Token(token, body["loginid"], scopes, body.get("app_id", "")))
        return {"token": token}

    async def _revoke_token(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        self._house.truth.record(TokenRevoked(body["token"]))

    async def _restore_token(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        if self._house.deriv.money.account(body["loginid"]) is None:
            raise BadControl(f"no such login: {body['loginid']}")
        scopes = body.get("scopes", ["read", "trade", "trading_information", "payments", "admin"])
        self._house.truth.record(Token(body["token"], body["loginid"], scopes, body.get("app_id", "")))

    async def _move_funds(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        house, delta = self._house, body["delta_minor"]
        account = house.config.agent_loginid if body["account"] == "agent" else body["account"]
        if not isinstance(delta, int) or isinstance(delta, bool) or delta == 0:
            raise BadControl("delta_minor must be an integer other than 0")
        on_deriv = account not in ("paybill", "utility")
        if on_deriv and house.deriv.money.account(account) is None:
            raise BadControl(f"no such account: {account}")
        house.truth.record(Funds(account, delta, house.ids.transaction_id(), now_epoch_s()))
        if on_deriv:
            house.deriv.account_changed(account)

    async def _set_rates(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        if unknown := body.keys() - self._house.feeds.rates.keys():
            raise BadControl(f"unknown: {', '.join(sorted(unknown))}; known: primary, second")
        for source, values in body.items():
            if "mid" in values:
                values["mid"] = _mid(values["mid"])
            turn(self._house.feeds.rates[source], values)

    async def _set_sms(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        turn(self._house.feeds.sms, body)

    async def _set_mail(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        turn(self._house.mail.knobs, body)


def _object(data: bytes) -> dict[str, Any]:
    body = orjson.loads(data) if data else {}
    if not isinstance(body, dict):
        raise BadControl("a JSON object is needed")
    return body


def _mid(value: object) -> str:
    """A rate as a string or a number; anything that Decimal can read, NaN and infinities included."""
    try:
        Decimal(str(value))
    except InvalidOperation as bad:
        raise BadControl("mid must be a number or its text") from bad
    return str(value)


def _reading(read: Callable[[web.Request], Any]) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        return answer(read(request))

    return serve
