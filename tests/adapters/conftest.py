"""The adapters as parameters: a test with ``adapter`` runs for each, one with ``dtype`` too for each of its dtypes."""

from __future__ import annotations

import pytest

import adapters
from adapters import Adapter


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = [name for name in ("adapter", "dtype") if name in metafunc.fixturenames]
    if "adapter" not in names:
        return
    found: list[object] = []
    for framework in metafunc.config.getoption("backend") or adapters.frameworks():
        if adapters.is_installed(framework) or metafunc.config.getoption("backend"):
            for adapter in adapters.load(framework):
                found += parameters(adapter, "dtype" in names)
        else:
            skip = pytest.mark.skip(reason=f"{framework} is not installed")
            found.append(pytest.param(*[None] * len(names), id=framework, marks=skip))
    metafunc.parametrize(names, found)


def parameters(adapter: Adapter, with_dtype: bool) -> list[object]:
    """Return the parameter sets of one adapter."""
    if not with_dtype:
        return [pytest.param(adapter, id=adapter.name)]
    return [pytest.param(adapter, dtype, id=f"{adapter.name}-{dtype}") for dtype in adapter.dtypes]
