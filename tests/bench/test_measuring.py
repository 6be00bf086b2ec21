"""The command `penpay bench`."""

import re

from typer.testing import CliRunner

from penpay.cli import app


def test_every_benchmark_has_a_command():
    said = CliRunner().invoke(app, ["bench", "--help"])
    assert said.exit_code == 0
    assert {"actors", "ledger", "deposits"} <= set(re.findall(r"\w+", said.stdout))


def test_an_unknown_benchmark_is_a_usage_error():
    assert CliRunner().invoke(app, ["bench", "nothing"]).exit_code == 2
