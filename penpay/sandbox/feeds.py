"""Two exchange-rate sources and the SMS gateway (Africa's Talking)."""

import asyncio
import hmac
import re
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.facts import Sms
from penpay.sandbox.ids import Ids, now_epoch_s
from penpay.sandbox.truth import Truth

_PHONE = re.compile(r"\+[0-9]{9,15}", re.ASCII)


@dataclass(slots=True, kw_only=True)
class Rates:
    """One source. `mid` goes into the JSON as it is written, so "NaN", "0" and "1e400" can be served too."""

    mid: str = "129.50"
    base: str = "USD"
    quote: str = "KES"
    age_s: float = 0.0
    status: int = 200
    latency_s: float = 0.0
    raw: str = ""
    """When set, the whole body."""

    def body(self) -> str:
        if self.raw:
            return self.raw
        at = int(now_epoch_s() - self.age_s)
        return f'{{"base":"{self.base}","rates":{{"{self.quote}":{self.mid}}},"timestamp":{at}}}'


@dataclass(slots=True, kw_only=True)
class SmsKnobs:
    """The mood of the SMS gateway. `fail` is how many requests to refuse next with `status`."""

    fail: int = 0
    status: int = 500
    latency_s: float = 0.0
    reject: list[str] = field(default_factory=list)
    """Numbers that the gateway reports as invalid."""


class Feeds:
    """`GET /fx/primary`, `GET /fx/second`, `POST /version1/messaging`."""

    def __init__(self, config: SandboxConfig, truth: Truth, ids: Ids) -> None:
        self._config = config
        self._truth = truth
        self._ids = ids
        self.rates = {"primary": Rates(), "second": Rates()}
        self.sms = SmsKnobs()

    async def serve_rates(self, request: web.Request) -> web.Response:
        rates = self.rates[request.match_info["source"]]
        if rates.latency_s:
            await asyncio.sleep(rates.latency_s)
        return web.Response(status=rates.status, text=rates.body(), content_type="application/json")

    async def serve_sms(self, request: web.Request) -> web.Response:
        """One message to one or more numbers, as a form. A wrong key is a 401 in plain text."""
        if self.sms.latency_s:
            await asyncio.sleep(self.sms.latency_s)
        if self.sms.fail > 0:
            self.sms.fail -= 1
            return web.Response(status=self.sms.status, text="The gateway is unavailable")
        if not hmac.compare_digest(request.headers.get("apiKey", ""), self._config.sms_api_key):
            return web.Response(status=401, text="The supplied authentication is invalid")
        form = await request.post()
        known = {"username", "to", "message", "from", "bulkSMSMode", "enqueue"}
        if form.get("username") != self._config.sms_username or form.keys() - known:
            return web.Response(status=401, text="The supplied authentication is invalid")
        to, text, sender = str(form.get("to", "")), str(form.get("message", "")), str(form.get("from", ""))
        if not to or not text:
            return web.Response(status=400, text="Must have to and message")
        recipients = [self._accept(number.strip(), sender, text) for number in to.split(",")]
        await self._truth.durable()
        sent = sum(1 for one in recipients if one["statusCode"] == 101)
        told = f"Sent to {sent}/{len(recipients)} Total Cost: KES {sent * 0.8:.4f}"
        body = orjson.dumps({"SMSMessageData": {"Message": told, "Recipients": recipients}})
        return web.Response(status=201, body=body, content_type="application/json")

    def _accept(self, number: str, sender: str, text: str) -> dict[str, object]:
        if not _PHONE.fullmatch(number) or number in self.sms.reject:
            return {
                "number": number,
                "status": "InvalidPhoneNumber",
                "statusCode": 403,
                "cost": "0",
                "messageId": "None",
            }
        message_id = f"ATXid_{self._ids.hex(32)}"
        self._truth.record(Sms(message_id, number, sender, text, now_epoch_s()))
        return {"number": number, "status": "Success", "statusCode": 101, "cost": "KES 0.8000", "messageId": message_id}
