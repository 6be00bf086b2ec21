"""What a business or an operator may turn: limits and times, each in the unit that its name says."""

from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Usd = Annotated[Decimal, Field(gt=0, le=1_000_000, decimal_places=2)]
Kes = Annotated[Decimal, Field(gt=0, le=250_000_000, decimal_places=0)]
Percent = Annotated[Decimal, Field(gt=0, le=100)]
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=10_000_000)]


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


Ladder = Annotated[tuple[Seconds, ...], BeforeValidator(_split), Field(min_length=1)]
"""Moments of the tries, in seconds from the same beginning; comma-separated."""


def minor(amount: Decimal) -> int:
    """Cents of an amount that has at most two decimals."""
    return int(amount.scaleb(2))


class Section(BaseModel):
    """A group of settings: immutable, without unknown names, silent about values in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


class LimitSettings(Section):
    """`PENPAY_LIMITS__…`: business limits and per-customer, per-address and per-rail rates."""

    deposit_min_usd: Usd = Decimal(2)
    deposit_max_usd: Usd = Decimal(1000)
    deposit_day_usd: Usd = Decimal(2000)
    """Sum per customer and Nairobi day, the same below."""
    withdrawal_min_usd: Usd = Decimal(5)
    withdrawal_max_usd: Usd = Decimal(1000)
    withdrawal_day_usd: Usd = Decimal(2000)
    identified_day_usd: Usd = Decimal(3000)
    """For customers of the second tier, where it is more than the two above; both directions."""
    enhanced_day_usd: Usd = Decimal(3500)
    """The same for the third. M-Pesa itself moves 500,000 KES a day."""
    stk_min_kes: Kes = Decimal(1)
    stk_max_kes: Kes = Decimal(250_000)
    b2c_min_kes: Kes = Decimal(10)
    b2c_max_kes: Kes = Decimal(250_000)
    stk_min_interval_s: Seconds = 60.0
    """Between two prompts to one phone; Safaricom refuses earlier ones."""
    quote_ttl_s: Seconds = 900.0
    fx_max_age_s: Seconds = 60.0
    fx_max_divergence_percent: Percent = Decimal(2)
    """Between the two sources; beyond it no new quotes."""
    fx_day_band_percent: Percent = Decimal(10)
    """Around yesterday's mid; without one, the two bounds below."""
    fx_mid_min: Annotated[Decimal, Field(gt=0)] = Decimal(50)
    fx_mid_max: Annotated[Decimal, Field(gt=0)] = Decimal(500)
    query_before_credit_kes: Kes = Decimal(10_000)
    """From this amount on, a callback credits only after an authenticated query agrees."""
    unverified_day_kes: Kes = Decimal(30_000)
    """The same, for what one customer was credited on one day without a query."""
    devices_max: Count = 2
    withdrawal_hold_after_reset_s: Seconds = 86_400.0

    login_per_minute: Count = 5
    login_per_hour: Count = 30
    """Both per account, and once more for each device that the account knows."""
    login_per_minute_address: Count = 20
    register_per_hour_address: Count = 3
    otp_per_15_minutes: Count = 5
    otp_per_day: Count = 10
    """Codes by SMS to one phone or account."""
    otp_per_hour_all: Count = 2_000
    """Codes by SMS to everybody: what a flood of registrations may cost."""
    deposit_per_minute: Count = 6
    deposit_per_hour: Count = 30
    withdrawal_per_minute: Count = 3
    withdrawal_per_day: Count = 10
    read_per_minute: Count = 60
    callback_per_minute_address: Count = 600
    """Addresses on the allow-list have no such limit."""
    admin_per_minute: Count = 120
    connections_per_address: Count = 1024
    """Open at once from one address or IPv6 /64; a carrier hides thousands of customers behind one."""
    address_factor: Count = 1
    """Multiplies the limits per address, and that of all codes; 1,000 in development and testing."""

    daraja_stk_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """Safaricom publishes no figure; start low. 0 means unpaced, for benchmarks."""
    daraja_b2c_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    daraja_other_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    deriv_calls_per_minute: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 200.0
    """Deriv allows 220 on one connection, and 100 of the two read calls below."""
    deriv_reads_per_minute: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 90.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        pairs = (
            ("deposit_min_usd", "deposit_max_usd"),
            ("deposit_max_usd", "deposit_day_usd"),
            ("withdrawal_min_usd", "withdrawal_max_usd"),
            ("withdrawal_max_usd", "withdrawal_day_usd"),
            ("stk_min_kes", "stk_max_kes"),
            ("b2c_min_kes", "b2c_max_kes"),
            ("fx_mid_min", "fx_mid_max"),
        )
        for low, high in pairs:
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low.upper()} is above {high.upper()}")
        return self


class TimingSettings(Section):
    """`PENPAY_TIMING__…`: pollers, grace and settle windows, leases. Seconds throughout.

    `SPEED` divides the times of sagas, so that a demo shows in a minute what takes half an hour; the others, such as
    leases and socket time-outs, belong to machines and stay.
    """

    speed: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 1.0

    stk_max_age_s: Seconds = 120.0
    """A push not yet sent by then is not sent at all: the customer has gone."""
    stk_grace_s: Seconds = 180.0
    """No failure that only a query tells is believed before this age of the push."""
    stk_poll_ladder_s: Ladder = (20.0, 30.0, 60.0, 90.0, 120.0, 180.0)
    stk_poll_sparse_s: Seconds = 3_600.0
    """After the ladder, until `stk_poll_until_s`."""
    stk_poll_until_s: Seconds = 86_400.0
    stk_unknown_s: Seconds = 900.0
    """A deposit without any answer may fail only after this and one clean Pull."""
    paid_in_time_s: Seconds = 600.0
    """A payment this long after its push keeps the locked rate."""
    callback_sweep_s: Seconds = 2.0
    """Evidence that no bell rang for is found after this."""
    refund_receipt_wait_s: Seconds = 86_400.0
    """A refund that still lacks the receipt to reverse goes to review after this."""
    refund_poll_s: Seconds = 60.0
    """How often Safaricom is asked about a Reversal or a payout whose end nobody told."""
    deriv_settle_s: Seconds = 600.0
    """Absence from the statement proves something only after this and two reads."""
    deriv_read_every_s: Seconds = 30.0
    """How often Deriv's statement is read for what is unknown."""
    deriv_held_retry_s: Seconds = 30.0
    """How often money is tried to be sent that waits for a rail or a float; shillings as well."""
    deriv_held_until_s: Seconds = 86_400.0
    unknown_until_s: Seconds = 13_800.0
    """What a provider leaves unknown is in front of a person after this: invariant i13 allows four hours."""
    recipient_check_cache_s: Seconds = 600.0
    withdrawal_witness_s: Seconds = 600.0
    """Without the agent's side of a debit after this, the resolver takes over."""
    b2c_status_after_s: Seconds = 600.0
    b2c_resend_s: Seconds = 86_400.0
    """The same payout id is sent again only within this."""
    pull_every_s: Seconds = 60.0
    """How often Safaricom's list is read; the agent's statement is compared with the books at every fifth time."""
    submit_sweep_s: Seconds = 5.0
    """A rail looks this often for intents that nobody submitted."""

    shard_lease_s: Seconds = 15.0
    lease_renew_s: Seconds = 5.0
    invariants_s: Seconds = 60.0
    anchor_s: Seconds = 300.0
    witness_s: Seconds = 1.0
    outbox_cursor_s: Seconds = 1.0
    fx_poll_s: Seconds = 15.0
    float_poll_s: Seconds = 60.0
    rail_restart_wait_s: Seconds = 10.0
    """A rail restarted on purpose waits this long for replies in flight."""
    opening_wait_s: Seconds = 30.0
    """How long a new installation waits for a provider's balance before it goes without an opening one."""
    request_s: Seconds = 8.0
    """An HTTP request's wait for an actor."""
    daraja_call_s: Seconds = 30.0
    deriv_call_s: Seconds = 15.0
    deriv_ping_s: Seconds = 30.0
    deriv_pong_s: Seconds = 5.0
    fx_call_s: Seconds = 5.0
    sms_call_s: Seconds = 10.0

    access_token_s: Seconds = 900.0
    refresh_token_s: Seconds = 2_592_000.0
    refresh_idle_s: Seconds = 604_800.0
    """A device that was not seen for this long signs in again, however much of the above is left."""
    otp_s: Seconds = 600.0
    otp_resend_s: Seconds = 60.0
    deriv_link_state_s: Seconds = 600.0

    @model_validator(mode="after")
    def _related(self) -> Self:
        if self.lease_renew_s * 2 >= self.shard_lease_s:
            raise ValueError("LEASE_RENEW_S must be below half of SHARD_LEASE_S, or one late renewal loses the lease")
        if self.deriv_pong_s > self.deriv_ping_s:
            raise ValueError("DERIV_PONG_S is above DERIV_PING_S")
        if self.unknown_until_s <= self.deriv_settle_s + 2 * self.deriv_read_every_s:
            raise ValueError("UNKNOWN_UNTIL_S leaves no time to prove an absence (DERIV_SETTLE_S, DERIV_READ_EVERY_S)")
        if self.stk_grace_s >= self.stk_unknown_s:
            raise ValueError("STK_GRACE_S must be below STK_UNKNOWN_S")
        if self.stk_unknown_s >= self.stk_poll_until_s:
            raise ValueError("STK_UNKNOWN_S must be below STK_POLL_UNTIL_S")
        if list(self.stk_poll_ladder_s) != sorted(self.stk_poll_ladder_s):
            raise ValueError("STK_POLL_LADDER_S must climb")
        return self

    @property
    def first_byte_s(self) -> float:
        """How long after its attempt's row a call may still begin: proofs of absence count from the row."""
        return min(5.0, self.deriv_settle_s / 2, self.b2c_status_after_s / 2)

    def sped_up(self) -> "TimingSettings":
        """The times as they are to be used: those of sagas divided by `speed`."""
        return self.model_copy(update={name: _divided(getattr(self, name), self.speed) for name in SAGA_TIMES})


SAGA_TIMES = tuple(
    name
    for name in TimingSettings.model_fields
    if name.startswith(("stk_", "paid_", "refund_", "deriv_settle", "deriv_read", "deriv_held", "unknown"))
    or name in {"withdrawal_witness_s", "b2c_status_after_s", "b2c_resend_s", "pull_every_s"}
)
"""Names of the times that `speed` divides."""


def _divided(value: Any, by: float) -> Any:
    return tuple(step / by for step in value) if isinstance(value, tuple) else value / by
