"""What customers are told about a transaction that did not simply complete, in English and Swahili.

One entry per code of ours and per result code of a provider that we know; a test finds every code that the sagas can
give and looks for it here. Provider codes: Daraja's tables of STK and B2C results.
"""

from collections.abc import Mapping
from types import MappingProxyType

Words = tuple[str, str]
"""English, Swahili."""
Hint = tuple[Words, Words]
"""What happened, and what to do about it."""

_AGAIN = ("Start a new deposit.", "Anza kuweka pesa upya.")
_ANOTHER = ("Start a new withdrawal.", "Anza kutoa pesa upya.")
_NEW_CODE = ("Ask for a new code and try again.", "Omba nambari mpya ya uthibitisho kisha ujaribu tena.")
REVIEW = ("Our team looks at it and will contact you.", "Timu yetu inalishughulikia na itawasiliana nawe.")
_SUPPORT = ("Contact support.", "Wasiliana na huduma kwa wateja.")
_SAFARICOM = (
    "Check with Safaricom that the number can receive money and is below its limits.",
    "Uliza Safaricom kama namba inaweza kupokea pesa na haijafikia kikomo chake.",
)
_FROZEN: Hint = (("The account is frozen.", "Akaunti imesimamishwa."), _SUPPORT)
_EXPECTED = ("Contact support if you did not expect that.", "Wasiliana na huduma kwa wateja ikiwa hukutarajia hilo.")
_CLOSED: Hint = (
    (
        "Our team looked into it and closed it. No money is held.",
        "Timu yetu ililichunguza na kulifunga. Hakuna pesa zilizoshikiliwa.",
    ),
    _EXPECTED,
)
SECOND_LOOK: Hint = (
    ("Something needs a second look by our team.", "Kuna jambo ambalo timu yetu inapaswa kulichunguza."),
    REVIEW,
)
_MONEY_SAFE: Hint = (
    (
        "The providers have not told us enough yet. Your money is not lost.",
        "Watoa huduma bado hawajatupa taarifa kamili. Pesa zako hazijapotea.",
    ),
    REVIEW,
)

STK: Mapping[str, Hint] = MappingProxyType(
    {
        "1": (
            ("The M-Pesa balance was too low.", "Salio la M-Pesa halikutosha."),
            ("Top up M-Pesa and start a new deposit.", "Ongeza salio la M-Pesa kisha uanze kuweka pesa upya."),
        ),
        "17": (
            (
                "M-Pesa took no second equal payment within two minutes.",
                "M-Pesa haikukubali malipo mengine yanayofanana ndani ya dakika mbili.",
            ),
            ("Wait two minutes and start a new deposit.", "Subiri dakika mbili kisha uanze kuweka pesa upya."),
        ),
        "26": (
            ("M-Pesa was too busy.", "M-Pesa ilikuwa na shughuli nyingi."),
            ("Wait a few minutes and start a new deposit.", "Subiri dakika chache kisha uanze kuweka pesa upya."),
        ),
        "1001": (
            (
                "Another M-Pesa session was open on this phone.",
                "Kulikuwa na huduma nyingine ya M-Pesa kwenye simu hii.",
            ),
            (
                "Close it, wait a minute and start a new deposit.",
                "Ifunge, subiri dakika moja kisha uanze kuweka pesa upya.",
            ),
        ),
        "1019": (("The payment prompt expired.", "Muda wa ombi la malipo uliisha."), _AGAIN),
        "1025": (("The payment prompt could not be shown.", "Ombi la malipo halikuweza kuonyeshwa."), _AGAIN),
        "1031": (("Nobody entered the PIN in time.", "PIN haikuwekwa kwa wakati."), _AGAIN),
        "1032": (
            ("The payment prompt was cancelled on the phone.", "Ombi la malipo lilighairiwa kwenye simu."),
            _AGAIN,
        ),
        "1037": (
            (
                "The phone could not be reached or nobody answered the prompt.",
                "Simu haikupatikana au ombi la malipo halikujibiwa.",
            ),
            ("Switch the phone on and start a new deposit.", "Washa simu kisha uanze kuweka pesa upya."),
        ),
        "2001": (
            ("The M-Pesa PIN was wrong.", "PIN ya M-Pesa haikuwa sahihi."),
            (
                "Start a new deposit and enter the right PIN.",
                "Anza kuweka pesa upya na uweke PIN sahihi.",
            ),
        ),
        "9999": (("The payment prompt could not be shown.", "Ombi la malipo halikuweza kuonyeshwa."), _AGAIN),
    }
)
"""Results of a payment prompt. The codes of a saga carry `mpesa_` in front of them."""
B2C: Mapping[str, Hint] = MappingProxyType(
    {
        "2": (
            ("The amount is below what M-Pesa pays out.", "Kiasi ni kidogo kuliko kinachoruhusiwa na M-Pesa."),
            ("Withdraw a larger amount.", "Toa kiasi kikubwa zaidi."),
        ),
        "3": (
            ("The amount is above what M-Pesa pays out.", "Kiasi ni kikubwa kuliko kinachoruhusiwa na M-Pesa."),
            ("Withdraw a smaller amount.", "Toa kiasi kidogo zaidi."),
        ),
        "4": (
            ("The number has reached M-Pesa's limit of the day.", "Namba imefikia kikomo cha siku cha M-Pesa."),
            ("Withdraw again tomorrow.", "Toa pesa tena kesho."),
        ),
        "8": (
            (
                "The payout would exceed what the M-Pesa account may hold.",
                "Malipo yangezidi kiasi ambacho akaunti ya M-Pesa inaweza kuwa nacho.",
            ),
            (
                "Use some of the M-Pesa balance, then withdraw again.",
                "Tumia sehemu ya salio la M-Pesa, kisha utoe tena.",
            ),
        ),
        "2040": (
            ("The number is not registered for M-Pesa.", "Namba haijasajiliwa kwa M-Pesa."),
            ("Register the number with Safaricom, then withdraw again.", "Sajili namba na Safaricom, kisha utoe tena."),
        ),
        "SFC_IC0003": (("M-Pesa does not know this number.", "M-Pesa haiitambui namba hii."), _SAFARICOM),
    }
)
"""Results of a payout after which the dollars go back."""
DEPOSITS: Mapping[str, Hint] = MappingProxyType(
    {
        "cancelled": (
            ("The deposit was cancelled before a prompt was sent.", "Uwekaji ulighairiwa kabla ombi kutumwa."),
            _AGAIN,
        ),
        "not_paid": (
            ("No payment arrived. No money was taken.", "Hakuna malipo yaliyofika. Hakuna pesa zilizochukuliwa."),
            _AGAIN,
        ),
        "stk_refused": (("M-Pesa did not take the payment prompt.", "M-Pesa haikukubali ombi la malipo."), _AGAIN),
        "stk_not_sent": (
            ("The payment prompt could not be sent in time.", "Ombi la malipo halikuweza kutumwa kwa wakati."),
            _AGAIN,
        ),
        "recipient_refused": (
            (
                "Deriv cannot credit the linked account with this amount.",
                "Deriv haiwezi kuweka kiasi hiki kwenye akaunti iliyounganishwa.",
            ),
            (
                "Check the Deriv account, or link another one.",
                "Kagua akaunti ya Deriv, au uunganishe nyingine.",
            ),
        ),
        "float_low": (
            (
                "Deposits are paused until our account is topped up. Nothing was taken.",
                "Kuweka pesa kumesimama hadi akaunti yetu ijazwe. Hakuna kilichochukuliwa.",
            ),
            ("Try again later.", "Jaribu tena baadaye."),
        ),
        "deriv_refused": (
            (
                "Deriv refused the transfer; the payment is given back.",
                "Deriv ilikataa uhamisho; malipo yanarudishwa.",
            ),
            ("Check the Deriv account before a new deposit.", "Kagua akaunti ya Deriv kabla ya kuweka pesa tena."),
        ),
        "paid_late": (
            (
                "The payment came after its rate had expired; it is given back.",
                "Malipo yalifika baada ya muda wa kiwango kuisha; yanarudishwa.",
            ),
            ("Ask for a new quote.", "Omba kiwango kipya."),
        ),
        "refunded_by_review": (
            ("Our team gave the payment back.", "Timu yetu ilirudisha malipo."),
            _EXPECTED,
        ),
        "amount_mismatch": (
            ("Another amount arrived than was asked for.", "Kiasi kilichofika si kile kilichoombwa."),
            REVIEW,
        ),
        "closed_by_review": _CLOSED,
        "account_frozen": _FROZEN,
        **dict.fromkeys(
            (
                *("payment_unknown", "payment_unconfirmed", "transfer_overdue", "transfer_unknown"),
                *("transfer_ambiguous", "transfer_unknown_twice", "refund_overdue", "refund_refused"),
            ),
            _MONEY_SAFE,
        ),
        **dict.fromkeys(
            ("parked", "wrong_payer", "contradicting_payment", "contradicting_transfer", "contradicting_refund"),
            SECOND_LOOK,
        ),
    }
)
WITHDRAWALS: Mapping[str, Hint] = MappingProxyType(
    {
        "cancelled": (
            (
                "The withdrawal was cancelled before anything was taken.",
                "Utoaji ulighairiwa kabla chochote kuchukuliwa.",
            ),
            _ANOTHER,
        ),
        "deriv_debit_refused": (
            (
                "Deriv did not allow the withdrawal. Nothing was taken.",
                "Deriv haikuruhusu utoaji. Hakuna kilichochukuliwa.",
            ),
            (
                "Check the code and the Deriv balance, ask for a new code and try again.",
                "Kagua nambari ya uthibitisho na salio la Deriv, omba nambari mpya kisha ujaribu tena.",
            ),
        ),
        "deriv_not_sent": (
            (
                "Deriv could not be reached while the code was good. Nothing was taken.",
                "Deriv haikupatikana kabla muda wa nambari kuisha. Hakuna kilichochukuliwa.",
            ),
            _NEW_CODE,
        ),
        "deriv_not_debited": (
            (
                "The withdrawal did not reach Deriv. Nothing was taken.",
                "Ombi la kutoa halikufika Deriv. Hakuna kilichochukuliwa.",
            ),
            _NEW_CODE,
        ),
        "debit_undone": (
            (
                "Deriv took the withdrawal back; the dollars are in the Deriv account.",
                "Deriv ilibatilisha utoaji; dola ziko kwenye akaunti ya Deriv.",
            ),
            _ANOTHER,
        ),
        "payout_refused": (
            (
                "M-Pesa could not pay this number; the dollars go back to the Deriv account.",
                "M-Pesa haikuweza kulipa namba hii; dola zinarudi kwenye akaunti ya Deriv.",
            ),
            _SAFARICOM,
        ),
        "returned_by_review": (
            (
                "Our team gave the dollars back to the Deriv account.",
                "Timu yetu ilirudisha dola kwenye akaunti ya Deriv.",
            ),
            _EXPECTED,
        ),
        "closed_by_review": _CLOSED,
        "account_frozen": _FROZEN,
        **dict.fromkeys(
            (
                *("debit_unknown", "debit_ambiguous", "witness_missing", "payout_overdue", "payout_unknown"),
                *("return_overdue", "return_ambiguous", "return_refused", "return_unknown_twice"),
            ),
            _MONEY_SAFE,
        ),
        **dict.fromkeys(
            (
                *("parked", "witness_late", "witness_mismatch", "contradicting_debit", "contradicting_payout"),
                *("contradicting_result", "contradicting_return"),
            ),
            SECOND_LOOK,
        ),
    }
)
UNDECIDED: Mapping[str, Words] = MappingProxyType(
    {
        "deriv_refused": ("Deriv refused the transfer.", "Deriv ilikataa uhamisho."),
        "paid_late": (
            "The payment came after its rate had expired.",
            "Malipo yalifika baada ya muda wa kiwango kuisha.",
        ),
        "payout_refused": ("M-Pesa could not pay this number.", "M-Pesa haikuweza kulipa namba hii."),
    }
)
"""What is said instead, as long as people have not decided which way the money goes."""
MPESA: Hint = (("M-Pesa did not make the payment.", "M-Pesa haikufanya malipo."), _AGAIN)
"""A result of a prompt that no table of Safaricom names."""
