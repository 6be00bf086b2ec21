"""Every security requirement is proved here, or is named with the reason why not."""

import re
from pathlib import Path

from tests.security.not_yet import NOT_YET

ROWS = range(1, 56)
_FOLDER = Path(__file__).parent


def proved() -> dict[int, Path]:
    """Row → its file."""
    found = ((re.match(r"test_S(\d{3})_\w+\.py$", path.name), path) for path in _FOLDER.iterdir())
    return {int(match[1]): path for match, path in found if match}


def test_every_row_is_proved_or_named() -> None:
    assert proved().keys() | NOT_YET.keys() == set(ROWS)


def test_no_row_is_both() -> None:
    assert not proved().keys() & NOT_YET.keys()


def test_every_file_tests_something_and_says_which_row() -> None:
    for row, path in proved().items():
        text = path.read_text()
        assert text.startswith(f'"""S{row}: '), path.name
        assert re.search(r"^( {4})?(async )?def test_", text, re.MULTILINE), path.name


def test_every_reason_that_names_a_file_names_an_existing_one() -> None:
    for reason in NOT_YET.values():
        for name in re.findall(r"tests/\w+/\w+\.py", reason):
            assert (_FOLDER.parents[1] / name).exists(), name
