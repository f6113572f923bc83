"""The files of the frameworks, read as text without importing them."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

# A script leaves out this line of a file and all later lines, because they need this project.
REGISTRY = "\n# For the registry alone.\n"
OWN = re.compile(r"^from (?:__future__|reference|adapters)\b(?:\.(\w+))? import (?:\([^)]*\)|.*)\n", re.MULTILINE)


def frameworks() -> list[str]:
    """Return the names of all frameworks with a file here, installed or not. Files ``_name.py`` are shared code."""
    found = pkgutil.iter_modules(sys.modules[__package__].__path__)
    return sorted(name for _, name, is_package in found if not (is_package or name[0] == "_" or name == "layout"))


def source(framework: str) -> Path | None:
    """Return the path of a framework's file, or None if there is no such file."""
    found = importlib.util.find_spec(f"{__package__}.{framework}")
    return Path(found.origin) if found and found.origin else None


@cache
def packages(file: Path) -> frozenset[str]:
    """Return the names of the packages that a file imports, without the standard library and this project."""
    found = re.findall(r"^(?:import|from) (\w+)", plain(file, set()), re.MULTILINE)
    return frozenset(found) - sys.stdlib_module_names


@cache
def literals(file: Path) -> dict[str, Any]:
    """Return LAYOUTS, NONLINEARITIES and LAYERED from a file here, or from a file that it imports from."""
    assigned = (node for node in ast.parse(plain(file, set())).body if isinstance(node, ast.Assign))
    named = {ast.unparse(node.targets[0]): node.value for node in assigned}
    return {name: ast.literal_eval(named[name]) for name in ("LAYOUTS", "NONLINEARITIES", "LAYERED") if name in named}


def plain(file: Path, seen: set[Path]) -> str:
    """Return the text of a file here, changed so that it needs only NumPy and the framework.

    The first import from another file here is replaced by the text of that file. Other imports from this project are
    removed.

    Args:
        file: the file.
        seen: files whose text is already included; the file and the files it imports from are added.
    """

    def in_place(match: re.Match[str]) -> str:
        shared = file.with_name(f"{match[1]}.py")
        is_text = match[0].startswith(f"from {__package__}._") and shared.name != Path(__file__).name
        return plain(shared, seen) if is_text and shared not in seen else ""

    seen.add(file)
    text = re.sub(r'\A""".*?"""\n', "", file.read_text("utf-8"), flags=re.DOTALL)
    return OWN.sub(in_place, text.partition(REGISTRY)[0] + "\n")
