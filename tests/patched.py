"""A module of the examples with some of its text replaced, as an author's mistake replaces it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).with_name("examples")


def patched(name: str, *changes: tuple[str, str]) -> ModuleType:
    """Return a module of tests/examples with each text of a pair replaced by the other.

    Raises:
        AssertionError: a text is not there, or not once.
    """
    source = (EXAMPLES / f"{name}.py").read_text("utf-8")
    for old, new in changes:
        assert source.count(old) == 1, f"expected {old!r} once in {name}, got it {source.count(old)} times"
        source = source.replace(old, new)
    module = ModuleType(name)
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module
