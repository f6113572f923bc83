"""The names of several layers in PyTorch are those of its modules."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.layout import layouts
from tests.conformance.several import weights, written

torch: Any = pytest.importorskip("torch")


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_names_are_those_of_the_module(cell: str) -> None:
    module = getattr(torch.nn, cell.upper())(3, 4, num_layers=2, bidirectional=True)
    named = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    arrays = written(layouts("torch")[f"torch.{cell.upper()}"], weights(cell, 2, 2))
    assert {name: array.shape for name, array in arrays.items()} == named
