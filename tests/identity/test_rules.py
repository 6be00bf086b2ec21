"""Phones, addresses, passwords, PINs and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.passwords import COMMON_PASSWORDS
from penpay.domain.errors import BadInput
from penpay.domain.identity import (
    email_address,
    mask_email,
    mask_phone,
    names_match,
    password_problem,
    phone_e164,
    pin_problem,
)


@pytest.mark.parametrize(
    "written", ["254712345678", "+254712345678", "0712345678", "0712 345 678", "+254 (712) 345-678"]
)
def test_one_number_in_all_its_forms_is_one_number(written: str):
    assert phone_e164(written) == "254712345678"


def test_the_newer_range_is_a_kenyan_mobile_too():
    assert phone_e164("0112345678") == "254112345678"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "12345",
        "0812345678",
        "+14155550100",
        "07123456789",
        "٠٧١٢٣٤٥٦٧٨",
        "0712345678\n",
        "254712345678;",
        "00254712345678",
    ],
)
def test_other_numbers_are_refused_by_name(written: str):
    with pytest.raises(BadInput) as refused:
        phone_e164(written, field="phone")
    assert refused.value.field == "phone"


def test_a_mask_keeps_head_and_tail_only():
    assert mask_phone("254712345126") == "2547****126"
    assert mask_email("wanjiku@example.com") == "w***@example.com"


def test_addresses_are_compared_in_lower_case():
    assert email_address("Wanjiku.K+pay@Example.COM") == "wanjiku.k+pay@example.com"


@pytest.mark.parametrize(
    "written",
    ["", "a", "a@", "@b.co", "a@b", "a b@c.co", "a@b..co", "a@-b.co", "a@b.co\n", "a@b.c0", "x" * 250 + "@b.co"],
)
def test_what_is_no_address_is_refused(written: str):
    with pytest.raises(BadInput):
        email_address(written)


@pytest.mark.parametrize(
    "password",
    ["short", "Password1", "PASSWORD123", "12345678", "aaaaaaaaaa", "safaricom", "wanjiku@example.com", "x" * 129],
)
def test_a_weak_password_is_refused(password: str):
    assert password_problem(password, email="wanjiku@example.com", phone="254712345678", common=COMMON_PASSWORDS)


def test_a_password_made_of_the_phone_is_refused():
    assert password_problem("my712345678", email="a@b.co", phone="254712345678", common=COMMON_PASSWORDS)


@pytest.mark.parametrize("password", ["maji ya ndizi moto", "kuku-9-Ng'ombe", "ü" * 3 + "äöß漢字カナ", "x1y2z3" * 20])
def test_long_and_foreign_passwords_are_fine(password: str):
    assert password_problem(password, email="wanjiku@example.com", phone="254712345678") == ""


@pytest.mark.parametrize(
    "pin",
    [
        "123456",
        "654321",
        "111111",
        "121212",
        "123123",
        "012345",
        "12345",
        "1234567",
        "12345a",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
    ],
)
def test_a_pin_that_is_guessed_first_is_refused(pin: str):
    assert pin_problem(pin)


def test_an_ordinary_pin_is_taken():
    assert pin_problem("480375") == ""


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("Wanjiku Kamau", "KAMAU WANJIKU", True),
        ("Wanjiku Kamau", "Wanjiku Njeri Kamau", True),
        ("José Müller", "JOSE MULLER", True),
        ("Wanjiku", "Wanjiku Kamau", True),
        ("Ng'ang'a Peter", "Nganga Peter", True),
        ("Wanjiku Kamau", "Peter Kamau", False),
        ("Wanjiku Kamau", "Peter Mwangi", False),
        ("Wanjiku Kamau", "", False),
        ("Wanjiku K", "K Wanjiku", True),
        ("A B", "A B", False),
        ("Wanjiku Njeri Kamau", "Njeri Achieng Otieno", False),
    ],
)
def test_names_match_by_two_words_or_the_whole_shorter_name(ours: str, theirs: str, same: bool):
    assert names_match(ours, theirs) is same
    assert names_match(theirs, ours) is same


@given(st.text(max_size=40), st.text(max_size=40))
def test_matching_any_two_texts_is_symmetric_and_never_fails(left: str, right: str):
    assert names_match(left, right) == names_match(right, left)


@given(st.text(max_size=30))
def test_a_number_is_either_refused_or_twelve_digits(written: str):
    try:
        phone = phone_e164(written)
    except BadInput:
        return
    assert len(phone) == 12
    assert phone.isascii()
    assert phone.isdigit()


@pytest.mark.parametrize(
    "pin",
    ["310788", "073188", "880731", "290296", "010203", "121990", "199012", "890123", "987654", "135791", "482284"],
)
def test_a_pin_like_a_date_or_a_pattern_is_refused(pin: str):
    assert pin_problem(pin)


@pytest.mark.parametrize("pin", ["480375", "274913", "482915", "310488"[::-1], "329999"])
def test_pins_that_are_no_date_are_taken(pin: str):
    assert pin_problem(pin) == ""


def test_a_pin_out_of_the_own_phone_number_is_refused():
    assert pin_problem("480375", phone="254748037500")
    assert pin_problem("480375", phone="254712345678") == ""
