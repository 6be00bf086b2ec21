"""What the style tests look at: the parsed modules of the product."""

import ast
import functools
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("penpay", "actors", "supervisors", "config")


@dataclass(frozen=True)
class Module:
    """One file. `name` is dotted, without `__init__`."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def place(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def name(self) -> str:
        return self.place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def imports(self) -> set[str]:
        """Dotted names of all imports, also those inside functions; `from a import b` counts as `a.b`."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.place}: imports are absolute"
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return found


@functools.cache
def modules() -> tuple[Module, ...]:
    paths = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return tuple(Module(path, text := path.read_text(), ast.parse(text, str(path))) for path in paths)


def is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
