"""The README's picture of a deposit is the table."""

from pathlib import Path

from penpay.domain.diagram import deposit_diagram


def test_the_readme_shows_the_diagram_that_the_table_gives() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert deposit_diagram() in readme
