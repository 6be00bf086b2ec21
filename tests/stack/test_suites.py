"""`./dev test` runs every test: none is lost when a suite is cut into parts."""

from pathlib import Path

from tests.harness.suites import LAST, ROOT, suites


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("test_*.py"))


def test_every_file_runs_in_exactly_one_suite():
    ran: list[Path] = []
    for suite in suites():
        for path in (ROOT / argument for argument in suite.arguments if argument.startswith("tests/")):
            ran += files_of(path) if path.is_dir() else [path]
    once = [path for path in ran if not path.name.startswith(LAST)]
    assert sorted(once) == [path for path in files_of(ROOT / "tests") if not path.name.startswith(LAST)]


def test_what_looks_at_a_whole_suite_ends_each_of_its_parts():
    parts = [suite for suite in suites() if suite.name.startswith("faults ")]
    assert len(parts) > 1
    assert {Path(suite.arguments[-1]).name for suite in parts} == {"test_zz_after_all_faults.py"}
