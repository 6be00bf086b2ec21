"""What `up` says is there to be read while it runs, also by a program behind a pipe."""

import subprocess
import sys

SHOWING = """
import sys
from rich.console import Console
from penpay.demo.up import Ready, show

show(Console(soft_wrap=True), Ready(**{name: name for name in Ready.__dataclass_fields__}))
sys.stdin.read()
"""


def test_the_three_lines_come_before_it_ends():
    showing = subprocess.Popen(
        [sys.executable, "-c", SHOWING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert showing.stdin is not None
    assert showing.stdout is not None
    pasted = []
    while len(pasted) < 3:
        line = showing.stdout.readline()
        assert line, "it ended before it said how to begin"
        if line.startswith(("TOKEN=", "curl ")):
            pasted.append(line)
    assert showing.poll() is None
    showing.stdin.close()
    assert showing.wait(timeout=10) == 0
    showing.stdout.close()
