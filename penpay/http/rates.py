"""How often a customer or an address may do what. Source: faults.md S25."""

from dataclasses import dataclass

from penpay.domain.throttle import Rule

_STATEMENTS_PER_MINUTE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRules:
    """The rules of the public listener."""

    login_account: Rule
    """Per account; a device that the account knows has a count of its own, so that strangers cannot lock it out."""
    login_hour: Rule
    """The same for a longer while: what bounds patient guessing."""
    login_address: Rule
    """Sign-ins, codes and forgotten passwords together: whoever guesses, guesses from somewhere."""
    register_address: Rule
    code: Rule
    """Guessing a code, a PIN's password, or asking for codes: per phone or account."""
    resend: Rule
    codes_day: Rule
    """Codes to one receiver: every message costs money and rings at somebody's bed."""
    codes_all: Rule
    """Codes to everybody: what a flood of registrations may cost at most."""
    deposit_minute: Rule
    deposit_hour: Rule
    withdrawal_code: Rule
    withdrawal_minute: Rule
    withdrawal_day: Rule
    read: Rule
    export: Rule
    statement: Rule
    """Statements cost more than other reads."""
    callback_address: Rule
    """Only for addresses that are not on the provider's list."""


def rate_rules(  # noqa: PLR0913 - one figure per rule, all by name
    *,
    login_per_minute: int = 5,
    login_per_hour: int = 30,
    login_per_minute_address: int = 20,
    register_per_hour_address: int = 3,
    otp_per_15_minutes: int = 5,
    otp_resend_s: int = 60,
    otp_per_day: int = 10,
    otp_per_hour_all: int = 2_000,
    deposit_per_minute: int = 6,
    deposit_per_hour: int = 30,
    withdrawal_per_minute: int = 3,
    withdrawal_per_day: int = 10,
    read_per_minute: int = 60,
    callback_per_minute_address: int = 600,
    address_factor: int = 1,
) -> RateRules:
    """The rules from their figures. `address_factor` is 1,000 in development, where everybody is one address.

    Sign-in and codes are strict: without the shared counter nobody gets in. Deposits and withdrawals count distinct
    keys, so that a repeated request costs nothing.
    """
    return RateRules(
        login_account=Rule(name="login", limit=login_per_minute, window_s=60, strict=True),
        login_hour=Rule(name="login-hour", limit=login_per_hour, window_s=3600, strict=True),
        login_address=Rule(
            name="login-address", limit=login_per_minute_address * address_factor, window_s=60, strict=True
        ),
        register_address=Rule(
            name="register-address", limit=register_per_hour_address * address_factor, window_s=3600, strict=True
        ),
        code=Rule(name="code", limit=otp_per_15_minutes, window_s=900, strict=True),
        resend=Rule(name="resend", limit=1, window_s=otp_resend_s, strict=True),
        codes_day=Rule(name="codes-day", limit=otp_per_day, window_s=86_400, strict=True),
        codes_all=Rule(name="codes-all", limit=otp_per_hour_all * address_factor, window_s=3_600, strict=True),
        deposit_minute=Rule(name="deposit-minute", limit=deposit_per_minute, window_s=60, distinct=True),
        deposit_hour=Rule(name="deposit-hour", limit=deposit_per_hour, window_s=3600, distinct=True),
        withdrawal_code=Rule(name="withdrawal-code", limit=otp_per_15_minutes, window_s=900),
        withdrawal_minute=Rule(name="withdrawal-minute", limit=withdrawal_per_minute, window_s=60, distinct=True),
        withdrawal_day=Rule(name="withdrawal-day", limit=withdrawal_per_day, window_s=86_400, distinct=True),
        export=Rule(name="export", limit=5, window_s=900),
        read=Rule(name="read", limit=read_per_minute, window_s=60),
        statement=Rule(name="statement", limit=_STATEMENTS_PER_MINUTE, window_s=60),
        callback_address=Rule(name="callback-address", limit=callback_per_minute_address * address_factor, window_s=60),
    )
