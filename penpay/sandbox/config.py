"""What a sandbox is: its identities, its opening money, and the knobs that a test may turn while it runs."""

from dataclasses import dataclass, field
from pathlib import Path

# Safaricom publishes this passkey with the test short code; it is no secret.
PUBLISHED_PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """One sandbox process. Port 0 takes a free port; the same folder brings the same truth back."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    fast: bool = False
    """Benchmark mode: no waiting for the customer, no spacing of pushes, truth written but not forced to disk."""

    consumer_key: str = "sandbox-consumer-key"
    consumer_secret: str = "sandbox-consumer-secret"  # noqa: S105 - a published test identity
    shortcode: str = "174379"
    passkey: str = PUBLISHED_PASSKEY
    b2c_shortcode: str = "600992"
    initiator_name: str = "testapi"
    initiator_password: str = "Sandbox#2026"  # noqa: S105 - a published test identity

    deriv_app_id: str = "36544"
    agent_loginid: str = "CR9000001"
    agent_token: str = "agent-CR9000001-sandbox"  # noqa: S105 - a published test identity
    agent_fullname: str = "Sandbox Payment Agent"
    oauth_redirect_url: str = ""

    sms_username: str = "sandbox"
    sms_api_key: str = "atsk-sandbox"

    opening_paybill_minor: int = 100_000_000
    opening_utility_minor: int = 500_000_000
    opening_agent_minor: int = 10_000_000_000
    opening_wallet_minor: int = 30_000_000
    """What every phone's wallet holds before it is touched."""

    def __post_init__(self) -> None:
        """The two short codes keep separate accounts; with one code the balance report would be ambiguous."""
        if self.shortcode == self.b2c_shortcode:
            raise ValueError("shortcode and b2c_shortcode must differ")


@dataclass(slots=True, kw_only=True)
class DarajaKnobs:
    """The mood of Safaricom. Seconds everywhere; 0 switches a limit off."""

    latency_s: float = 0.0
    token_ttl_s: float = 3599.0
    answer_delay_s: float = 1.0
    prompt_timeout_s: float = 60.0
    push_interval_s: float = 60.0
    result_delay_s: float = 0.5
    status_lag_s: float = 0.0
    status_not_found_code: str = "SFC_IC0003"
    pull_lag_s: float = 0.0
    pull_page: int = 100
    spike_per_s: float = 0.0
    wallet_max_minor: int = 50_000_000
    receiver_daily_minor: int = 50_000_000
    credential_tries: int = 5
    callback_source: str = ""
    callback_timeout_s: float = 10.0
    https_callbacks: bool = False
    products_off: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class DerivKnobs:
    """The mood of Deriv. Seconds and US cents; 0 switches a limit off."""

    latency_s: float = 0.0
    idle_close_s: float = 120.0
    statement_lag_s: float = 0.0
    longcode_carries_description: bool = True
    payments_are_transfers: bool = False
    amounts_unsigned: bool = False
    transfer_min_minor: int = 100
    transfer_max_minor: int = 200_000
    transfers_per_day: int = 0
    calls_per_min: int = 0
    code_ttl_s: float = 3600.0
    bad_code_error: str = "PaymentAgentWithdrawError"
    zombie: bool = False
    zombie_executes: bool = False
    auto_prefix: str = "CRB"
    auto_balance_minor: int = 0


def daraja_knobs(config: SandboxConfig) -> DarajaKnobs:
    """The knobs that a sandbox starts with."""
    if not config.fast:
        return DarajaKnobs()
    return DarajaKnobs(
        answer_delay_s=0.0,
        push_interval_s=0.0,
        result_delay_s=0.0,
        wallet_max_minor=0,
        receiver_daily_minor=0,
    )
