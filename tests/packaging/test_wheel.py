"""The wheel works from any folder, and an archive of the source makes the same wheel."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from penpay.stack import clean_environment

ROOT = Path(__file__).parents[2]
SHIPPED = ("penpay", "actors", "supervisors", "config", "sql", "pyproject.toml", "README.md")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that a build leaves nothing in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    target = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target), cwd=source)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, and our dependencies without our checkout."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", str(environment), cwd=environment)
    site = Path(
        run(
            str(environment / "bin" / "python"),
            "-c",
            "import sysconfig; print(sysconfig.get_path('purelib'))",
            cwd=environment,
        ).strip()
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return environment


def test_the_wheel_ships_code_and_data_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"penpay", "actors", "supervisors", "config", "penpay-0.1.0.dist-info"}
    wanted = {f"penpay/_data/sql/{path.relative_to(ROOT / 'sql')}" for path in (ROOT / "sql").rglob("*.sql")}
    assert wanted <= set(names)
    assert "config/penpay.env.example" in names


def test_the_installed_command_works_from_any_folder(installed, tmp_path):
    python = str(installed / "bin" / "python")
    assert run(python, "-m", "penpay", "--version", cwd=tmp_path) == "penpay 0.1.0\n"
    code = "import penpay, penpay.data; print(penpay.__file__); print(penpay.data.data_dir('sql'))"
    where, data = run(python, "-c", code, cwd=tmp_path).splitlines()
    assert where.startswith(str(installed))
    assert Path(data) == Path(where).parent / "_data" / "sql"
    assert len(list(Path(data).rglob("*.sql"))) == len(list((ROOT / "sql").rglob("*.sql")))


def test_an_installed_penpay_names_a_missing_variable_in_one_line(installed, tmp_path):
    done = subprocess.run(
        [str(installed / "bin" / "python"), "-m", "penpay", "migrate"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "penpay: PENPAY_DATABASE__URL is missing\n"


def test_data_that_was_not_shipped_is_an_error():
    from penpay.data import data_dir  # noqa: PLC0415 - only here

    with pytest.raises(FileNotFoundError, match="nowhere/ is neither"):
        data_dir("nowhere")


def run(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        arguments, cwd=cwd, capture_output=True, text=True, check=False, env=clean_environment(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
