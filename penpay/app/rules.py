"""Settings in the words of the core: business limits, times of sagas, bounds of the edge."""

from urllib.parse import urlsplit

from config.sections import Settings
from config.tuning import minor
from penpay.domain.admission import Limits
from penpay.domain.rules import Rules
from penpay.domain.timeline import Deadlines
from penpay.http.edge import EdgeSettings
from penpay.http.rates import RateRules, rate_rules


def limits_of(settings: Settings) -> Limits:
    """What admission goes by. Minor units."""
    given = settings.limits
    return Limits(
        deposit_min_usd_minor=minor(given.deposit_min_usd),
        deposit_max_usd_minor=minor(given.deposit_max_usd),
        withdrawal_min_usd_minor=minor(given.withdrawal_min_usd),
        withdrawal_max_usd_minor=minor(given.withdrawal_max_usd),
        daily_usd_minor=minor(given.deposit_day_usd),
        withdrawal_daily_usd_minor=minor(given.withdrawal_day_usd),
        stk_min_kes_minor=minor(given.stk_min_kes),
        stk_max_kes_minor=minor(given.stk_max_kes),
        b2c_min_kes_minor=minor(given.b2c_min_kes),
        b2c_max_kes_minor=minor(given.b2c_max_kes),
        stk_min_interval_s=given.stk_min_interval_s,
        stk_open_s=settings.timing.stk_grace_s,
        stk_max_age_s=settings.timing.stk_max_age_s,
        quote_ttl_s=given.quote_ttl_s,
        fx_max_age_s=given.fx_max_age_s,
        spread_e6=settings.fx.spread_e6,
        verify_from_kes_minor=minor(given.query_before_credit_kes),
        verify_daily_kes_minor=minor(given.unverified_day_kes),
        identified_daily_usd_minor=minor(given.identified_day_usd),
        enhanced_daily_usd_minor=minor(given.enhanced_day_usd),
    )


def rules_of(settings: Settings) -> Rules:
    """The deposit's times. Seconds."""
    given = settings.timing
    return Rules(
        resend_s=max(2.0, 10.0 / given.speed),
        stk_intent_max_s=given.stk_max_age_s,
        stk_grace_s=given.stk_grace_s,
        stk_poll_ladder_s=given.stk_poll_ladder_s,
        stk_sparse_s=min(300.0 / given.speed, given.stk_poll_sparse_s),
        stk_sparse_max_s=given.stk_poll_sparse_s,
        stk_unknown_min_s=given.stk_unknown_s,
        stk_watch_max_s=given.stk_poll_until_s,
        paid_in_time_s=given.paid_in_time_s,
        held_retry_s=given.deriv_held_retry_s,
        held_max_s=given.deriv_held_until_s,
        resolve_s=max(1.0, given.deriv_read_every_s),
        unknown_max_s=given.unknown_until_s,
        refund_probe_s=given.refund_poll_s,
        refund_max_s=given.refund_receipt_wait_s,
        debit_max_s=given.stk_max_age_s,
        witness_s=given.withdrawal_witness_s,
        witness_look_s=max(1.0, 10.0 / given.speed),
        status_after_s=given.b2c_status_after_s,
        second_evidence_s=given.b2c_status_after_s,
        untold_s=3 * given.b2c_status_after_s,
        same_payout_id_s=given.b2c_resend_s,
    )


def edge_settings_of(settings: Settings) -> EdgeSettings:
    """What the public listener goes by."""
    limits, timing = settings.limits, settings.timing
    return EdgeSettings(
        public_url=settings.http.public_url,
        shards=settings.node.shards,
        relaxed=settings.is_relaxed,
        hosts=() if settings.is_relaxed else (urlsplit(settings.http.public_url).hostname or "",),
        deriv_oauth_url=settings.deriv.oauth_url,
        deriv_app_id=settings.deriv.app_id,
        sends_mail=bool(settings.smtp.host),
        simulator_url=_simulator_of(settings),
        trusted_proxies=settings.http.trusted_proxies,
        callback_allowlist=settings.daraja.callback_allowlist,
        callback_enforce=settings.daraja.allowlist_mode == "enforce",
        rates=_rates_of(settings),
        deadlines=Deadlines(
            stk_intent_s=timing.stk_max_age_s,
            stk_grace_s=timing.stk_grace_s,
            stk_unknown_s=timing.stk_poll_until_s,
            deriv_held_s=timing.deriv_held_until_s,
            unknown_s=timing.unknown_until_s,
            refund_s=timing.refund_receipt_wait_s,
            debit_s=timing.stk_max_age_s,
            payout_result_s=timing.b2c_status_after_s,
            same_payout_s=timing.b2c_resend_s,
        ),
        ask_s=timing.request_s,
        access_token_s=int(timing.access_token_s),
        refresh_token_s=int(timing.refresh_token_s),
        refresh_idle_s=int(timing.refresh_idle_s),
        code_s=int(timing.otp_s),
        code_resend_s=int(timing.otp_resend_s),
        link_state_s=int(timing.deriv_link_state_s),
        devices_max=limits.devices_max,
        deposit_min_usd_minor=minor(limits.deposit_min_usd),
        deposit_max_usd_minor=minor(limits.deposit_max_usd),
        deposit_day_usd_minor=minor(limits.deposit_day_usd),
        withdrawal_min_usd_minor=minor(limits.withdrawal_min_usd),
        withdrawal_max_usd_minor=minor(limits.withdrawal_max_usd),
        withdrawal_day_usd_minor=minor(limits.withdrawal_day_usd),
        identified_day_usd_minor=minor(limits.identified_day_usd),
        enhanced_day_usd_minor=minor(limits.enhanced_day_usd),
        withdrawal_hold_s=limits.withdrawal_hold_after_reset_s,
    )


def _simulator_of(settings: Settings) -> str:
    """The sandbox takes its orders where it takes text messages; never named outside development and testing."""
    sms = urlsplit(settings.sms.url)
    near = sms.hostname in {"127.0.0.1", "::1", "localhost"}
    return f"{sms.scheme}://{sms.netloc}/control" if settings.is_relaxed and near else ""


def _rates_of(settings: Settings) -> RateRules:
    limits = settings.limits
    return rate_rules(
        login_per_minute=limits.login_per_minute,
        login_per_hour=limits.login_per_hour,
        login_per_minute_address=limits.login_per_minute_address,
        register_per_hour_address=limits.register_per_hour_address,
        otp_per_15_minutes=limits.otp_per_15_minutes,
        otp_resend_s=int(settings.timing.otp_resend_s),
        otp_per_day=limits.otp_per_day,
        otp_per_hour_all=limits.otp_per_hour_all,
        deposit_per_minute=limits.deposit_per_minute,
        deposit_per_hour=limits.deposit_per_hour,
        withdrawal_per_minute=limits.withdrawal_per_minute,
        withdrawal_per_day=limits.withdrawal_per_day,
        read_per_minute=limits.read_per_minute,
        callback_per_minute_address=limits.callback_per_minute_address,
        address_factor=limits.address_factor,
    )
