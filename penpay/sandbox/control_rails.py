"""The part of the control API that scripts phones, Daraja and Deriv. The reference stands in `control`."""

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from aiohttp import web

from penpay.sandbox.daraja.prompt import callback_body
from penpay.sandbox.facts import Customer, Payment, ProviderReversal, Push, Wallet
from penpay.sandbox.house import House
from penpay.sandbox.ids import now_epoch_s
from penpay.sandbox.steps import BadControl, StkStep, daraja_step, deriv_step, stk_step, turn

_MSISDN = re.compile(r"254[17]\d{8}", re.ASCII)
_LOGIN = re.compile(r"[A-Za-z]+[0-9]+", re.ASCII)

Write = Callable[[web.Request, dict[str, Any]], Awaitable[Any]]


def answer(told: Any, status: int = 200) -> web.Response:
    """A JSON answer; facts are written as objects."""
    return web.Response(status=status, body=orjson.dumps(told), content_type="application/json")


def _known(body: dict[str, Any], *names: str) -> None:
    if unknown := body.keys() - set(names):
        raise BadControl(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")


def _msisdn(request: web.Request) -> str:
    msisdn = request.match_info["msisdn"]
    if not _MSISDN.fullmatch(msisdn):
        raise BadControl("a phone is 2547… or 2541…, 12 digits")
    return msisdn


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadControl(f"{name} must be a whole number of shillings")
    return value


class RailControl:
    """Handlers of `/control/phones`, `/control/pushes`, `/control/payments`, `/control/daraja` and `/control/deriv`."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> dict[str, Write]:
        return {
            "/control/phones/{msisdn}": self._set_phone,
            "/control/phones/{msisdn}/script": self._script_phone,
            "/control/phones/{msisdn}/pay": self._pay_by_hand,
            "/control/pushes/{checkout_id}/answer": self._answer_prompt,
            "/control/pushes/{checkout_id}/callback": self._send_callback,
            "/control/payments/{receipt}/reverse": self._reverse,
            "/control/daraja/script": self._script_daraja,
            "/control/daraja/drop": self._drop_daraja,
            "/control/deriv/customers": self._open_account,
            "/control/deriv/oauth": self._set_oauth,
            "/control/deriv/script": self._script_deriv,
            "/control/deriv/drop": self._drop,
            "/control/deriv/site": self._set_site,
        }

    def describe(self, request: web.Request) -> dict[str, Any]:
        """Steps that are still waiting, and the knobs as they stand."""
        del request
        daraja, deriv = self._house.daraja, self._house.deriv
        return {
            "daraja": {
                "knobs": daraja.knobs,
                "steps": daraja.script.pending(),
                "phones": {msisdn: steps for msisdn, steps in daraja.phones.steps.items() if steps},
                "by_amount": [
                    {"msisdn": msisdn, "amount_kes": amount, "step": step}
                    for (msisdn, amount), step in daraja.phones.by_amount.items()
                ],
                "stk_default": daraja.phones.default,
            },
            "deriv": {"knobs": deriv.knobs, "steps": deriv.script.pending(), "site_status": deriv.calls.site_status},
            "fx": self._house.feeds.rates,
            "sms": self._house.feeds.sms,
        }

    async def _set_phone(self, request: web.Request, body: dict[str, Any]) -> None:
        _known(body, "balance_kes", "registered")
        msisdn = _msisdn(request)
        wallet = self._house.truth.world.wallet(msisdn)
        balance_minor = wallet.balance_minor
        if "balance_kes" in body:
            balance_minor = _whole(body["balance_kes"], "balance_kes") * 100
        self._house.truth.record(Wallet(msisdn, balance_minor, bool(body.get("registered", wallet.registered))))

    async def _script_phone(self, request: web.Request, body: dict[str, Any]) -> None:
        _known(body, "steps", "by_amount", "clear")
        msisdn, phones = _msisdn(request), self._house.daraja.phones
        steps = [stk_step(raw) for raw in body.get("steps", [])]
        by_amount = {(msisdn, int(amount)): stk_step(raw) for amount, raw in body.get("by_amount", {}).items()}
        if body.get("clear"):
            phones.steps.pop(msisdn, None)
            for key in [key for key in phones.by_amount if key[0] == msisdn]:
                del phones.by_amount[key]
        phones.steps.setdefault(msisdn, []).extend(steps)
        phones.by_amount.update(by_amount)

    async def _pay_by_hand(self, request: web.Request, body: dict[str, Any]) -> Any:
        _known(body, "amount_kes", "reference")
        house, receipt = self._house, self._house.ids.receipt()
        amount_minor = _whole(body["amount_kes"], "amount_kes") * 100
        house.truth.record(Payment(receipt, _msisdn(request), amount_minor, body.get("reference", ""), now_epoch_s()))
        return {"receipt": receipt}

    def _push(self, request: web.Request) -> Push:
        push = self._house.truth.world.pushes.get(request.match_info["checkout_id"])
        if push is None:
            raise BadControl("no such push")
        return push

    async def _answer_prompt(self, request: web.Request, body: dict[str, Any]) -> Any:
        _known(body, "result_code")
        push = self._push(request)
        if push.result_code:
            raise BadControl(f"the prompt has ended with {push.result_code}")
        self._house.daraja.prompts.answer(push, str(body.get("result_code", "0")))
        return {"result_code": push.result_code, "receipt": push.receipt}

    async def _send_callback(self, request: web.Request, body: dict[str, Any]) -> None:
        _known(body, "copies")
        push, house = self._push(request), self._house
        if not push.result_code:
            raise BadControl("the prompt is still open")
        told = callback_body(push, house.truth.world.payments.get(push.receipt), house.ids)
        house.postman.send("stk", push.callback_url, told, copies=_whole(body.get("copies", 1), "copies"))

    async def _reverse(self, request: web.Request, body: dict[str, Any]) -> Any:
        _known(body)
        house = self._house
        payment = house.truth.world.payments.get(request.match_info["receipt"])
        if payment is None or payment.reversed_by:
            raise BadControl("no such payment, or it is reversed already")
        receipt = house.ids.receipt()
        house.truth.record(ProviderReversal(payment.receipt, receipt, now_epoch_s()))
        return {"reversal_receipt": receipt}

    async def _script_daraja(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        names = ("knobs", "steps", "stk_default", "stk_by_amount", "expire_tokens", "unlock_credential", "clear")
        _known(body, *names)
        daraja = self._house.daraja
        steps = [daraja_step(raw) for raw in body.get("steps", [])]
        by_amount = {("", int(amount)): stk_step(raw) for amount, raw in body.get("stk_by_amount", {}).items()}
        default = stk_step(body["stk_default"]) if "stk_default" in body else None
        turn(daraja.knobs, body.get("knobs", {}))
        if body.get("clear"):
            daraja.script.clear()
            daraja.phones.clear()
        for step in steps:
            daraja.script.add(step)
        daraja.phones.by_amount.update(by_amount)
        daraja.phones.default = default or daraja.phones.default
        if body.get("expire_tokens"):
            daraja.gate.expire_tokens()
        if body.get("unlock_credential"):
            daraja.initiator.unlock()

    async def _drop_daraja(self, request: web.Request, body: dict[str, Any]) -> Any:
        del request
        _known(body)
        return {"dropped": self._house.daraja.drop()}

    async def _open_account(self, request: web.Request, body: dict[str, Any]) -> Any:
        del request
        _known(body, "loginid", "fullname", "email", "currency", "country", "balance", "scopes", "is_virtual")
        house = self._house
        loginid = body.get("loginid") or f"CR{house.ids.transaction_id()}"
        if not _LOGIN.fullmatch(loginid) or loginid in house.truth.world.accounts:
            raise BadControl("loginid must be letters and digits, and new")
        try:
            balance_minor = int(Decimal(str(body.get("balance", "0"))) * 100)
        except InvalidOperation as bad:
            raise BadControl("balance must be a decimal string") from bad
        customer = Customer(
            loginid,
            body["fullname"],
            body["email"],
            body.get("currency", "USD"),
            body.get("country", "ke"),
            balance_minor,
            bool(body.get("is_virtual", False)),
        )
        scopes = body.get("scopes")
        token = (
            house.deriv.money.open(customer, tuple(scopes)) if scopes is not None else house.deriv.money.open(customer)
        )
        return {"loginid": loginid, "token": token}

    async def _set_oauth(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        _known(body, "redirect_url", "login", "scopes")
        page = self._house.oauth
        page.redirect_url = body.get("redirect_url", page.redirect_url)
        page.login = body.get("login", page.login)
        page.scopes = tuple(body.get("scopes", page.scopes))

    async def _script_deriv(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        _known(body, "steps", "knobs", "clear")
        deriv = self._house.deriv
        steps = [deriv_step(raw) for raw in body.get("steps", [])]
        turn(deriv.knobs, body.get("knobs", {}))
        if body.get("clear"):
            deriv.script.clear()
        for step in steps:
            deriv.script.add(step)

    async def _drop(self, request: web.Request, body: dict[str, Any]) -> Any:
        del request
        _known(body, "loginid")
        return {"dropped": self._house.deriv.drop(body.get("loginid", ""))}

    async def _set_site(self, request: web.Request, body: dict[str, Any]) -> None:
        del request
        _known(body, "status", "message", "drop_after_s")
        if body["status"] not in ("up", "down", "updating"):
            raise BadControl("status must be up, down or updating")
        self._house.deriv.set_site(body["status"], body.get("message", ""), float(body.get("drop_after_s", 60)))

    async def forge(self, request: web.Request, body: dict[str, Any]) -> Any:
        """Post something that Safaricom never said."""
        del request
        _known(body, "url", "body", "source", "amount_kes", "checkout_id", "receipt", "msisdn")
        house, now = self._house, now_epoch_s()
        if "body" in body:
            told = orjson.dumps(body["body"])
        else:
            checkout_id = body.get("checkout_id") or house.ids.checkout_id(now)
            msisdn, receipt = body.get("msisdn", "254700000000"), body.get("receipt") or house.ids.receipt()
            amount_minor = _whole(body.get("amount_kes", 1), "amount_kes") * 100
            push = Push(checkout_id, house.ids.merchant_id(), msisdn, amount_minor, "", "", body["url"], now, StkStep())
            told = callback_body(push, Payment(receipt, msisdn, amount_minor, "", now, checkout_id), house.ids)
        status = await house.postman.deliver("forged", body["url"], told, source=body.get("source"))
        return {"status": status}
