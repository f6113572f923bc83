"""Somebody else's function of JAX is judged without an adapter for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import check
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
