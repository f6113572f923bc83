"""Somebody else's function of JAX, or cell of Flax or Equinox, is judged without an adapter for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import check
from adapters.conformance.discovery import as_adapter
from tests.scripted import assert_scripted

jax: Any = pytest.importorskip("jax")
from adapters.jax import function  # noqa: E402

jnp = jax.numpy
QUICK: dict[str, Any] = {"stacks": 1, "dtypes": ["float32"], "on_fail": "report"}


def verdict(subject: Any, *only: str) -> str:
    """Return the verdict on a subject."""
    (row,) = check(subject, only=only or ("step", "sequence"), **QUICK).rows
    return row.status


def layer(params: Any, xs: Any, h0: Any) -> Any:
    """Return all states of a layer of relu."""

    def step(h: Any, x: Any) -> Any:
        h = jax.nn.relu(x @ params["in"]["W"] + h @ params["U"] + params["b"])
        return h, h

    return jax.lax.scan(step, h0, xs)[1]


def averaged(params: Any, xs: Any, h0: Any) -> Any:
    """Return the same states, with a gradient of b that is averaged over the rows."""
    b = params["b"]
    return layer(params | {"b": jax.lax.stop_gradient(b) + (b - jax.lax.stop_gradient(b)) / xs.shape[1]}, xs, h0)


def lstm(params: Any, carry: Any, x: Any, cut: bool = False) -> Any:
    """Return c and h of a cell; with ``cut`` no gradient goes through c."""
    c, h = carry
    i, f, o, g = jnp.split(x @ params["W"] + h @ params["U"].T + params["b"], 4, -1)
    c = jax.nn.sigmoid(f) * (jax.lax.stop_gradient(c) if cut else c) + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


LAYER = {"in/W": "Wx", "U": "Wh", "b": "b"}
LSTM: dict[str, Any] = {"gates": "i f o g", "carry": "c h", "name": "lstm"}


@pytest.mark.parametrize(("f", "status"), [(layer, "pass"), (averaged, "fail")])
def test_a_layer_is_judged(f: Any, status: str) -> None:
    subject = function(f, LAYER)
    assert subject.describe == "judged as RNN, a layer; in/W = Wx, U = Wh, b = b"
    assert subject.nonlinearities == ("relu",)
    assert verdict(subject) == status


@pytest.mark.parametrize(("cut", "status"), [(False, "pass"), (True, "fail")])
def test_a_cell_is_judged(cut: bool, status: str) -> None:
    subject = function(partial(lstm, cut=cut), {"W": "Wx", "U": "Wh.T", "b": "b"}, **LSTM)
    assert subject.describe == "judged as LSTM, a cell under lax.scan; gates i f o g; W = Wx, U = Wh.T, b = b"
    assert verdict(subject) == status


def test_a_wrong_order_of_the_carry_or_of_the_gates_fails() -> None:
    places = {"W": "Wx", "U": "Wh.T", "b": "b"}
    assert verdict(function(lstm, places, **LSTM | {"carry": "h c"}), "step") == "fail"
    assert verdict(function(lstm, places, **LSTM | {"gates": "i f g o"}), "step") == "fail"


@pytest.mark.parametrize(
    ("places", "options", "message"),
    [
        ({"W": "Wx", "U": "V"}, {}, r"^layer: expected places among \[.*\] and suffixes, got \['V'\]"),
        (LAYER, {"gates": "a b"}, r"^layer: expected the gates of a cell among \{.*\}, in any order, got 'a b'"),
        (LAYER, {"carry": "h c"}, r"^layer: expected a carry of \['h'\], in any order, got 'h c'"),
    ],
)
def test_a_mapping_that_does_not_fit_gives_one_sentence(places: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(layer, places, **options)


def cell_of_linen(wrong: bool) -> Any:
    """Return a cell like ``linen.SimpleCell`` with names of its own."""
    linen = pytest.importorskip("flax.linen")

    class Mine(linen.RNNCellBase):  # type: ignore[name-defined]
        features: int
        num_feature_axes = 1

        @linen.compact  # type: ignore[untyped-decorator]
        def __call__(self, h: Any, x: Any) -> Any:
            v = linen.Dense(self.features, use_bias=False, name="rec")(jax.lax.stop_gradient(h) if wrong else h)
            h = jnp.tanh(linen.Dense(self.features, name="inp")(x) + v)
            return h, h

        def initialize_carry(self, key: Any, shape: Any) -> Any:
            return jnp.zeros((*shape[:-1], self.features))

    return Mine


def cell_of_nnx(wrong: bool) -> Any:
    """Return ``nnx.SimpleCell``; if wrong, with a state that is halved in the gradient."""
    nnx = pytest.importorskip("flax.nnx")

    class Mine(nnx.SimpleCell):  # type: ignore[name-defined]
        def __call__(self, h: Any, x: Any) -> Any:
            return super().__call__((h + jax.lax.stop_gradient(h)) / 2 if wrong else h, x)

    return Mine


def cell_of_equinox(wrong: bool) -> Any:
    """Return ``equinox.nn.GRUCell``; if wrong, without a gradient through its input."""
    equinox = pytest.importorskip("equinox")

    class Mine(equinox.nn.GRUCell):  # type: ignore[name-defined]
        def __call__(self, x: Any, h: Any) -> Any:
            return super().__call__(jax.lax.stop_gradient(x) if wrong else x, h)

    return Mine


READ = {
    cell_of_linen: "judged as RNN, a cell under lax.scan; inp/kernel = Wx, rec/kernel = Wh, inp/bias = b",
    cell_of_nnx: "judged as RNN, a cell under lax.scan; "
    "dense_h/kernel = Wh, dense_i/bias = b or 0, dense_i/kernel = Wx",
    cell_of_equinox: "judged as GRU, a cell under lax.scan; gates r z n; "
    "weight_ih = Wx.T, weight_hh = Wh.T, bias = b, bias_n = bn",
}


@pytest.mark.parametrize("cell", READ, ids=lambda cell: cell.__name__)
@pytest.mark.parametrize(("wrong", "status"), [(False, "pass"), (True, "fail")])
def test_a_class_of_a_framework_is_judged(cell: Any, wrong: bool, status: str) -> None:
    subject = as_adapter(cell(wrong))
    assert subject.describe == READ[cell]
    assert verdict(subject) == status


FUNCTION = """
import jax
from adapters.jax import function

def layer(params, xs, h0):
    def step(h, x):
        h = jax.numpy.tanh(x @ params["W"] + h @ params["U"] + params["b"])
        return h, h
    return jax.lax.scan(step, h0, xs)[1]

mine = function(layer, {"W": "Wx", "U": "Wh", "b": "b"}, name="mine")
"""


def test_a_function_gets_a_script_of_its_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_scripted(tmp_path, monkeypatch, FUNCTION, ("+ h @", "+ jax.lax.stop_gradient(h) @"), "mine")


def test_a_class_that_is_no_cell_gives_one_sentence() -> None:
    linen = pytest.importorskip("flax.linen")
    message = r"^MGUCell: expected parameters one Wx .* got .* \(D=4, H=5\); for others write adapters.jax.function"
    with pytest.raises(ValueError, match=message):
        as_adapter(linen.MGUCell)
