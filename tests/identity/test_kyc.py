"""Tiers and the likeness of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.admission import Limits
from penpay.domain.identity import name_tokens
from penpay.domain.kyc import Tier, name_score, payee_matches, payee_name


@pytest.mark.parametrize(
    ("ours", "theirs", "least", "most"),
    [
        ("Wanjiku Kamau", "KAMAU WANJIKU", 100, 100),
        ("Wanjiku Kamau", "Wanjiku Nyambura Kamau", 100, 100),
        ("Wanjiku Kamau", "Wanjiku Kamaw", 80, 99),
        ("Wanjiku Kamau", "Wanjiku Otieno", 40, 80),
        ("Wanjiku Kamau", "Brian Odhiambo", 0, 50),
        ("Wanjiku Kamau", "", 0, 0),
    ],
)
def test_a_score_orders_names_by_likeness(ours: str, theirs: str, least: int, most: int):
    assert least <= name_score(ours, theirs) <= most
    assert name_score(ours, theirs) == name_score(theirs, ours)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_score_stays_in_its_range_and_a_name_is_like_itself(ours: str, theirs: str):
    assert 0 <= name_score(ours, theirs) == name_score(theirs, ours) <= 100
    assert name_score(ours, ours) == (100 if name_tokens(ours) else 0)


@given(
    st.sampled_from(list(Tier)),
    st.integers(100, 10**7),
    st.integers(100, 10**7),
    st.integers(100, 10**7),
    st.integers(100, 10**7),
)
def test_no_tier_is_below_the_contract(tier: Tier, daily: int, withdrawal: int, identified: int, enhanced: int):
    contract = Limits(
        daily_usd_minor=daily,
        withdrawal_daily_usd_minor=withdrawal,
        identified_daily_usd_minor=identified,
        enhanced_daily_usd_minor=enhanced,
    )
    wider = contract.of_tier(tier)
    assert wider.daily_usd_minor >= daily
    assert wider.withdrawal_daily_usd_minor >= withdrawal
    assert (wider.deposit_max_usd_minor, wider.withdrawal_max_usd_minor) == (
        contract.deposit_max_usd_minor,
        contract.withdrawal_max_usd_minor,
    )
    if tier <= Tier.LINKED:
        assert wider == contract


def test_staff_can_widen_a_day():
    usual = Limits()
    assert usual.of_tier(2).daily_usd_minor == 300_000
    assert usual.of_tier(3).withdrawal_daily_usd_minor == 350_000


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("254705912645 - NAME SURNAME", "NAME SURNAME"),
        ("2547******45 - Achieng  Otieno", "Achieng Otieno"),
        ("0705xxx645 - Anne-Marie - Wambui", "Anne-Marie - Wambui"),
        ("ACHIENG OTIENO", "ACHIENG OTIENO"),
        ("254705912645", ""),
        ("254705912645 - ", ""),
        ("", ""),
    ],
)
def test_the_name_that_mpesa_tells_stands_behind_the_number(told: str, name: str):
    assert payee_name(told) == name


@pytest.mark.parametrize(
    ("told", "matches"),
    [
        ("WANJIKU KAMAU", True),
        ("WANJIKU", True),
        ("NYAMBURA KAMAU WANJIKU", True),
        ("WANJIKU OTIENO", False),
        ("BRIAN ODHIAMBO", False),
    ],
)
def test_a_receiver_may_be_called_by_some_of_their_names(told: str, *, matches: bool):
    assert payee_matches("Wanjiku Nyambura Kamau", told) == matches
