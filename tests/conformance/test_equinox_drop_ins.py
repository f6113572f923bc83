"""Somebody else's cell of Equinox is judged by its class."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.conformance import check
from adapters.conformance.discovery import as_adapter

equinox: Any = pytest.importorskip("equinox")
jax: Any = pytest.importorskip("jax")


class Right(equinox.nn.GRUCell):
    """A cell like ``equinox.nn.GRUCell``."""


class Cut(equinox.nn.GRUCell):
    """A cell without a gradient through its input."""

    def __call__(self, x: Any, h: Any) -> Any:
        """Return the next state."""
        return super().__call__(jax.lax.stop_gradient(x), h)


@pytest.mark.parametrize(("kind", "status"), [(Right, "pass"), (Cut, "fail")])
def test_a_class_of_cells_is_judged(kind: Any, status: str) -> None:
    subject = as_adapter(kind)
    places = "weight_ih = Wx.T, weight_hh = Wh.T, bias = b, bias_n = bn"
    assert subject.describe == f"judged as GRU, a cell under lax.scan; gates r z n; {places}"
    (row,) = check(subject, only=("step", "sequence"), stacks=1, dtypes=["float32"], on_fail="report").rows
    assert row.status == status
