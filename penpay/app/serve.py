"""`penpay serve`: logging, the loop, and the node on it."""

import asyncio
import gc
import sys

from config.logging import configure_logging
from config.sections import Settings
from penpay.app.node import Node, StartRefused

REFUSED = 1


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
    gc.set_threshold(50_000, 20, 100)
    return await node.run()
