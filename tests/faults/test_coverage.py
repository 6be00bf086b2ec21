"""Every row of the failure catalogue is made to happen here."""

import re
from pathlib import Path

ROWS = range(1, 111)
_FOLDER = Path(__file__).parent


def played() -> dict[int, Path]:
    """Row → its file."""
    found = ((re.match(r"test_F(\d{3})_\w+\.py$", path.name), path) for path in _FOLDER.iterdir())
    return {int(match[1]): path for match, path in found if match}


def test_every_row_is_played() -> None:
    assert played().keys() == set(ROWS)


def test_every_file_tests_something_and_says_which_row() -> None:
    for row, path in played().items():
        text = path.read_text()
        assert text.startswith(f'"""F{row}: '), path.name
        assert re.search(r"^(async )?def test_", text, re.MULTILINE), path.name
