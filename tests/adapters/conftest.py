"""The adapters as parameters of tests.

A test with the argument ``adapter`` runs for each adapter. With ``dtype``, it runs for each dtype of the adapter. With
``fault``, it runs for every fault of the catalogue that the dtype can show.

The marker ``gradients`` selects the adapters that offer exactly the gradients of the RNN, over enough steps. With
``nonlinearity``, it selects adapters with this nonlinearity, and with ``first``, the first adapter of each framework.
The marker ``only`` selects dtypes or frameworks. The environment variable RNN_ORACLE_DTYPES selects dtypes, except for
tests with the marker ``always``.
"""

from __future__ import annotations

import os
from collections.abc import Container

import pytest

import adapters
from adapters import Adapter
from reference.archive import DTYPES
from reference.faults import FAULTS
from reference.verdict import GRADIENTS

# Steps of the cases of faults, at most.
LONGEST = 34
SELECTED = os.environ.get("RNN_ORACLE_DTYPES", " ".join(DTYPES)).split()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = [name for name in ("adapter", "dtype", "fault") if name in metafunc.fixturenames]
    if "adapter" not in names:
        return
    marker = metafunc.definition.get_closest_marker("gradients")
    gated = metafunc.definition.get_closest_marker("gated") is not None
    narrowed = metafunc.definition.get_closest_marker("only")
    always = metafunc.definition.get_closest_marker("always")
    dtypes = set(DTYPES if always else SELECTED) & set(narrowed.kwargs.get("dtypes", DTYPES) if narrowed else DTYPES)
    selected = narrowed.kwargs.get("frameworks", adapters.frameworks()) if narrowed else adapters.frameworks()
    required = {marker.kwargs["nonlinearity"]} if marker and "nonlinearity" in marker.kwargs else set()
    most = 1 if marker and marker.kwargs.get("first") else None
    found: list[object] = []
    for framework in metafunc.config.getoption("backend") or adapters.frameworks():
        if framework.replace("-", "_") not in selected:
            continue
        if adapters.is_installed(framework) or metafunc.config.getoption("backend"):
            suited = [
                adapter
                for adapter in adapters.load(f"{framework}.*")
                if marker is None
                or (
                    (adapter.offers == GRADIENTS and adapter.cell == "rnn" and required <= set(adapter.nonlinearities))
                    and (adapter.max_T or LONGEST) >= LONGEST
                )
            ]
            suited = [adapter for adapter in suited if adapter.cell != "rnn"][:1] if gated else suited
            for adapter in suited[:most]:
                found += parameters(adapter, *names[1:], dtypes=dtypes)
        else:
            skip = pytest.mark.skip(reason=f"{framework} is not installed")
            found.append(pytest.param(*[None] * len(names), id=framework, marks=skip))
    if not found:
        skip = pytest.mark.skip(reason="no adapter is selected")
        found.append(pytest.param(*[None] * len(names), id="none", marks=skip))
    metafunc.parametrize(names, found)


def parameters(adapter: Adapter, *others: str, dtypes: Container[str]) -> list[object]:
    """Return the parameter sets of one adapter: alone, with its dtypes, or with dtypes and faults."""
    if not others:
        return [pytest.param(adapter, id=adapter.name)]
    offered = [dtype for dtype in adapter.dtypes if dtype in dtypes]
    pairs = [(dtype, f"{adapter.name}-{dtype}") for dtype in offered]
    if "fault" not in others:
        return [pytest.param(adapter, dtype, id=id_) for dtype, id_ in pairs]
    return [
        pytest.param(adapter, dtype, fault, id=f"{id_}-{fault.name}")
        for dtype, id_ in pairs
        for fault in FAULTS.values()
        if dtype in fault.precisions
    ]
