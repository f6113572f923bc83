"""Weights of several layers: names and order, round trips, messages, and a proof that can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from adapters import Adapter, Unsupported
from adapters.conformance import port as porting
from adapters.conformance.cli import main
from adapters.conformance.discovery import as_adapter
from adapters.conformance.port import Proof, prove
from adapters.layout import layout, layouts, port
from reference import Case, LayersCase
from reference.faults import OF_LAYERS, compute
from tests.conformance.several import weights, written

TORCH, JAX = layouts("torch"), layouts("jax")
# A layout of each framework.
BOTH = {
    "rnn": (TORCH["torch.RNN"], JAX["jax.scan"]),
    "lstm": (TORCH["torch.LSTM"], JAX["jax.lstm.scan"]),
    "gru": (TORCH["torch.GRU"], JAX["jax.gru.scan"]),
}


@given(
    cell=st.sampled_from([*BOTH]),
    layers=st.integers(1, 3),
    directions=st.sampled_from([1, 2]),
    bias=st.booleans(),
    prefix=st.sampled_from(["", "encoder.rnn."]),
)
def test_a_round_trip_loses_no_bit(cell: str, layers: int, directions: int, bias: bool, prefix: str) -> None:
    if layers * directions == 1:
        layers = 2
    one, other = BOTH[cell]
    params = weights(cell, layers, directions, bias=bias)
    there = written(one, params, prefix)
    back = port(port(there, one.name, other.name), other.name, one.name)
    assert [prefix + name for name in back] == [*there]
    assert all(array.tobytes() == there[prefix + name].tobytes() for name, array in back.items())


def test_one_layer_in_one_direction_has_its_names_alone() -> None:
    arrays = TORCH["torch.RNN"].to_framework(Case.random(dtype="float32").params)
    assert TORCH["torch.RNN"].each(arrays) == {"": arrays}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: {n: a for n, a in arrays.items() if "_l0_reverse" not in n}, "with the layers"),
        (lambda arrays: {n: a for n, a in arrays.items() if "_l1" not in n or "_l2" in n}, "with the layers"),
        (lambda arrays: arrays | {f"decoder.{n}": a for n, a in arrays.items()}, "of one torch.LSTM with the layers"),
        (lambda arrays: {n: a for n, a in arrays.items() if n != "weight_hh_l1"}, "of torch.LSTM in every layer"),
    ],
    ids=["a direction is missing", "a layer is missing", "two modules", "a parameter is missing"],
)
def test_what_is_missing_is_named(change: Any, message: str) -> None:
    layout = TORCH["torch.LSTM"]
    arrays = change(written(layout, weights("lstm", 3, 2)))
    with pytest.raises(ValueError, match=f"^port: expected .*{message}"):
        [layout.params(own) for own in layout.each(arrays).values()]


@pytest.mark.parametrize("name", ["torch.LSTMCell", "autograd.lstm.vjp", "tensorflow.lstm.function"])
def test_a_target_or_a_source_without_names_for_layers_is_refused(name: str) -> None:
    message = "port: expected a {} with names of several layers, got " + name
    one, params = layout(name), weights("lstm", 2, 1)
    with pytest.raises(ValueError, match=f"^{message.format('target')}"):
        written(one, params)
    both = {name + end: array for end, own in params.items() for name, array in one.to_framework(own).items()}
    with pytest.raises(ValueError, match=f"^{message.format('source')}"):
        port(both, name, "jax.lstm.scan")


def subject(layers: Any) -> Adapter:
    """Return NumPy code of several layers."""
    return replace(as_adapter(compute), name="numpy.layers", layers=layers)


@pytest.mark.parametrize(("layers", "directions"), [(1, 2), (2, 1), (2, 2)])
def test_a_proof_runs_several_layers_and_can_fail(layers: int, directions: int) -> None:
    params = weights("rnn", layers, directions)
    proof = prove(subject(compute), params, "tanh")
    assert proof.certified, proof
    assert proof.account.endswith("in 8 cases of tanh, float32")
    fault = OF_LAYERS["reverse dx lost" if layers == 1 else "Wh of the first layer in all"]
    assert "x its bound" in prove(subject(fault.subject()), params, "tanh").account
    assert "expected a case of one layer" in prove(subject(None), params, "tanh").account


def without_lengths(case: LayersCase) -> Any:
    """Compute several layers of rows of one length."""
    if case.lengths is not None:
        raise Unsupported("expected no lengths, got some")
    return compute(case)


def test_a_proof_without_lengths_has_rows_of_one_length_and_says_so() -> None:
    proof = prove(subject(without_lengths), weights("rnn", 2, 2), "tanh")
    assert proof.certified, proof
    assert proof.account.endswith("in 8 cases of tanh, float32, all rows of T steps")


def test_the_command_writes_several_layers_and_proves_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def proved(name: str, params: Any, nonlinearity: str) -> Proof:
        return prove(replace(subject(compute), name=name), params, nonlinearity)

    monkeypatch.setattr(porting, "prove_apart", proved)
    monkeypatch.setattr(porting, "expect_provable", lambda one: None)
    model, output = tmp_path / "model.npz", tmp_path / "out.safetensors"
    np.savez(model, **written(TORCH["torch.RNN"], weights("rnn", 2, 2), "encoder."))
    words = ["port", str(model), "--from", "torch", "--to", "jax.scan", "-o", str(output)]
    assert main(words) == 0
    moved = JAX["jax.scan"].each(safetensors.numpy.load_file(output))
    assert [*moved] == ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
    monkeypatch.setattr(porting, "prove_apart", lambda name, *_: prove(subject(None), weights("rnn", 2, 2), "tanh"))
    assert main(words) == 1
