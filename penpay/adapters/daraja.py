"""Safaricom Daraja over HTTPS: STK push and query, Reversal, B2C, TransactionStatus, Pull, AccountBalance.

Every call ends with a value, `NotSent` (no byte left, or refused before processing), `Refused` or `OutcomeUnknown`.
Source: the Daraja reference, parts 1 to 6.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import aiohttp

from penpay.adapters import daraja_parse as parse
from penpay.adapters.daraja_parse import Answer
from penpay.adapters.http_bodies import body_of
from penpay.domain.errors import GatewayError, NotSent, OutcomeUnknown
from penpay.domain.money import MINOR_PER_MAJOR, Currency, Money
from penpay.domain.mpesa_callbacks import EAT
from penpay.domain.payments import PullRow
from penpay.domain.rail_end import DISCONNECTED, NOT_CONNECTED, TIMED_OUT
from penpay.ports import Clock
from penpay.ports_rails import TOO_MANY_PAGES, Payout, PullList, ReversalAck, StkAck, StkStatus

_BODY_MAX = 1 << 20
_REFERENCE_MAX = 12
_TOKEN_MARGIN_S = 300
_PULL_PAGES_MAX = 200
_PULL_PAUSE_S = 0.02
"""Between pages: a long list read in one go would take a core for a second, and payments wait."""
_CONNECT_S = 5.0
_KEEPALIVE_S = 1.0
"""Shorter than servers commonly keep an idle connection (2 to 75 s): one that they close just as a push leaves on it
turns that push into an unknown outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DarajaAccount:
    """Whose money it is, and the secrets that prove it. `security_credential` is made by `crypto`."""

    base_url: str
    consumer_key: str
    consumer_secret: str = field(repr=False)
    shortcode: str
    paying_shortcode: str
    passkey: str = field(repr=False)
    initiator_name: str
    security_credential: str = field(repr=False)
    call_timeout_s: float = 30.0


class HttpDaraja:
    """`DarajaGateway`. One HTTP session, one access token, fetched by one caller at a time.

    The session is opened by the first call and closed by `close`.
    """

    def __init__(self, account: DarajaAccount, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self._token_until_s = 0.0
        self._fetching: asyncio.Task[str] | None = None

    async def close(self) -> None:
        """Close the connections. Calls in flight end as unknown."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def check(self) -> None:
        """Fetch a fresh access token."""
        await self._fetch_token_once()

    async def stk_push(self, *, amount: Money, phone: str, reference: str, callback_url: str) -> StkAck:
        """Show a prompt on a phone. There is no idempotency key: never repeat it after `OutcomeUnknown`."""
        assert 0 < len(reference) <= _REFERENCE_MAX
        body = {
            **self._signed(),
            "TransactionType": "CustomerPayBillOnline",
            "Amount": _shillings(amount),
            "PartyA": int(phone),
            "PartyB": int(self._account.shortcode),
            "PhoneNumber": int(phone),
            "CallBackURL": callback_url,
            "AccountReference": reference,
            "TransactionDesc": "Deposit",
        }
        return parse.stk_ack(await self._post("/mpesa/stkpush/v1/processrequest", body))

    async def stk_query(self, checkout_request_id: str) -> StkStatus:
        """What became of a push. Tells a result code only, and failures too early: see the grace window."""
        body = {**self._signed(), "CheckoutRequestID": checkout_request_id}
        return parse.stk_status(await self._post("/mpesa/stkpushquery/v1/query", body), checkout_request_id)

    async def reverse(self, *, receipt: str, amount: Money, result_url: str, timeout_url: str) -> ReversalAck:
        """Give a payment back to whoever paid it. The result comes later."""
        body = {
            **self._as_initiator("TransactionReversal"),
            "TransactionID": receipt,
            "Amount": _shillings(amount),
            "ReceiverParty": self._account.shortcode,
            "RecieverIdentifierType": "11",  # the provider's spelling
            "ResultURL": result_url,
            "QueueTimeOutURL": timeout_url,
            "Remarks": "Deposit refund",
        }
        return parse.reversal_ack(await self._post("/mpesa/reversal/v1/request", body))

    async def pay_out(self, payout: Payout) -> str:
        """Pay shillings to a phone (B2C v3). Conversation id of the accepted request; the result comes later.

        Safaricom takes each `originator_conversation_id` once: the same payout may be sent again under its id.
        """
        body = {
            "OriginatorConversationID": payout.originator_conversation_id,
            "InitiatorName": self._account.initiator_name,
            "SecurityCredential": self._account.security_credential,
            "CommandID": "BusinessPayment",
            "Amount": _shillings(payout.amount),
            "PartyA": self._account.paying_shortcode,
            "PartyB": payout.phone,
            "Remarks": "Withdrawal",
            "QueueTimeOutURL": payout.timeout_url,
            "ResultURL": payout.result_url,
            "Occassion": "Withdrawal",  # the provider's spelling
        }
        return parse.payout_conversation_id(await self._post("/mpesa/b2c/v3/paymentrequest", body))

    async def transaction_status(
        self, *, receipt: str, conversation_id: str, payouts: bool, result_url: str, timeout_url: str
    ) -> str:
        """Ask about one transaction, by its conversation id or else its receipt. The result comes later."""
        asked = {"OriginalConversationID": conversation_id} if conversation_id else {"TransactionID": receipt}
        body = {
            **self._as_initiator("TransactionStatusQuery"),
            **asked,
            "PartyA": self._account.paying_shortcode if payouts else self._account.shortcode,
            "IdentifierType": "4",
            "ResultURL": result_url,
            "QueueTimeOutURL": timeout_url,
            "Remarks": "Status",
            "Occasion": "Status",
        }
        return parse.conversation_id(await self._post("/mpesa/transactionstatus/v1/query", body))

    async def account_balance(self, *, payouts: bool, result_url: str, timeout_url: str) -> str:
        """Ask for the balances of the receiving short code, or of the paying one. The result comes later."""
        body = {
            **self._as_initiator("AccountBalance"),
            "PartyA": self._account.paying_shortcode if payouts else self._account.shortcode,
            "IdentifierType": "4",
            "ResultURL": result_url,
            "QueueTimeOutURL": timeout_url,
            "Remarks": "Balance",
        }
        return parse.conversation_id(await self._post("/mpesa/accountbalance/v1/query", body))

    async def pull(self, *, since: datetime, until: datetime) -> PullList:
        """Every payment of the period (at most 48 h back), also those whose callback never came."""
        found: dict[str, PullRow] = {}
        unreadable: set[str] = set()
        certain, offset, before = True, 0, parse.PullPage()
        for _ in range(_PULL_PAGES_MAX):
            body = {
                "ShortCode": self._account.shortcode,
                "StartDate": since.astimezone(EAT).strftime("%Y-%m-%d %H:%M:%S"),
                "EndDate": until.astimezone(EAT).strftime("%Y-%m-%d %H:%M:%S"),
                "OffSetValue": str(offset),
            }
            answer = await self._post("/pulltransactions/v1/query", body)
            page = parse.pull_page(answer, since=since, until=until)
            for row in page.rows:
                found.setdefault(row.receipt, row)
            unreadable.update(page.unreadable)
            certain = certain and page.certain
            # As received: of two equal entries each has a place in the list. A page that is told again is its last.
            received = len(page.rows) + len(page.unreadable)
            if not received or page == before:
                return PullList(
                    tuple(found.values()), complete=certain and not unreadable, unreadable=tuple(sorted(unreadable))
                )
            offset, before = offset + received, page
            await asyncio.sleep(_PULL_PAUSE_S)
        # A list that we did not read to its end proves nothing about what is missing from it.
        raise OutcomeUnknown(TOO_MANY_PAGES)

    def _signed(self) -> dict[str, Any]:
        stamp = self._clock.now().astimezone(EAT).strftime("%Y%m%d%H%M%S")
        plain = f"{self._account.shortcode}{self._account.passkey}{stamp}"
        password = base64.b64encode(plain.encode()).decode()
        return {"BusinessShortCode": int(self._account.shortcode), "Password": password, "Timestamp": stamp}

    def _as_initiator(self, command: str) -> dict[str, Any]:
        return {
            "Initiator": self._account.initiator_name,
            "SecurityCredential": self._account.security_credential,
            "CommandID": command,
        }

    async def _post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """One request; once more with a fresh token when only the token was refused."""
        token = await self._current_token()
        answer = await self._exchange("POST", path, {"Authorization": f"Bearer {token}"}, body)
        if not parse.has_invalid_token(answer):
            return answer
        if token == self._token:
            self._token_until_s = 0.0
        token = await self._current_token()
        return await self._exchange("POST", path, {"Authorization": f"Bearer {token}"}, body)

    async def _current_token(self) -> str:
        if self._clock.monotonic_s() < self._token_until_s:
            return self._token
        return await self._fetch_token_once()

    async def _fetch_token_once(self) -> str:
        """Everyone who needs a token waits for the same fetch, and shares its failure."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_token(), name="daraja-token")
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    def _fetched(self, task: asyncio.Task[str]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # every waiter gets it; without one it is not worth a log line

    async def _fetch_token(self) -> str:
        basic = f"{self._account.consumer_key}:{self._account.consumer_secret}".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(basic).decode()}
        try:
            answer = await self._exchange("GET", "/oauth/v1/generate?grant_type=client_credentials", headers, None)
            token, life_s = parse.access_token(answer)
        except GatewayError as error:
            # Whatever became of the token request, the operation behind it was not sent.
            raise NotSent(error.code, error.detail) from error
        self._token = token
        self._token_until_s = self._clock.monotonic_s() + max(life_s - _TOKEN_MARGIN_S, life_s // 2)
        return token

    async def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> Answer:
        """One HTTP exchange. What fails before the first byte is `NotSent`, what fails later `OutcomeUnknown`."""
        progress = SimpleNamespace(started=False)
        url = self._account.base_url.rstrip("/") + path
        try:
            async with self._opened().request(
                method, url, headers=headers, json=body, allow_redirects=False, trace_request_ctx=progress
            ) as response:
                return Answer(response.status, await body_of(response, _BODY_MAX))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if not progress.started:
                raise NotSent(NOT_CONNECTED, type(error).__name__) from error
            code = TIMED_OUT if isinstance(error, TimeoutError) else DISCONNECTED
            raise OutcomeUnknown(code, type(error).__name__) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(_note_first_byte)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=_KEEPALIVE_S),
                timeout=aiohttp.ClientTimeout(total=self._account.call_timeout_s, sock_connect=_CONNECT_S),
                trace_configs=[tracing],
                trust_env=False,
            )
        return self._session


async def _note_first_byte(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """Called just before the head of a request is written: from here on the provider may have it."""
    context.trace_request_ctx.started = True


def _shillings(amount: Money) -> int:
    """Whole shillings: Daraja takes no cents."""
    assert amount.currency is Currency.KES
    assert amount.whole
    assert amount.minor > 0
    return amount.minor // MINOR_PER_MAJOR
