"""Somebody else's cell or layer of Flax is judged by its class, as a user does it."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import check
from adapters.conformance.cli import main
from adapters.conformance.discovery import as_adapter
from tests.scripted import assert_scripted

linen: Any = pytest.importorskip("flax.linen")
nnx: Any = pytest.importorskip("flax.nnx")
jax: Any = pytest.importorskip("jax")
jnp = jax.numpy

TEXT = """
import jax
import jax.numpy as jnp
from flax import linen, nnx


class Outputs(linen.Module):
    features: int

    @linen.compact
    def __call__(self, xs):
        return linen.RNN(linen.LSTMCell(self.features), time_major=True)(xs)


class Carry(linen.Module):
    features: int

    @linen.compact
    def __call__(self, xs, initial_carry=None):
        carry, ys = linen.RNN(linen.GRUCell(self.features), return_carry=True)(xs, initial_carry=initial_carry)
        return carry, ys


class Options(nnx.Module):
    def __init__(self, D, H, *, rngs):
        self.rnn = nnx.RNN(nnx.SimpleCell(D, H, rngs=rngs))

    def __call__(self, xs, *, initial_carry=None, time_major=False, return_carry=False):
        return self.rnn(xs, initial_carry=initial_carry, time_major=time_major, return_carry=return_carry)


class Own(linen.Module):
    features: int

    @linen.compact
    def __call__(self, xs, initial_carry=None):
        D, H, init = xs.shape[-1], self.features, linen.initializers.normal()
        W, U, b = self.param("W", init, (D, 3 * H)), self.param("U", init, (H, 3 * H)), self.param("b", init, (3 * H,))

        def step(h, x):
            (u_z, u_r, u_n), (v_z, v_r, v_n) = jnp.split(x @ W + b, 3, -1), jnp.split(h @ U, 3, -1)
            z, r = linen.sigmoid(u_z + v_z), linen.sigmoid(u_r + v_r)
            h = (1 - z) * jnp.tanh(u_n + r * v_n) + z * h
            return h, h

        h = jnp.zeros((len(xs), H), xs.dtype) if initial_carry is None else initial_carry
        return jnp.swapaxes(jax.lax.scan(step, h, jnp.swapaxes(xs, 0, 1))[1], 0, 1)
"""
READ = {
    "Outputs": "judged as LSTM, a layer, without c, h0, c0; gates i f g o; LSTMCell_0/hf/bias = b or 0[f], ",
    "Carry": "judged as GRU, a layer; gates r z n; GRUCell_0/hn/bias = bn or 0, GRUCell_0/hn/kernel = Wh[n], ",
    "Options": "judged as RNN, a layer; rnn/cell/dense_h/kernel = Wh, rnn/cell/dense_i/bias = b or 0, ",
    "Own": "judged as GRU, a layer, without bn; gates z r n; W = Wx, U = Wh, b = b\n",
}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of the module with the layers, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(TEXT)
    return tmp_path / "mine.py"


@pytest.mark.parametrize("name", READ)
def test_a_layer_passes_and_the_first_line_says_as_what(
    name: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["check", f"mine:{name}", "--stacks", "1", "--dtype", "float32", "--only", "step", "options"])
    out, err = capsys.readouterr()
    assert status == 0, out
    assert f"{name}: {READ[name]}" in err


def test_only_dtypes_that_a_layer_keeps_are_judged(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(mine.parent)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    module = importlib.import_module("mine")
    monkeypatch.delitem(sys.modules, "mine")
    # Without an initial carry, a cell of linen begins with zeros of float32.
    assert as_adapter(module.Outputs).dtypes == ("float32",)
    assert as_adapter(module.Carry).dtypes == ("float64", "float32", "bfloat16", "float16")


MISTAKES = {
    "gates exchanged": (
        "Own",
        "step",
        ("(1 - z) * jnp.tanh(u_n + r * v_n) + z * h", "z * jnp.tanh(u_n + r * v_n) + h - z * h"),
    ),
    "no gradient to the input": (
        "Outputs",
        "step",
        ("time_major=True)(xs)", "time_major=True)(jax.lax.stop_gradient(xs))"),
    ),
    "two initial states": (
        "Options",
        "step",
        ("self.rnn(xs, initial_carry=initial_carry", "self.rnn(xs, initial_carry=2 * initial_carry"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_fails_and_its_script_passes_once_it_is_mended(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, check, change = MISTAKES[mistake]
    assert_scripted(tmp_path, monkeypatch, TEXT, change, name, check)


CELL = """
import jax
from flax import linen

class Mine(linen.GRUCell):
    def __call__(self, h, x):
        return super().__call__(h, x)
"""


def test_a_cell_gets_a_script_of_its_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_scripted(tmp_path, monkeypatch, CELL, ("(h, x)\n", "(jax.lax.stop_gradient(h), x)\n"), "Mine")


OF_OPTIONS = {
    "last state as h[-1]": ("Carry", "return carry, ys", "return jnp.flip(carry, 0), ys"),
    "h0 omitted": ("Own", "jnp.zeros(", "jnp.ones("),
}


@pytest.mark.parametrize("option", OF_OPTIONS)
def test_a_wrong_last_carry_or_a_wrong_default_of_the_first_fails(
    option: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, right, wrong = OF_OPTIONS[option]
    assert TEXT.count(right) == 1
    mine.write_text(TEXT.replace(right, wrong))
    assert main(["check", f"mine:{name}", "--only", "options", "--dtype", "float32", "--stacks", "1"]) == 1
    assert f"\n{name} {option}: float32 h[" in capsys.readouterr().out


class Dense(linen.Dense):
    """No recurrent layer."""


class Last(linen.Module):
    """A layer that returns its last state alone."""

    features: int

    @linen.compact  # type: ignore[untyped-decorator]
    def __call__(self, xs: Any) -> Any:
        """Return the last state."""
        return linen.RNN(linen.SimpleCell(self.features), return_carry=True)(xs)[0]


class Sized(Last):
    """A layer with another constructor."""

    depth: int = dataclasses.field(kw_only=True)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            Dense,
            r"^Dense: expected parameters one Wx .*, got \{'bias': \(5,\), 'kernel': \(4, 5\)\} \(D=4, H=5\)",
        ),
        (
            Last,
            r"^Last: expected a call \(xs\) or \(xs, initial_carry=\.\.\.\) that returns ys or \(carry, ys\), "
            r"ys of shape \(N, T, H\) or \(T, N, H\), got .* \(T=3, N=2, D=4, H=5\); for others write",
        ),
        (Sized, r"^Sized: expected a layer as those of flax.linen, got TypeError: .*'depth' \(D=4, H=5\); for others"),
    ],
)
def test_a_class_that_is_no_layer_gives_one_sentence(kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_adapter(kind)


def cell_of_linen(wrong: bool) -> Any:
    """Return a cell like ``linen.SimpleCell`` with names of its own."""

    class Mine(linen.RNNCellBase):
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

    class Mine(nnx.SimpleCell):
        def __call__(self, h: Any, x: Any) -> Any:
            return super().__call__((h + jax.lax.stop_gradient(h)) / 2 if wrong else h, x)

    return Mine


CELLS = {
    cell_of_linen: "judged as RNN, a cell under lax.scan; inp/kernel = Wx, rec/kernel = Wh, inp/bias = b",
    cell_of_nnx: "judged as RNN, a cell under lax.scan; "
    "dense_h/kernel = Wh, dense_i/bias = b or 0, dense_i/kernel = Wx",
}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)
@pytest.mark.parametrize(("wrong", "status"), [(False, "pass"), (True, "fail")])
def test_a_class_of_cells_is_judged(cell: Any, wrong: bool, status: str) -> None:
    subject = as_adapter(cell(wrong))
    assert subject.describe == CELLS[cell]
    (row,) = check(subject, only=("step", "sequence"), stacks=1, dtypes=["float32"], on_fail="report").rows
    assert row.status == status


def test_a_class_that_is_no_cell_gives_one_sentence() -> None:
    message = r"^MGUCell: expected parameters one Wx .* got .* \(D=4, H=5\); for others write adapters.jax.function"
    with pytest.raises(ValueError, match=message):
        as_adapter(linen.MGUCell)
