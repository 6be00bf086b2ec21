"""As much of curl as the lines of `./dev up` need, for machines without it: -s -N --max-time -H -d URL."""

import argparse
import sys
import time
import urllib.error
import urllib.request


def main() -> int:
    """28 is curl's own status for a time-out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-N", action="store_true")
    parser.add_argument("--max-time", type=float, default=30.0)
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d")
    given = parser.parse_args()
    headers = dict(line.split(": ", 1) for line in given.H)
    body = None if given.d is None else given.d.encode()
    until_s = time.monotonic() + given.max_time
    try:
        with urllib.request.urlopen(urllib.request.Request(given.url, body, headers), timeout=given.max_time) as answer:
            while (line := answer.readline()) and time.monotonic() < until_s:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
    except urllib.error.HTTPError as refused:
        sys.stdout.buffer.write(refused.read())
    except (TimeoutError, BrokenPipeError):
        return 28
    return 0


if __name__ == "__main__":
    sys.exit(main())
