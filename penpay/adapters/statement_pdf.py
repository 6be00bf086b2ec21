"""A statement of account as a PDF: A4, one line per transaction, drawn with fpdf2's own fonts."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime

from penpay.domain.account_statement import NAIROBI, Held, Period, totals
from penpay.domain.fx import Direction, LockedRate
from penpay.domain.money import Currency, Money
from penpay.domain.presentation import evidence_of, rate_text
from penpay.domain.unit import TransactionRow

_INK, _SOFT, _LINE, _BRAND = (24, 33, 43), (107, 118, 130), (222, 227, 232), (8, 92, 74)
_COLUMNS = (
    ("Time (Nairobi)", 27),
    ("What", 21),
    ("Sent", 29),
    ("Received", 29),
    ("Rate", 15),
    ("  Proof", 35),
    ("Status", 24),
)
_RIGHT = frozenset({2, 3, 4})
_STATUS_WORDS = {"COMPLETED": "completed", "FAILED": "failed", "REVERSED": "given back", "IN_REVIEW": "in review"}


class FpdfStatements:
    """`penpay.http.edge.StatementPages`."""

    def page(
        self,
        *,
        who: Mapping[str, str],
        period: Period,
        rows: Sequence[TransactionRow],
        opening: Held,
        closing: Held,
        made_at: datetime,
    ) -> bytes:
        """The whole document. Takes time in proportion to the lines: not for the loop."""
        # Half a second of imports, needed by few processes.
        from fpdf import FPDF  # noqa: PLC0415

        class Page(FPDF):
            def footer(self) -> None:
                self.set_y(-14)
                self.set_font("helvetica", size=7)
                self.set_text_color(*_SOFT)
                made = made_at.astimezone(NAIROBI).strftime("%d %b %Y %H:%M EAT")
                self.cell(0, 5, f"Made {made}. Amounts of transactions that are not completed are what was asked.")
                self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

        pdf = Page(format="A4")
        pdf.set_title(f"PenPay statement {period.first} to {period.last}")
        pdf.set_creation_date(made_at)
        pdf.set_margins(15, 16)
        pdf.set_auto_page_break(True, 20)
        pdf.add_page()
        _heading(pdf, who, period)
        _boxes(pdf, opening, closing, rows)
        _table(pdf, rows)
        return bytes(pdf.output())


def _heading(pdf: "FPDF", who: Mapping[str, str], period: Period) -> None:  # type: ignore[name-defined] # noqa: F821
    pdf.set_text_color(*_BRAND)
    pdf.set_font("helvetica", "B", 20)
    pdf.cell(90, 9, "PenPay")
    pdf.set_text_color(*_INK)
    pdf.set_font("helvetica", "B", 11)
    pdf.cell(0, 9, "Statement of account", align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("helvetica", size=9)
    pdf.set_text_color(*_SOFT)
    pdf.cell(0, 5, f"{_date(period.first)} to {_date(period.last)}", align="R", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(3)
    for name, value in who.items():
        pdf.set_text_color(*_SOFT)
        pdf.cell(30, 5, name)
        pdf.set_text_color(*_INK)
        pdf.cell(0, 5, _latin(value), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)


def _boxes(pdf: "FPDF", opening: Held, closing: Held, rows: Sequence[TransactionRow]) -> None:  # type: ignore[name-defined] # noqa: F821
    sums = totals(rows)
    boxes = [("With us before", _held(opening)), ("With us after", _held(closing))]
    for direction, name in ((Direction.DEPOSIT, "Deposits completed"), (Direction.WITHDRAWAL, "Withdrawals completed")):
        count, sent, received = sums.get(direction, (0, {}, {}))
        boxes.append((f"{name}: {count}", [*_amounts(sent), *(f"to {text}" for text in _amounts(received))] or ["-"]))
    top, width = pdf.get_y(), 45.0
    for place, (title, lines) in enumerate(boxes):
        left = 15 + place * width
        pdf.set_draw_color(*_LINE)
        pdf.rect(left, top, width - 2, 17, style="D", round_corners=True, corner_radius=1.5)
        pdf.set_xy(left + 2, top + 1.5)
        pdf.set_text_color(*_SOFT)
        pdf.set_font("helvetica", size=7)
        pdf.cell(width - 6, 4, title)
        pdf.set_text_color(*_INK)
        pdf.set_font("helvetica", "B", 9)
        for number, line in enumerate(lines[:2]):
            pdf.set_xy(left + 2, top + 6 + 4.5 * number)
            pdf.cell(width - 6, 4.5, line)
    pdf.set_xy(15, top + 22)


def _table(pdf: "FPDF", rows: Sequence[TransactionRow]) -> None:  # type: ignore[name-defined] # noqa: F821
    def titles() -> None:
        pdf.set_font("helvetica", "B", 7)
        pdf.set_text_color(*_SOFT)
        _cells(pdf, [name for name, _ in _COLUMNS], border="B")
        pdf.set_font("helvetica", size=7.5)

    titles()
    for row in rows:
        if pdf.will_page_break(6):
            pdf.add_page()
            titles()
        faded = row.status not in {"COMPLETED", "REVERSED"}
        pdf.set_text_color(*(_SOFT if faded else _INK))
        _cells(pdf, _line(row), border="B")
    if not rows:
        pdf.set_text_color(*_SOFT)
        pdf.cell(0, 10, "No transactions in this period.", align="C")


def _cells(pdf: "FPDF", texts: Sequence[str], *, border: str) -> None:  # type: ignore[name-defined] # noqa: F821
    pdf.set_draw_color(*_LINE)
    for place, (text, (_, width)) in enumerate(zip(texts, _COLUMNS, strict=True)):
        pdf.cell(width, 6, text, border=border, align="R" if place in _RIGHT else "L")
    pdf.ln(6)


def _line(row: TransactionRow) -> list[str]:
    rate = LockedRate(Direction(row.type), row.mid_rate_e6, row.spread_e6)
    evidence = evidence_of(row)
    proof = evidence.get("mpesa_receipt") or evidence.get("deriv_transaction_id") or ""
    return [
        row.created_at.astimezone(NAIROBI).strftime("%d %b %Y %H:%M"),
        row.type.capitalize(),
        f"{_grouped(row.send)}",
        f"{_grouped(row.receive)}",
        rate_text(rate.rate_e6),
        f"  {_latin(proof)}",
        _STATUS_WORDS.get(row.status, "under way"),
    ]


def _held(held: Held) -> list[str]:
    return [_grouped(Money(held.get(currency, 0), currency)) for currency in (Currency.KES, Currency.USD)]


def _amounts(sums: Mapping[Currency, int]) -> list[str]:
    return [_grouped(Money(minor, currency)) for currency, minor in sums.items()]


def _grouped(money: Money) -> str:
    major, _, cents = money.text().partition(".")
    return f"{money.currency.value} {int(major):,}.{cents}"


def _date(day: object) -> str:
    return f"{day:%d %b %Y}"


def _latin(text: str) -> str:
    """The PDF's own fonts know western letters only; others lose their marks."""
    letters = (
        letter if ord(letter) < 256 else unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"
        for letter in unicodedata.normalize("NFC", text)
    )
    return "".join(letters)
