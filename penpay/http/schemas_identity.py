"""Bodies of sign-in, devices, passwords and PINs. Enforced and documented like those of `penpay.http.schemas`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from penpay.domain.identity import EMAIL_MAX, NAME_MAX, PASSWORD_MAX, is_readable_name
from penpay.http.schemas import Answer, CodeText, DerivLinkAnswer, Me, PhoneText, Request, Time, Transaction

DEVICE_ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069<>"
TEXT_PATTERN = rf"^[^{_UNSEEN}]*[^\s{_UNSEEN}][^{_UNSEEN}]*$"
"""Something that can be read: no control characters, none that turn what follows around, no angle brackets."""


def _readable(name: str) -> str:
    if not is_readable_name(name):
        raise ValueError("must be a name that can be read, without hidden characters")
    return name


FullName = Annotated[str, Field(min_length=2, max_length=NAME_MAX, pattern=TEXT_PATTERN), AfterValidator(_readable)]
EmailText = Annotated[str, Field(min_length=3, max_length=EMAIL_MAX, examples=["wanjiku@example.com"])]
RefreshText = Annotated[str, Field(min_length=32, max_length=128)]
DeviceId = Annotated[str, Field(pattern=DEVICE_ID_PATTERN, examples=["pixel-8-4f2a"])]


class RegisterRequest(Request):
    """Open an account."""

    email: EmailText
    phone: PhoneText
    password: Annotated[str, Field(min_length=8, max_length=PASSWORD_MAX)]
    full_name: FullName


class VerifyPhoneRequest(Request):
    """The code that arrived by SMS."""

    phone: PhoneText
    code: CodeText


class ResendRequest(Request):
    """Ask for another code."""

    phone: PhoneText


class ChangePhoneRequest(Request):
    """Another phone number. The PIN is needed once one is set."""

    phone: PhoneText
    password: Annotated[str, Field(min_length=1, max_length=PASSWORD_MAX)]
    pin: CodeText | None = None


class VerifyEmailRequest(Request):
    """The code that arrived by mail."""

    email: EmailText
    code: CodeText


class ResendEmailRequest(Request):
    """Ask for another code by mail."""

    email: EmailText


class Device(Request):
    """The device that signs in. Two may be signed in at once."""

    id: DeviceId
    name: Annotated[str, Field(min_length=1, max_length=80, pattern=TEXT_PATTERN, examples=["Pixel 8"])]
    platform: Literal["android", "ios", "web", "other"]


class LoginRequest(Request):
    """Sign in. A web client may ask for the refresh token as an HttpOnly cookie."""

    email: EmailText
    password: Annotated[str, Field(min_length=1, max_length=PASSWORD_MAX)]
    device: Device
    refresh_in: Literal["body", "cookie"] = "body"


class RefreshRequest(Request):
    """Exchange a refresh token; each works once. Without `refresh_token` the cookie is used."""

    refresh_token: RefreshText | None = None
    device_id: DeviceId


class LogoutRequest(Request):
    """End this session, or with `everywhere` every session of the account."""

    refresh_token: RefreshText | None = None
    device_id: DeviceId
    everywhere: bool = False


class ForgotPasswordRequest(Request):
    """Ask for a code that sets a new password; it goes to the account's phone."""

    email: EmailText


class ResetPasswordRequest(Request):
    """The code that arrived by SMS, and the password from now on."""

    email: EmailText
    code: CodeText
    password: Annotated[str, Field(min_length=8, max_length=PASSWORD_MAX)]


class PasswordRequest(Request):
    """Change the password: the present one and the one from now on."""

    password: Annotated[str, Field(min_length=1, max_length=PASSWORD_MAX)]
    new_password: Annotated[str, Field(min_length=8, max_length=PASSWORD_MAX)]


class PinRequest(Request):
    """Set or change the six-digit PIN of withdrawals."""

    pin: CodeText
    password: Annotated[str, Field(min_length=1, max_length=PASSWORD_MAX)]


class Verification(Answer):
    """Where the code went, until when it works, and when another may be asked for."""

    sent_to: str
    expires_at: Time
    resend_at: Time


class Registered(Answer):
    """The account waits for its phone to be verified."""

    email: str
    phone: str
    verification: Verification


class PhoneVerified(Answer):
    """The phone belongs to the account now."""

    phone: str
    verified: bool


class EmailVerified(Answer):
    """Mail to this address reaches the customer."""

    email: str
    verified: bool


class ResetCode(Answer):
    """Until when a code works, if one was sent, and when another may be asked for. The same for every address."""

    expires_at: Time
    resend_at: Time


class SignedInDevice(Answer):
    """A device with a living session; `current` is the one that asks."""

    id: str
    name: str
    platform: str
    signed_in_at: Time
    last_used_at: Time
    current: bool


class Devices(Answer):
    """Every device that is signed in; two at most."""

    items: list[SignedInDevice]


class NoticeSent(Answer):
    """Something that the customer was told about their account."""

    kind: str
    at: Time


class KycSnapshot(Answer):
    """How well the customer was known at one moment, and why that was looked at."""

    version: int
    tier: int
    reason: str
    at: Time


class Export(Answer):
    """Everything that is stored about a customer. `complete` is false only beyond 20,000 transactions."""

    exported_at: Time
    profile: Me
    devices: list[SignedInDevice]
    deriv: DerivLinkAnswer
    kyc: list[KycSnapshot]
    notices: list[NoticeSent]
    transactions: list[Transaction]
    complete: bool


class Tokens(Answer):
    """A signed-in session. `refresh_token` is missing when it went into a cookie."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str | None = None
    refresh_expires_in: int
