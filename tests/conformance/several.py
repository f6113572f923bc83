"""Weights of several layers for tests: drawn, and under the names of a framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.layout import Layout
from reference import LayersCase, Params


def weights(cell: str, layers: int, directions: int, *, bias: bool = True) -> dict[str, Params]:
    """Return parameters of every layer and direction by ending."""
    case = LayersCase.random(D=3, H=4, layers=layers, directions=directions, cell=cell, bias=bias, dtype="float32")
    return dict(zip(case.suffixes, case.params, strict=True))


def written(layout: Layout, params: Mapping[str, Params], prefix: str = "") -> dict[str, Any]:
    """Return the parameters of several layers under the names of a framework."""
    each = [layout.named_in(end, own) for end, own in params.items()]
    return {prefix + name: array for named in each for name, array in named.items()}
