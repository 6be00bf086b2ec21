"""The style that a machine can see."""

import ast
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.style.source import ROOT, Module, is_within, modules

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
DECIDE_LINES_MAX = 70
"""A `decide` may be longer: it is one flat match."""
LONGER_FUNCTIONS: dict[str, int] = {}
"""`place:function` and its lines, for the few that want to be long. A ratchet: numbers only go down."""

BANNED_NAMES = re.compile(r"(?:^|_)(?:utils?|helpers?|common|managers?|services?|misc)(?:$|_)")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")

TIMELESS = ("penpay.domain", "actors", "supervisors")
BANNED_CALLS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.sleep",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "date.today",
    "datetime.date.today",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid4",
    "os.urandom",
    "os.getrandom",
}
BANNED_MODULES = {"secrets"}
"""Clock, ids and randomness come through ports there, so that a simulation can own them."""


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.place)
def test_a_module_fits_in_the_head(module):
    assert len(module.text.splitlines()) <= MODULE_LINES_MAX


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.place)
def test_a_module_says_what_it_is_and_does_something(module):
    assert ast.get_docstring(module.tree), "no docstring"
    if module.path.name != "__init__.py":
        assert len(module.tree.body) > 1, "an empty module"


def test_functions_are_short():
    longer = {name: lines for name, lines, limit in _functions() if lines > limit}
    assert longer == LONGER_FUNCTIONS


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.place)
def test_a_module_is_named_for_what_it_does(module):
    assert not any(BANNED_NAMES.search(part) for part in module.name.split("."))


@pytest.mark.parametrize(
    "module", [m for m in modules() if any(is_within(m.name, room) for room in TIMELESS)], ids=lambda m: m.place
)
def test_time_ids_and_chance_come_through_ports(module):
    assert _banned_calls(module) == []
    assert not {name.partition(".")[0] for name in module.imports()} & BANNED_MODULES


def test_nothing_unfinished_is_on_main():
    found = [
        f"{name}:{number}"
        for name in _tracked(".py", ".sql", ".toml", ".yml", ".md", "dev", "Dockerfile")
        if name != "tests/style/test_tidy.py"
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_no_file_is_empty():
    assert [name for name in _tracked("") if (ROOT / name).is_file() and not (ROOT / name).stat().st_size] == []


def test_locks_and_settings_name_no_host_of_an_index():
    for name in _tracked(".lock", ".toml"):
        assert not re.search(
            r"https?://|--(?:extra-)?index-url|--find-links",
            (ROOT / name).read_text().replace("--no-emit-index-url", ""),
        ), name


def test_the_runtime_lock_is_a_part_of_the_whole_one():
    whole, runtime = _locked("requirements-dev.lock"), _locked("requirements.lock")
    assert runtime.items() <= whole.items()
    assert {"pytest", "ruff", "mypy", "hypothesis"} <= whole.keys() - runtime.keys()


def test_every_declared_dependency_is_locked():
    import tomllib  # noqa: PLC0415 - only here

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [item for group in project["dependency-groups"].values() for item in group]
    locked = _locked("requirements-dev.lock")
    names = {_plain(re.split(r"[<>=~!\[ ;]", item)[0]) for item in [*project["project"]["dependencies"], *groups]}
    assert names <= locked.keys()
    assert {_plain(re.split(r"[<>=~!\[ ;]", item)[0]) for item in project["project"]["dependencies"]} <= _locked(
        "requirements.lock"
    ).keys()


def test_the_scan_finds_what_it_forbids():
    code = '"""x"""\nimport time, random\ntime.time()\nrandom.random()\nrandom.Random(1)\n'
    planted = Module(ROOT / "actors" / "planted.py", code, ast.parse(code))
    assert _banned_calls(planted) == ["time.time", "random.random"]


def _functions() -> Iterator[tuple[str, int, int]]:
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = node.body[0] if ast.get_docstring(node) else None
                words = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
                limit = DECIDE_LINES_MAX if node.name.startswith("decide") else FUNCTION_LINES_MAX
                yield f"{module.place}:{node.name}", (node.end_lineno or 0) - node.lineno + 1 - words, limit


def _banned_calls(module: Module) -> list[str]:
    called = [ast.unparse(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    return [name for name in called if name in BANNED_CALLS or (name.startswith("random.") and name != "random.Random")]


def _tracked(*endings: str) -> list[str]:
    """Files of the project: those under version control, or all of them where there is none (an unpacked archive)."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = (
        listed.stdout.split("\0")
        if listed.returncode == 0
        else [
            path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file() and not _is_made(path.parts)
        ]
    )
    return sorted(name for name in names if name and name.endswith(endings) and (ROOT / name).is_file())


def _is_made(parts: tuple[str, ...]) -> bool:
    return any(part in {"__pycache__", "build", "dist"} or (part.startswith(".") and part != ".ci") for part in parts)


def _locked(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text()
    return {_plain(n): version for n, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lines, re.MULTILINE)}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_bound_binds_something():
    [bounds] = [module for module in modules() if module.name == "config.limits"]
    named = {node.target.id for node in bounds.tree.body if isinstance(node, ast.AnnAssign)}
    used = {name for module in modules() if module is not bounds for name in _bounds_used(module.tree)}
    assert named - used == set()


def _bounds_used(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "config.limits":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "limits":
            yield node.attr
