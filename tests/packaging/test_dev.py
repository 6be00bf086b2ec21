"""`./dev` on folders of its own, with an empty lock where only the mechanics matter."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from penpay.stack import clean_environment

ROOT = Path(__file__).parents[2]
TOOLS = (
    "cat",
    "cut",
    "dirname",
    "env",
    "flock",
    "mv",
    "rm",
    "sed",
    "setpriv",
    "sh",
    "sha256sum",
    "tail",
    "tr",
)
PROGRAMS = ("mariadbd", "mariadb-install-db", "my_print_defaults", "redis-server")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return empty_checkout(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder that was set up; tests may break it, since the next set-up must make it good."""
    folder = empty_checkout(tmp_path_factory.mktemp("built"))
    assert dev(folder, "set-up").returncode == 0
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with the basic tools, the interpreter, and no database; `id` and `apt-get` are played."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    write(folder / "python3", f'exec {sys.executable} "$@"')
    return folder


def write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def dev(
    checkout: Path, *arguments: str, path: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {**clean_environment(os.environ), **environment} | ({"PATH": str(path)} if path else {})
    return subprocess.run(
        [str(checkout / ("dev-alone" if path else "dev")), *arguments],
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def empty_checkout(parent: Path) -> Path:
    folder = parent / "checkout with a space"
    folder.mkdir()
    shutil.copy(ROOT / "dev", folder / "dev")
    # Without the folders of administrators' programs, where this machine may have the database.
    write(folder / "dev-alone", (ROOT / "dev").read_text().replace('PATH="$PATH:/usr/sbin:/sbin"\n', ""))
    (folder / "requirements-dev.lock").write_text("# nothing\n")
    return folder


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("--help",)])
def test_an_unknown_task_is_told_how_it_is_used_and_sets_nothing_up(checkout, arguments):
    done = dev(checkout, *arguments)
    assert done.returncode == 2
    assert done.stderr == "usage: ./dev demo | up | test [pytest arguments] | set-up\n"
    assert not (checkout / ".venv").exists()


def test_the_environment_is_built_once_and_again_when_the_lock_changes(built):
    stamp = built / ".venv" / "stamp"
    before = stamp.read_text()
    again = dev(built, "set-up")
    assert (again.returncode, again.stderr) == (0, "")
    (built / "requirements-dev.lock").write_text("# other\n")
    assert "creating .venv" in dev(built, "set-up").stderr
    assert stamp.read_text() != before


def test_two_set_ups_at_once_build_one_environment(checkout):
    both = [
        subprocess.Popen(
            [str(checkout / "dev"), "set-up"], stderr=subprocess.PIPE, text=True, env=clean_environment(os.environ)
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(said).count("creating .venv") == 1


def test_an_interrupted_set_up_is_made_good_by_the_next(checkout):
    process = subprocess.Popen(
        [str(checkout / "dev"), "set-up"],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=clean_environment(os.environ),
    )
    deadline = time.monotonic() + 60
    while not (checkout / ".venv" / "bin").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (checkout / ".venv" / "stamp").exists()
    assert "creating .venv" in dev(checkout, "set-up").stderr
    assert dev(checkout, "set-up").stderr == ""


def test_a_broken_environment_is_rebuilt(built):
    (built / ".venv" / "bin" / "python").unlink()
    assert "creating .venv" in dev(built, "set-up").stderr
    assert subprocess.run([built / ".venv" / "bin" / "python", "-c", ""], check=False).returncode == 0


def test_a_package_whose_hash_differs_is_refused(checkout, tmp_path):
    wheel = tmp_path / "nothing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("nothing.py", "")
        archive.writestr("nothing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        archive.writestr(
            "nothing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("nothing-1.0.dist-info/RECORD", "")
    lock, offline = checkout / "requirements-dev.lock", {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    lock.write_text(f"nothing==1.0 --hash=sha256:{'0' * 64}\n")
    done = dev(checkout, "set-up", **offline)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (checkout / ".venv" / "stamp").exists()
    lock.write_text(f"nothing==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    assert dev(checkout, "set-up", **offline).returncode == 0


def test_what_the_callers_environment_says_reaches_no_child(built):
    harness = built / "tests" / "harness"
    harness.mkdir(parents=True)
    (harness / "suites.py").write_text(
        "import os, sys\n"
        "print(sys.argv[1:], [n for n in os.environ if 'PENPAY' in n or n in ('APP_ENV', 'PYTHONPATH')])\n"
    )
    done = dev(built, "test", "-k", "two words", PENPAY_NODE__NAME="x", APP_ENV="production", PYTHONPATH="/nowhere")
    assert (done.returncode, done.stdout) == (0, "['-k', 'two words'] []\n")


def test_an_ordinary_user_is_told_the_packages_and_nothing_is_tried(built, machine):
    write(machine / "id", "echo 1000")
    write(machine / "apt-get", f"echo called >{machine}/apt.log")
    done = dev(built, "set-up", path=machine)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "dev: missing: sudo apt-get install -y --no-install-recommends "
        "mariadb-server-core mariadb-client-core redis-tools"
    )
    assert not (machine / "apt.log").exists()


def test_root_brings_what_is_missing_and_no_package_that_starts_a_service(built, machine):
    write(machine / "id", "echo 0")
    programs = " ".join(f"{machine}/{name}" for name in PROGRAMS)
    write(
        machine / "apt-get", f'echo "$@" >>{machine}/apt.log; for p in {programs}; do echo >$p; /bin/chmod +x $p; done'
    )
    done = dev(built, "set-up", path=machine)
    assert done.returncode == 0, done.stderr
    asked = (machine / "apt.log").read_text().split("--no-install-recommends ")[1].split()
    assert asked == ["mariadb-server-core", "mariadb-client-core", "redis-tools"]


def test_old_package_lists_are_renewed_only_when_they_fail(built, machine):
    write(machine / "id", "echo 0")
    programs = " ".join(f"{machine}/{name}" for name in PROGRAMS)
    write(
        machine / "apt-get",
        f'echo "$1 $2" >>{machine}/apt.log\n'
        f'if [ "$2" = update ]; then echo >{machine}/renewed; exit 0; fi\n'
        f"[ -e {machine}/renewed ] || exit 100\n"
        f"for p in {programs}; do echo >$p; /bin/chmod +x $p; done",
    )
    done = dev(built, "set-up", path=machine)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in (machine / "apt.log").read_text().splitlines()] == [
        "DPkg::Lock::Timeout=600",
        "update",
        "DPkg::Lock::Timeout=600",
    ]


def test_the_ci_runs_exactly_the_tests_of_dev():
    assert (ROOT / ".ci" / "run").read_text() == '#!/bin/sh\ncd "$(dirname "$0")/.." && exec ./dev test\n'
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert os.access(ROOT / "dev", os.X_OK)
