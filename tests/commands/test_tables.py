"""What people copy from a table stands there whole, also on a narrow terminal or in a pipe."""

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from penpay.domain.money import kes
from penpay.domain.review import ReviewItem
from penpay.review import OpenItem, show_items

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ITEM = "01KAF0Z3T9V5N5W6H3C8Q2YB7F"


def test_the_id_of_an_open_item_is_not_cut() -> None:
    item = ReviewItem(
        id=ITEM,
        shard=0,
        transaction_id="01KAF0Z3T9V5N5W6H3C8Q2YB7D",
        operation_id="",
        kind="deriv_refused",
        reason="Deriv refused, and what it says is long enough for two lines or three",
        owner_role="OPS",
        opened_at=AT,
        due_at=AT + timedelta(hours=4),
    )
    text = io.StringIO()
    open_item = OpenItem(item=item, type="DEPOSIT", state="IN_REVIEW", send=kes(130_000))
    show_items(Console(file=text, width=80), [open_item], AT)
    assert ITEM in text.getvalue()
