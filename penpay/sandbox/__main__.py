"""`python -m penpay.sandbox --bind 127.0.0.1:0 --data DIR [--seed N] [--fast]`: prints one JSON line when ready."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson

from penpay.sandbox.config import SandboxConfig
from penpay.sandbox.server import serve

PORT_MAX = 65_535


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="penpay sandbox", description="Simulated M-Pesa and Deriv as real servers.")
    parser.add_argument("--bind", default="127.0.0.1:0", help="host:port; port 0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the ground truth")
    parser.add_argument("--seed", type=int, default=1, help="seed of all random choices")
    parser.add_argument("--fast", action="store_true", help="benchmark mode: no delays, no spacing, no forced writes")
    parser.add_argument("--redirect-url", default="", help="registered redirect URL of the OAuth page")
    chosen = parser.parse_args(arguments)
    host, _, port = chosen.bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        parser.error("--bind must be host:port")
    config = SandboxConfig(
        data_dir=chosen.data,
        host=host,
        port=int(port),
        seed=chosen.seed,
        fast=chosen.fast,
        oauth_redirect_url=chosen.redirect_url,
    )

    def ready(identity: dict[str, Any]) -> None:
        sys.stdout.write(orjson.dumps(identity).decode() + "\n")
        sys.stdout.flush()

    try:
        asyncio.run(serve(config, ready))
    except OSError as error:
        # A folder that cannot be written, an address that is taken.
        parser.exit(1, f"penpay sandbox: {error}\n")


if __name__ == "__main__":
    main()
