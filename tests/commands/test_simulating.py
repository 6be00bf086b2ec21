"""`penpay simulate`: what it prints, and what its exit code says."""

import json

import pytest
from typer.testing import CliRunner

from penpay.cli import app


def simulate(*options):
    return CliRunner().invoke(app, ["simulate", *options])


def test_seeds_that_hold_are_counted_with_what_they_met():
    said = simulate("--seeds", "4", "--first-seed", "11", "--json")
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert (told["seeds"], told["failed"], told["failing"]) == (4, 0, [])
    assert told["reached"]
    assert told["ends"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_safeguard_that_is_missed_is_a_line_of_the_table(jobs):
    said = simulate("--ablations", "--without", "wake_ups", "--seeds", "30", "--until-failed", "2", "--jobs", jobs)
    assert said.exit_code == 0, said.output
    line = said.stdout.splitlines()[-1]
    assert line.startswith("| wake_ups: ")
    failed, _, seeds = line.split("|")[2].strip().partition(" of ")
    assert int(failed) >= 2
    assert int(seeds) <= 30
    assert 1 <= int(line.split("|")[3]) <= int(seeds)


def test_a_safeguard_that_nobody_misses_is_a_hole_in_the_worlds():
    said = simulate("--ablations", "--without", "balances_join", "--seeds", "1")
    assert said.exit_code == 1, said.output
    assert "| 0 of 1 | none |" in said.stdout


def test_a_safeguard_that_is_none_is_a_mistake_of_whoever_typed_it():
    for options in (["--without", "luck"], ["--ablations", "--without", "luck"]):
        said = simulate(*options)
        assert said.exit_code == 2, said.output
        assert "references_unique" in said.stderr
