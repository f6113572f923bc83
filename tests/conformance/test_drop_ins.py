"""A function that returns the states alone, and subjects for which no framework is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.conformance import check, forward_only
from adapters.conformance.advice import advise
from reference import Mismatch
from reference.cells.cell import sigmoid

QUICK: dict[str, Any] = {"stacks": 1, "only": ["step", "sequence", "invariants"], "dtypes": ["float32"]}
ROOT = Path(__file__).parents[2]


def rnn(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return the states of a vanilla cell."""
    hs = np.empty((len(xs), *h0.shape), xs.dtype)
    for t, x in enumerate(xs):
        hs[t] = np.tanh((hs[t - 1] if t else h0) @ Wh + x @ Wx + b)
    return hs


def relu(xs: Any, h0: Any, Wx: Any, Wh: Any, nonlinearity: str, b: Any = 0) -> Any:
    """Return the states with tanh or relu."""
    h, hs = h0, []
    for x in xs:
        a = h @ Wh + x @ Wx + b
        hs.append(h := np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0))
    return np.array(hs, xs.dtype).reshape(len(xs), *h0.shape)


def lstm(xs: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return the states of an LSTM, and the last c."""
    h, c, hs = h0, c0, []
    for x in xs:
        i, f, g, o = np.split(h @ Wh + x @ Wx + b, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        hs.append(h := sigmoid(o) * np.tanh(c))
    return np.array(hs, xs.dtype).reshape(len(xs), *h0.shape), c + 0


def gru(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, bn: Any) -> Any:
    """Return the states of a GRU, one block after the other."""
    h, hs, H = h0, [], h0.shape[1]
    for x in xs:
        u, v = x @ Wx + b, h @ Wh
        r, z = sigmoid(u[:, :H] + v[:, :H]), sigmoid(u[:, H : 2 * H] + v[:, H : 2 * H])
        n = np.tanh(u[:, 2 * H :] + r * (v[:, 2 * H :] + bn))
        hs.append(h := (1 - z) * n + z * h)
    return np.array(hs, xs.dtype).reshape(len(xs), *h0.shape)


@pytest.mark.parametrize("f", [rnn, relu, lstm, gru])
def test_a_function_of_the_states_alone_is_judged(f: Any) -> None:
    (row,) = check(forward_only(f), **QUICK).rows
    assert row.status == "pass"


def test_a_kernel_that_forgets_the_bias_of_the_reset_is_caught() -> None:
    @forward_only
    def kernel(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, bn: Any) -> Any:
        return gru(xs, h0, Wx, Wh, b, 0 * bn)

    with pytest.raises(Mismatch, match=r"^kernel float32, one case of tanh (.|\n)*`bn"):
        check(kernel, **QUICK)


def test_a_state_that_is_missing_is_the_first_advice() -> None:
    subject = forward_only(lambda xs, h0, c0, Wx, Wh, b: lstm(xs, h0, c0, Wx, Wh, b)[0])
    assert advise(subject)[1] == "expected c of shape (N, H) = (2, 5), got None."


def test_a_cell_may_be_named_and_a_bias_may_be_no_argument() -> None:
    def unbiased(xs: Any, h0: Any, Wx: Any, Wh: Any) -> Any:
        return xs

    subject = forward_only(cell="gru_reset_before", unsupported=("T=0",))(unbiased)
    assert (subject.cell, subject.unsupported) == ("gru_reset_before", ("T=0",))
    assert advise(subject)[1] == "expected hs of shape (T, N, H) = (3, 2, 5), got (3, 2, 4)."


@pytest.mark.parametrize("cell", ["", "lstm", "qrnn"])
def test_other_arguments_give_one_sentence(cell: str) -> None:
    def odd(xs: Any, h0: Any, W: Any) -> Any:
        return xs

    named = rf"a cell among \[.*\] and arguments among \['Wh', .*\], got '{cell}' and \['xs', 'h0', 'W'\] of odd$"
    with pytest.raises(ValueError, match=rf"^forward_only: expected {named}"):
        forward_only(odd, cell=cell)


def test_a_function_or_a_class_of_one_s_own_imports_no_framework() -> None:
    script = "import sys\nfrom adapters.conformance import discovery\ndiscovery.as_adapter(lambda case: case)\n"
    script += "class Mine: pass\ntry: discovery.as_adapter(Mine)\nexcept TypeError: print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"numpy", "adapters"} <= set(ran.stdout.split())
    assert not {"torch", "jax", "flax", "equinox"} & set(ran.stdout.split())
