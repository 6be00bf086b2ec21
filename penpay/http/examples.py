"""Examples of the API document: bodies that can be pasted, one story from registration to a withdrawal.

A test sends each of them through its own model, and walks the story on a real stack.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from penpay.http import schemas, schemas_identity

EMAIL = "wanjiku@example.com"
PASSWORD = "one long sentence is best"  # noqa: S105 - an example
PHONE = "254712345678"
NAME = "Wanjiku Kamau"
DEVICE = "pixel-8-4f2a"
ID = "01KAF0Z3T9V5N5W6H3C8Q2YB7D"
QUOTE_ID = "01KAF0Z3T9V5N5W6H3C8Q2YB7E"
_KES = {"amount": "1300.00", "currency": "KES"}
_USD = {"amount": "9.66", "currency": "USD"}
_RATE = {"mid_rate": "129.50", "spread": "5.00", "rate": "134.50"}
_TRANSACTION = {
    "id": ID,
    "type": "DEPOSIT",
    "status": "COMPLETED",
    "stage": "COMPLETED",
    "send": _KES,
    "receive": _USD,
    "quote": {"id": QUOTE_ID, **_RATE},
    "phone": "2547****678",
    "deriv_loginid": "CR123456",
    "evidence": {"mpesa_receipt": "TKK1ABC2DE", "deriv_transaction_id": "9001"},
    "failure": None,
    "created_at": "2026-11-20T12:00:00.000Z",
    "updated_at": "2026-11-20T12:00:21.000Z",
    "completed_at": "2026-11-20T12:00:21.000Z",
}
_SENT = {"expires_at": "2026-11-20T12:10:00.000Z", "resend_at": "2026-11-20T12:01:00.000Z"}
_LINK = {
    "status": "active",
    "loginid": "CR123456",
    "currency": "USD",
    "linked_at": "2026-11-20T11:59:00.000Z",
    "next_action": None,
}
_LEFT = {
    "per_transaction_min": {"amount": "2.00", "currency": "USD"},
    "per_transaction_max": {"amount": "1000.00", "currency": "USD"},
    "today_max": {"amount": "2000.00", "currency": "USD"},
    "today_left": {"amount": "1990.34", "currency": "USD"},
}
_TOKENS = {
    "access_token": "eyJhbGciOiJFZERTQSIsImtpZCI6IjdkNmMzNDRmZmJmNzdiOTEifQ.eyJzdWIiOiIwMUtBRjBaMyJ9.c2lnbmF0dXJl",
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_token": "0Xq5cS0h6lqzv1nX1QyqYQ2h8m0b9kqfYbqJm3Qw1uE",
    "refresh_expires_in": 2592000,
}
_SIGNED_IN = {
    "id": DEVICE,
    "name": "Pixel 8",
    "platform": "android",
    "signed_in_at": "2026-11-20T11:58:00.000Z",
    "last_used_at": "2026-11-20T12:00:00.000Z",
    "current": True,
}
_ME = {
    "id": "01KAF0Z3T9V5N5W6H3C8Q2YB7A",
    "email": EMAIL,
    "email_verified": True,
    "phone": "2547****678",
    "phone_verified": True,
    "full_name": NAME,
    "status": "ACTIVE",
    "kyc_tier": 1,
    "pin_set": True,
    "deriv": _LINK,
    "withdrawals_held_until": None,
    "limits": {"deposit": _LEFT, "withdrawal": _LEFT},
    "created_at": "2026-11-20T11:57:00.000Z",
}

EXAMPLES: Mapping[type[BaseModel], Any] = {
    schemas_identity.RegisterRequest: {
        "email": EMAIL,
        "phone": PHONE,
        "password": PASSWORD,
        "full_name": NAME,
    },
    schemas_identity.VerifyPhoneRequest: {"phone": PHONE, "code": "123456"},
    schemas_identity.ResendRequest: {"phone": PHONE},
    schemas_identity.LoginRequest: {
        "email": EMAIL,
        "password": PASSWORD,
        "device": {"id": DEVICE, "name": "Pixel 8", "platform": "android"},
    },
    schemas_identity.RefreshRequest: {"refresh_token": _TOKENS["refresh_token"], "device_id": DEVICE},
    schemas_identity.LogoutRequest: {"refresh_token": _TOKENS["refresh_token"], "device_id": DEVICE},
    schemas_identity.VerifyEmailRequest: {"email": EMAIL, "code": "123456"},
    schemas_identity.ResendEmailRequest: {"email": EMAIL},
    schemas_identity.ForgotPasswordRequest: {"email": EMAIL},
    schemas_identity.ResetPasswordRequest: {"email": EMAIL, "code": "123456", "password": "another long sentence"},
    schemas_identity.PasswordRequest: {"password": PASSWORD, "new_password": "another long sentence"},
    schemas_identity.ChangePhoneRequest: {"phone": "254722000111", "password": PASSWORD, "pin": "274913"},
    schemas_identity.PinRequest: {"pin": "274913", "password": PASSWORD},
    schemas_identity.Registered: {
        "email": "w*****u@example.com",
        "phone": "2547****678",
        "verification": {"sent_to": "2547****678", **_SENT},
    },
    schemas_identity.Verification: {"sent_to": "2547****678", **_SENT},
    schemas_identity.PhoneVerified: {"phone": "2547****678", "verified": True},
    schemas_identity.EmailVerified: {"email": EMAIL, "verified": True},
    schemas_identity.Tokens: _TOKENS,
    schemas_identity.ResetCode: _SENT,
    schemas_identity.Devices: {"items": [_SIGNED_IN]},
    schemas_identity.Export: {
        "exported_at": "2026-11-20T12:00:00.000Z",
        "profile": {**_ME, "phone": PHONE},
        "devices": [_SIGNED_IN],
        "deriv": _LINK,
        "kyc": [{"version": 2, "tier": 1, "reason": "deriv_linked", "at": "2026-11-20T11:58:30.000Z"}],
        "notices": [{"kind": "pin_set", "at": "2026-11-20T11:59:00.000Z"}],
        "transactions": [_TRANSACTION],
        "complete": True,
    },
    schemas.QuoteRequest: {"type": "DEPOSIT", "amount": _KES},
    schemas.DepositRequest: {"amount": _KES},
    schemas.WithdrawalCodeRequest: {"amount": {"amount": "20.00", "currency": "USD"}},
    schemas.WithdrawalRequest: {
        "amount": {"amount": "20.00", "currency": "USD"},
        "verification_code": "h7Kq2VbN",
        "pin": "274913",
    },
    schemas.QuoteAnswer: {
        "id": QUOTE_ID,
        "type": "DEPOSIT",
        "send": _KES,
        "receive": _USD,
        **_RATE,
        "fees": [],
        "expires_at": "2026-11-20T12:15:00.000Z",
    },
    schemas.Transaction: _TRANSACTION,
    schemas.Transactions: {"items": [_TRANSACTION], "next_cursor": None},
    schemas.Timeline: {
        "transaction_id": ID,
        "status": "AWAITING_MPESA_CALLBACK",
        "stage": "AWAITING_PAYER",
        "outlook": "The prompt is on the phone; no money has moved; awaited: the payment; next look at "
        "2026-11-20T12:00:20.000Z; at 2026-11-20T12:03:00.000Z at the latest M-Pesa is asked until it is certain.",
        "now": {
            "known": "the prompt is on the phone",
            "money": "no money has moved",
            "awaited": "the payment",
            "next_look_at": "2026-11-20T12:00:20.000Z",
            "deadline_at": "2026-11-20T12:03:00.000Z",
            "then": "M-Pesa is asked until it is certain",
        },
        "steps": [
            {
                "at": "2026-11-20T12:00:00.000Z",
                "event": "StkStarted",
                "from": "CREATED",
                "stage": "STK_SENDING",
                "evidence": {},
            }
        ],
    },
    schemas.CodeSent: {
        "amount": {"amount": "20.00", "currency": "USD"},
        "receive": {"amount": "2490.00", "currency": "KES"},
        "phone": "2547****678",
    },
    schemas.Receipt: {
        "receipt": {"issuer": "https://pay.example", "version": 5, "transaction": _TRANSACTION},
        "algorithm": "Ed25519",
        "public_key": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "signature": "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" * 2,
    },
    schemas.ReceiptKey: {
        "algorithm": "Ed25519",
        "public_key": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    },
    schemas.Balance: {
        "deriv": {"amount": "109.66", "currency": "USD", "as_of": "2026-11-20T12:00:22.000Z", "live": True},
        "in_flight": [],
    },
    schemas.DerivLinkAnswer: _LINK,
    schemas.LinkStart: {
        "authorize_url": "https://oauth.deriv.com/oauth2/authorize?app_id=1089&state=Zk3vN0",
        "expires_at": "2026-11-20T12:08:00.000Z",
    },
    schemas.Me: _ME,
}
TEXTS = {
    "text/event-stream": "id: 3-1841\nevent: transaction.updated\n"
    f'data: {{"id":"{ID}","status":"COMPLETED","stage":"COMPLETED"}}\n\n',
    "text/csv": "time,type,transaction,status,sent,sent_currency,received,received_currency,rate_kes_per_usd,"
    "mpesa_receipt,deriv_transaction,held_kes,held_usd\n"
    "2026-10-31T21:00:00.000Z,OPENING,,,,,,,,,,0.00,0.00\n"
    f"2026-11-20T12:00:00.000Z,DEPOSIT,{ID},COMPLETED,1300.00,KES,9.66,USD,134.50,TKK1ABC2DE,9001,,\n"
    "2026-11-30T21:00:00.000Z,CLOSING,,,,,,,,,,0.00,0.00\n",
}
RESPONSE_HEADERS = {
    "X-Request-Id": {"description": "Names this request in our log.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
    },
    "Location": {"description": "Where the transaction can be read.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "`true` when this is the first answer to this key, repeated.",
        "schema": {"type": "string"},
    },
    "ETag": {"description": "The transaction's version.", "schema": {"type": "string"}},
}
