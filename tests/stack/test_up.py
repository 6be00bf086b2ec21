"""What `up` says is there to be read while it runs, also by a program behind a pipe."""

import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from penpay.demo.up import attend, configuration
from penpay.stack.process import ChildProcess

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


def test_the_commands_of_an_operator_find_the_installation(tmp_path: Path):
    """Their configuration is a file to be read by a shell, whatever its values hold, and by nobody else."""
    told = {
        "PENPAY_HTTP__PUBLIC_URL": "http://x",
        "PENPAY_A": "it's $HOME and more",
        "APP_ENV": "development",
        "PATH": "/",
    }
    configured = configuration(tmp_path, told)
    assert configured.stat().st_mode & 0o077 == 0
    said = subprocess.run(
        ["sh", "-c", f'. {configured}; printf "%s|%s|%s" "$PENPAY_HTTP__PUBLIC_URL" "$PENPAY_A" "$APP_ENV"; env'],
        env={"PATH": "/bin:/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.startswith("http://x|it's $HOME and more|development")
    assert "PENPAY_A=it's $HOME and more" in said.splitlines(), "exported"
    assert f"PATH={Path(sys.executable).parent}:/bin:/usr/bin" in said.splitlines(), "`penpay` is found, too"


@pytest.mark.parametrize(("ends_with", "expected"), [(0, 0), (70, 1)])
def test_a_part_that_ends_is_told_and_ends_the_whole(tmp_path: Path, ends_with: int, expected: int):
    """A node that was drained, or gave up, left a stack that went on saying that it is up."""
    lives = ChildProcess("lives", ["sleep", "60"], folder=tmp_path)
    leaves = ChildProcess("leaves", ["sh", "-c", f"echo its last words >&2; exit {ends_with}"], folder=tmp_path)
    for part in (lives, leaves):
        part.spawn()
    console = Console(record=True, file=io.StringIO())
    try:
        assert attend((lives, leaves), threading.Event(), console) == expected
    finally:
        lives.kill()
    said = console.export_text()
    assert f"leaves has ended with {ends_with}" in said
    assert ("its last words" in said) == (ends_with != 0)


def test_nothing_is_told_of_what_runs(tmp_path: Path):
    part = ChildProcess("lives", ["sleep", "60"], folder=tmp_path)
    part.spawn()
    done, console = threading.Event(), Console(record=True, file=io.StringIO())
    done.set()
    assert attend((part,), done, console) == 0
    assert console.export_text() == "stopping\n"
    part.kill()
