"""Amounts: one wire form, integers inside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penpay.domain.errors import BadInput
from penpay.domain.money import Currency, Money, kes, parse_amount, usd


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.0",
        "1.000",
        "01.00",
        "-1.00",
        "+1.00",
        "1e3",
        "1,000.00",
        " 1.00",
        "1.00 ",
        "NaN",
        "Infinity",
        "٣.00",
        "1.0٣",
        "1234567890123.00",
        "1.00\n",
        "0x1.00",
        "_1.00",
    ],
)
def test_anything_but_the_wire_form_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_amount(text, "KES")
    assert refused.value.field == "amount"


@pytest.mark.parametrize("value", [1, 1.0, True, None, [], {}, b"1.00"])
def test_an_amount_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(BadInput):
        parse_amount(value, "KES")


@pytest.mark.parametrize("currency", ["", "kes", "EUR", None, 1, "KES "])
def test_an_unknown_currency_is_refused_by_name(currency: object) -> None:
    with pytest.raises(BadInput) as refused:
        parse_amount("1.00", currency)
    assert refused.value.field == "currency"


@given(st.integers(min_value=0, max_value=10**14 - 1), st.sampled_from(Currency))
def test_what_is_formatted_is_parsed_back(minor: int, currency: Currency) -> None:
    money = Money(minor, currency)
    assert parse_amount(money.text(), currency.value) == money


def test_a_negative_amount_is_formatted_with_its_sign() -> None:
    assert kes(-5).text() == "-0.05"
    assert usd(-12345).text() == "-123.45"
