"""Every way in which PenPay says no over HTTP: one entry per code, as RFC 9457 problem details.

Also used by the users' actors, whose stored refusals are replayed byte for byte. Source: contract.md part 3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "/problems"
"""Relative on purpose (RFC 9457, 3.1.1): a stored refusal must not remember the host name of its day."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of refusal. `next_action` is for the customer.

    `retryable`: the same may succeed later, under its Idempotency-Key unless the refusal is kept there.
    """

    code: str
    status: int
    title: str
    retryable: bool = False
    next_action: str = ""


def _types(status: int, *rows: tuple[str, str, bool, str]) -> dict[str, ProblemType]:
    return {code: ProblemType(code, status, title, retryable, action) for code, title, retryable, action in rows}


_SAME = "Send the same request again later."
_SAME_KEY = "Send the same request with the same Idempotency-Key again: it is safe."

PROBLEMS: Mapping[str, ProblemType] = MappingProxyType(
    _types(
        400,
        (
            "invalid_request",
            "The request has fields that are not valid",
            False,
            "Correct the fields named in `errors`.",
        ),
        (
            "malformed_json",
            "The body is not acceptable JSON",
            False,
            "Send one JSON object within the documented limits.",
        ),
        ("malformed_request", "The request is not valid HTTP", False, ""),
        (
            "idempotency_key_missing",
            "Idempotency-Key is missing",
            False,
            "Send an Idempotency-Key with every POST that moves money.",
        ),
        ("idempotency_key_invalid", "Idempotency-Key is not valid", False, "Use 1 to 255 visible ASCII characters."),
        ("code_invalid", "The code is wrong or has expired", False, "Check the code, or ask for a new one."),
        (
            "link_state_invalid",
            "This link has expired or was used",
            False,
            "Start linking the Deriv account again from the app.",
        ),
    )
    | _types(
        401,
        ("unauthorized", "Sign in first", False, "Sign in, or refresh the access token."),
        ("credentials_invalid", "E-mail or password is wrong", False, "Check both and try again."),
        ("refresh_invalid", "The session has ended", False, "Sign in again."),
    )
    | _types(
        403,
        ("forbidden", "Not allowed", False, ""),
        ("account_frozen", "The account is frozen", False, "Contact support."),
        ("pin_wrong", "The PIN is wrong", False, "Enter the PIN again; after five wrong ones it is locked."),
        ("password_wrong", "The password is wrong", False, "Enter the account's password."),
        (
            "phone_not_verified",
            "The phone number is not verified",
            False,
            "Verify the phone number with the code sent by SMS.",
        ),
        (
            "phone_not_own",
            "The phone number is not the account's own",
            False,
            "Pay from the verified number of the account.",
        ),
        ("deriv_not_linked", "No Deriv account is linked", False, "Link a Deriv USD account."),
        ("pin_not_set", "No PIN is set", False, "Set a PIN first."),
        (
            "withdrawals_held",
            "Withdrawals are held for a while",
            False,
            "Wait until the hold ends, or contact support.",
        ),
        (
            "name_mismatch",
            "The Deriv account is in another name",
            False,
            "Link a Deriv account in your own name, or contact support.",
        ),
        ("device_limit", "Two devices are signed in already", False, "Sign out on one of them first."),
    )
    | _types(
        404,
        ("not_found", "Not found", False, ""),
    )
    | _types(
        405,
        ("method_not_allowed", "This method is not allowed here", False, ""),
    )
    | _types(
        408,
        ("request_timeout", "The body did not arrive in time", True, _SAME),
    )
    | _types(
        409,
        ("quote_used", "The quote was used already", False, "Ask for a new quote."),
        ("quote_expired", "The quote has expired", False, "Ask for a new quote."),
        (
            "stk_open",
            "A payment prompt is still open on this phone",
            True,
            "Answer the prompt on the phone, or wait and try again with a new Idempotency-Key.",
        ),
        ("code_amount_mismatch", "The code was asked for another amount", False, "Ask for a code for this amount."),
        (
            "not_cancellable",
            "It is too late to cancel",
            False,
            "Follow the transaction: it ends completed, given back or failed.",
        ),
        (
            "approval_reused",
            "This approval was used for another decision",
            False,
            "Name a reference of its own: each carries one decision, for a day; one that was refused leaves it free.",
        ),
        ("money_open", "Money of this customer is still open", True, "Wait until it has ended, or decide its review."),
        (
            "withdrawal_open",
            "Another withdrawal is still open",
            True,
            "Wait until it has ended, and try again with a new Idempotency-Key.",
        ),
        ("request_in_progress", "The first request with this key is still running", True, _SAME_KEY),
        (
            "receipt_not_ready",
            "The transaction has not ended yet",
            True,
            "Ask again when its status is COMPLETED, FAILED or REVERSED.",
        ),
        (
            "review_not_resolvable",
            "The transaction has no such exit now",
            False,
            "Look at what it holds with `penpay explain`; an operation without a proven end must be proven first.",
        ),
        (
            "phone_taken",
            "Another account holds this phone number",
            False,
            "Sign in to that account, or contact support.",
        ),
        (
            "deriv_account_taken",
            "This Deriv account is linked to another customer",
            False,
            "Link another account, or contact support.",
        ),
        ("deriv_already_linked", "A Deriv account is linked already", False, "Remove the present link first."),
        (
            "deriv_link_busy",
            "Money is still moving to the linked account",
            True,
            "Wait until open transactions have ended.",
        ),
    )
    | _types(
        413,
        ("payload_too_large", "The body is too large", False, ""),
    )
    | _types(
        415,
        (
            "unsupported_media_type",
            "The content type is not supported",
            False,
            "Send application/json without content coding.",
        ),
    )
    | _types(
        417,
        ("expectation_failed", "This expectation cannot be met", False, "Send no Expect header but 100-continue."),
    )
    | _types(
        421,
        ("misdirected_request", "This host is not served here", False, "Use the documented address."),
    )
    | _types(
        422,
        ("amount_out_of_range", "The amount is outside the limits", False, "Choose an amount within the limits."),
        ("amount_not_whole", "M-Pesa moves whole shillings only", False, "Choose an amount without cents."),
        (
            "daily_limit_exceeded",
            "The daily limit would be exceeded",
            False,
            "Choose a smaller amount, or wait for the next day.",
        ),
        (
            "idempotency_key_reused",
            "This Idempotency-Key was used with another body",
            False,
            "Use a new key for a new request.",
        ),
        ("statement_too_large", "The statement would be too long", False, "Choose a shorter period, or CSV."),
        ("quote_unknown", "There is no such quote for this request", False, "Ask for a new quote."),
        ("deriv_account_unsuitable", "This Deriv account cannot be linked", False, "Link a real Deriv account in USD."),
        (
            "deriv_refused",
            "Deriv did not accept the authorisation",
            False,
            "Start linking the Deriv account again from the app.",
        ),
    )
    | _types(
        423,
        ("pin_locked", "The PIN is locked", False, "Wait until the lock ends, or contact support."),
    )
    | _types(
        429,
        ("rate_limited", "Too many requests", True, "Wait as long as Retry-After says."),
    )
    | _types(
        431,
        ("headers_too_large", "The request's headers are too large", False, ""),
    )
    | _types(
        500,
        (
            "internal_error",
            "Something went wrong on our side",
            True,
            "Try again; name the request id when you contact support.",
        ),
    )
    | _types(
        501,
        (
            "mail_not_sent",
            "No mail is sent from here",
            False,
            "Go on without: no call asks for a verified address.",
        ),
    )
    | _types(
        503,
        ("rates_unavailable", "There is no reliable exchange rate now", True, _SAME),
        ("float_low", "This cannot be delivered now", True, "Try a smaller amount, or the same later."),
        ("rail_down", "M-Pesa or Deriv cannot be reached now", True, _SAME),
        ("overloaded", "Too busy to take this now", True, _SAME),
        ("not_owner", "Another node answers this", True, _SAME),
        ("not_ready", "Starting or stopping", True, _SAME),
        ("unavailable", "A part that this needs is away", True, _SAME),
        ("outcome_unknown", "The answer did not arrive in time", True, _SAME_KEY),
    )
)


def problem(
    code: str,
    detail: str = "",
    instance: str = "",
    *,
    retry_after_s: int = 0,
    errors: Iterable[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Problem details of a code of `PROBLEMS`. `errors` are `{"field": …, "message": …}` and belong to 400.

    `retry_after_s` also belongs into the Retry-After header; 429 and 503 always carry one.
    """
    known = PROBLEMS[code]
    body: dict[str, Any] = {
        "type": f"{TYPE_BASE}/{code}",
        "title": known.title,
        "status": known.status,
        "detail": detail or known.title + ".",
    }
    if instance:
        body["instance"] = instance
    body["code"] = code
    body["retryable"] = known.retryable
    if retry_after_s:
        body["retry_after_s"] = retry_after_s
    if known.next_action:
        body["next_action"] = known.next_action
    named = [dict(error) for error in errors]
    if named:
        body["errors"] = named
    return body
