"""`penpay serve`: logging, the loop, and the node on it."""

import asyncio
import gc
import sys

from config.logging import configure_logging
from config.sections import Settings
from penpay.app.node import Node, StartRefused

REFUSED = 1
COLLECT_AFTER = (5_000, 10, 1_000)
"""Of the collector: objects until it looks at the youngest, such looks until one at the middle-aged too, and at all.

Everybody waits while it looks, about a microsecond per object. At 50,000 that was 40 to 130 ms every few seconds; at
5,000 it is 6 to 12 ms, and a look at the middle-aged at most 28 (measured at 100 deposits a second). All objects are
next to never looked at: a deposit leaves few in rings (7, counted).
"""


def serve(settings: Settings) -> int:
    """Run a node to its end. Answers the exit status; a refused start is one line on stderr."""
    configure_logging(form=settings.node.log_format, level=settings.node.log_level, for_good=True)
    try:
        return asyncio.run(_run(settings))
    except (StartRefused, ValueError) as error:
        sys.stderr.write(f"penpay: {error}\n")
        return REFUSED


async def _run(settings: Settings) -> int:
    node = Node(settings)
    # What was imported lives as long as the process: the collector need not look at it again and again.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    return await node.run()
