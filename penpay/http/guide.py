"""What the API document says before its calls: the conventions, and the way from a registration to a withdrawal."""

from penpay.http.examples import EMAIL, NAME, PHONE

_CONVENTIONS = """
Deposits and withdrawals between M-Pesa and Deriv.

- **Money** is a decimal string with two digits and a currency: `{"amount":"1300.00","currency":"KES"}`. Numbers are
  refused.
- **Times** are RFC 3339 in UTC with milliseconds; days are days of Nairobi. **Ids** are ULIDs.
- **Requests** are JSON in UTF-8, at most 32 KiB. A field that is not documented is refused.
- **A POST that moves money needs an `Idempotency-Key`.** The same key with the same body gives the first answer again,
  byte for byte; with another body it is refused (422). After a time-out, send the same request with the same key.
- **Errors** are problem details (RFC 9457). Decide by `code`; `retryable`, `retry_after_s` and `next_action` say what
  to do. 429 and 503 carry `Retry-After`. Every answer carries `X-Request-Id`: name it to our support.
- **`failure.message` and `next_action`** of a transaction come in English or Swahili, by `Accept-Language`.
- **Following**: `GET /api/v1/events` is a stream of Server-Sent Events; with `Last-Event-ID` none is missed.
- **Limits**: 60 reads, 6 deposits and 3 withdrawals a minute; 5 sign-ins a minute.
"""
_WAY = """
### From a registration to a withdrawal

1. `POST /api/v1/auth/register`, then `POST /api/v1/auth/phone/verify` with the code that arrives by SMS.
   Where mail is sent, another code arrives there for `POST /api/v1/auth/email/verify`; nothing waits for it.
2. `POST /api/v1/auth/login`. On this page the access token is then used for every further call by itself; elsewhere it
   goes into `Authorization: Bearer …`.
3. `POST /api/v1/deriv/link`, and open the `authorize_url` in a browser. `PUT /api/v1/me/pin`.
4. `POST /api/v1/deposits`, and answer the prompt on the phone. Follow with `GET /api/v1/transactions/{id}/timeline`.
5. `POST /api/v1/withdrawals/code`: Deriv mails a code. `POST /api/v1/withdrawals` with that code and the PIN.

### Another phone number

`POST /api/v1/me/phone` with password and PIN, then `POST /api/v1/me/phone/verify` with the code that the new number
gets. The session that asks goes on, every other one ends. Withdrawals are held for 24 hours, and the former number is
told. What is under way keeps the number that it began with: an open payment prompt, a payout, a refund.
"""
_SIMULATED = """
### On this development stack

Phones, mail and Deriv are simulated here. What would arrive there is told by the simulator:

**The code of the SMS**

    curl '{simulator}/sms?to=%2B{phone}'

**A Deriv account in your name, with 100 dollars**; it answers the `loginid`

    curl '{simulator}/deriv/customers' -d '{{"fullname":"{name}","email":"{email}","balance":"100.00"}}'

**Saying yes on Deriv's page**: open the `authorize_url` with `&login=` and the `loginid` behind it.

**Paying on the phone** happens by itself after a second.

**The code that Deriv mails**

    curl '{simulator}/deriv/codes?email={email}'

**The mail about what ended**

    curl '{simulator}/mail?to={email}'
"""


def guide(simulator_url: str) -> str:
    """Markdown. `simulator_url` is empty where rails are real."""
    simulated = _SIMULATED.format(simulator=simulator_url, phone=PHONE, email=EMAIL, name=NAME) if simulator_url else ""
    return (_CONVENTIONS + _WAY + simulated).strip()
