"""The frameworks' files read as text: none is imported."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

# A script leaves out this line of a file and all after it, which serves the registry and needs this project.
REGISTRY = "# For the registry alone."


def frameworks() -> list[str]:
    """Return the names of all frameworks with a file here, installed or not; several frameworks share ``_name.py``."""
    found = pkgutil.iter_modules(sys.modules[__package__].__path__)
    return sorted(name for _, name, is_package in found if not (is_package or name[0] == "_" or name == "layout"))


def source(framework: str) -> Path | None:
    """Return the path of a framework's file, or None if there is no such file."""
    found = importlib.util.find_spec(f"{__package__}.{framework}")
    return Path(found.origin) if found and found.origin else None


@cache
def packages(file: Path) -> frozenset[str]:
    """Return the names of the packages that a file here imports, without Python's own and this project's."""
    found: set[str] = set()
    for statement in ast.parse(file.read_bytes()).body:
        modules = [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
        modules += [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
        found |= {module.partition(".")[0] for module in modules}
        found |= packages(shared) if (shared := shared_by(file, statement)) else set()
    return frozenset(found - sys.stdlib_module_names - {"adapters", "reference"})


def shared_by(file: Path, statement: ast.stmt) -> Path | None:
    """Return the path of the file here from which a statement imports names, or None for any other statement."""
    if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(f"{__package__}."):
        return file.with_name(f"{(statement.module or '').rpartition('.')[2]}.py")
    return None


@cache
def literals(file: Path) -> dict[str, Any]:
    """Return LAYOUTS and NONLINEARITIES as a file here, or one that it imports from, has them."""
    found: dict[str, Any] = {}
    for statement in ast.parse(file.read_bytes()).body:
        if shared := shared_by(file, statement):
            found |= literals(shared)
        match statement:
            case ast.Assign(targets=[ast.Name(id="LAYOUTS" | "NONLINEARITIES" as name)]):
                found[name] = ast.literal_eval(statement.value)
    return found


def plain(file: Path, seen: set[Path]) -> str:
    """Return the text of a file here that needs NumPy and the framework alone.

    The text of another file here stands in the place of the first import from it.

    Args:
        file: the file.
        seen: files whose text stands in front already; the file and those it imports from are added.
    """
    seen.add(file)
    text, start, parts = file.read_text("utf-8").partition(f"\n{REGISTRY}\n")[0], 0, list[str]()
    for statement in ast.parse(text).body:
        end, shared = statement.end_lineno or 0, shared_by(file, statement)
        if shared:
            parts += [plain(shared, seen)] * (shared not in seen)
        elif not is_left_out(statement):
            parts.append("\n".join(text.splitlines()[start:end]))
        start = end
    return "\n".join(parts)


def is_left_out(statement: ast.stmt) -> bool:
    """Return whether a script can do without a statement: a docstring, an import of this project or of the future."""
    match statement:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.ImportFrom(module=str(module)):
            return module.partition(".")[0] in ("__future__", "adapters", "reference")
    return False
