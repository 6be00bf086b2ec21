"""The README's pictures of both sagas are the tables."""

from pathlib import Path

import pytest

from penpay.domain.diagram import deposit_diagram, withdrawal_diagram


@pytest.mark.parametrize("diagram", [deposit_diagram, withdrawal_diagram])
def test_the_readme_shows_the_diagram_that_the_table_gives(diagram) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert diagram() in readme
