"""`penpay reconcile --json`, but it dies at a named point: `CRASH_AT=<point> python -m tests.harness.dying_comparison`.

Points are written like those of `crashing_node`: `list:after` (Safaricom's list was read), `post <ref>:before|after`
(around what the running node is asked to do about one item), `cursor:before|after` (around the note of how far the
list agreed).
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from config.settings import load_settings
from penpay.app.outside import outside_of
from penpay.commands.reconciling import sides_of
from penpay.provider_lists import PAYMENTS
from penpay.reconcile import Sides, reconcile
from tests.harness.crashing_node import Death, Shell


class Payments(Shell):
    async def pull(self, **asked: Any) -> Any:
        return await self._death.around("list", lambda: self._inside.pull(**asked))


class RunningNode(Shell):
    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        item = (body or {}).get("ref", "")
        self._death.at(f"post {item}", "before")
        answer = self._inside.call(method, path, body)
        self._death.at(f"post {item}", "after")
        return answer


class Books(Shell):
    async def move_cursor(self, source: str, *until: Any, **more: Any) -> None:
        if source == PAYMENTS:
            await self._death.around("cursor", lambda: self._inside.move_cursor(source, *until, **more))
        else:
            await self._inside.move_cursor(source, *until, **more)


def doomed(sides: Sides, death: Death) -> Sides:
    """The sides, with shells around what a comparison does to them."""
    lists = replace(
        sides.lists,
        payments=Payments(sides.lists.payments, death),
        books=Books(sides.lists.books, death),  # type: ignore[arg-type]  # everything of it, and more
    )
    return replace(sides, lists=lists, node=RunningNode(sides.node, death))


async def main() -> int:
    settings = load_settings(os.environ)
    outside = outside_of(settings)
    try:
        await reconcile(doomed(sides_of(settings, outside), Death(os.environ["CRASH_AT"])))
    finally:
        await outside.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
