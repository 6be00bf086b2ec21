"""What customers are told when something did not simply complete: no code without words, in both languages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import penpay.domain
from penpay.domain.failure_texts import B2C, DEPOSITS, MPESA, REVIEW, SECOND_LOOK, STK, UNDECIDED, WITHDRAWALS
from penpay.domain.failures import LANGUAGES, failure_of, language_of
from penpay.domain.payout_codes import _VERDICTS, Verdict
from penpay.domain.presentation import evidence_of, render_transaction
from tests.identity.test_presentation import row

DOMAIN = Path(penpay.domain.__file__).parent
ALL = [*STK.values(), *B2C.values(), *DEPOSITS.values(), *WITHDRAWALS.values(), MPESA, SECOND_LOOK]


def codes_of(saga: str) -> set[str]:
    """Every failure code that this saga's rules can give, read from the rules themselves."""
    trees = [ast.parse(file.read_text()) for file in DOMAIN.glob(f"{saga}_*.py")]
    names = {
        target.id: node.value.value
        for tree in (ast.parse((DOMAIN / "review_kinds.py").read_text()), *trees)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {code for tree in trees for code in literals(tree, names)}


def literals(tree: ast.AST, names: dict[str, object]) -> Iterator[str]:
    places = {"to_review": 0, "fail": 1, "_void_and_refund": 1, "code_of_end": 1}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = [node.args[places[name]]] if name in places and len(node.args) > places[name] else []
        given += [word.value for word in node.keywords if word.arg == "failure_code"]
        if name in {"start_refund", "start_return"}:
            given += [word.value for word in node.keywords if word.arg == "reason"]
        for value in given:
            code = names.get(value.id) if isinstance(value, ast.Name) else getattr(value, "value", None)
            if isinstance(code, str) and code:
                yield code


@pytest.mark.parametrize(("saga", "texts"), [("deposit", DEPOSITS), ("withdrawal", WITHDRAWALS)])
def test_every_code_of_the_sagas_has_words_and_no_words_stand_without_a_code(saga: str, texts):
    codes = codes_of(saga)
    assert len(codes) > 10
    assert codes == texts.keys()


def test_every_payout_code_after_which_the_dollars_go_back_has_words():
    assert {code for code, verdict in _VERDICTS.items() if verdict is Verdict.GIVE_BACK} == B2C.keys()


def test_every_result_of_a_prompt_that_safaricom_names_has_words():
    assert STK.keys() == {"1", "17", "26", "1001", "1019", "1025", "1031", "1032", "1037", "2001", "9999"}


def test_every_hint_says_both_things_in_both_languages():
    for message, action in ALL:
        for english, swahili in (message, action):
            assert english.endswith(".")
            assert swahili.endswith(".")
            assert english != swahili


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_code_keeps_its_name_and_goes_to_our_team(language: str):
    failure = failure_of("something_new", language=language)
    assert failure is not None
    assert failure["code"] == "something_new"
    assert failure["message"] == SECOND_LOOK[0][LANGUAGES.index(language)]


def test_no_failed_withdrawal_speaks_of_a_deposit():
    for message, action in (*WITHDRAWALS.values(), *B2C.values()):
        assert "deposit" not in message[0] + action[0]


def test_a_code_of_the_prompt_says_what_to_do_on_the_phone():
    assert failure_of("mpesa_1")["next_action"] == "Top up M-Pesa and start a new deposit."
    assert failure_of("mpesa_1", language="sw")["next_action"].startswith("Ongeza salio")
    assert failure_of("mpesa_4711")["message"] == MPESA[0][0]


def test_a_returned_withdrawal_says_why_m_pesa_could_not_pay():
    refused = row(type="WITHDRAWAL", state="REVERSED", failure_code="payout_refused", data='{"failed_code":"2040"}')
    shown = render_transaction(refused, evidence_of(refused))["failure"]
    assert shown["code"] == "payout_refused"
    assert "not registered" in shown["message"]
    other = row(type="WITHDRAWAL", failure_code="payout_refused", data='{"failed_code":"777"}')
    assert "could not pay this number" in render_transaction(other, {})["failure"]["message"]


@pytest.mark.parametrize(
    ("direction", "codes", "provider_codes"), [("DEPOSIT", DEPOSITS, [""]), ("WITHDRAWAL", WITHDRAWALS, ["", *B2C])]
)
def test_nothing_is_promised_and_nothing_to_be_done_while_people_decide(direction: str, codes, provider_codes):
    for code in codes.keys() - {"refunded_by_review", "returned_by_review"}:
        for provider_code in provider_codes:
            data = f'{{"failed_code":"{provider_code}"}}'
            asked = row(type=direction, state="IN_REVIEW", failure_code=code, data=data)
            shown = [render_transaction(asked, {}, language)["failure"] for language in LANGUAGES]
            assert [one["next_action"] for one in shown] == list(REVIEW)
            assert " back" not in shown[0]["message"].replace("took the withdrawal back", "")
            assert "rudi" not in shown[1]["message"]


def test_what_is_said_until_people_decided_is_said_of_codes_that_there_are():
    assert UNDECIDED.keys() <= DEPOSITS.keys() | WITHDRAWALS.keys()


def test_no_failure_is_null():
    assert failure_of("") is None
    assert render_transaction(row(), {}, "sw")["failure"] is None


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("sw", "sw"),
        ("sw-KE,en;q=0.8", "sw"),
        ("en;q=0.5, sw;q=0.9", "sw"),
        ("fr, sw;q=0.1", "sw"),
        ("fr", "en"),
        ("sw;q=0, en", "en"),
        ("sw;q=x", "en"),
        ("*", "en"),
        ("," * 10_000, "en"),
    ],
)
def test_the_language_is_the_best_that_we_speak(accept: str, language: str):
    assert language_of(accept) == language
