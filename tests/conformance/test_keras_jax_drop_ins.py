"""A class of cells of Keras is judged as it is, if Keras runs on JAX. Importing Keras fixes its backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import adapters

ROOT = Path(__file__).parents[2]
SCRIPT = """
import jax
import keras
from adapters.conformance import check
from adapters.conformance.discovery import as_adapter

class Mine(keras.layers.{kind}):
    def call(self, inputs, *states, **others):
        return super().call({inputs}, *states, **others)

print(as_adapter(Mine).describe)
print(check(Mine, stacks=1, only=["step", "sequence"], on_fail="report").rows[0].status)
"""


def run(backend: str, kind: str = "LSTMCell", inputs: str = "inputs") -> subprocess.CompletedProcess[str]:
    """Judge a cell in a process of its own."""
    own = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(kind=kind, inputs=inputs)]
    return subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True)


if not adapters.is_installed("keras_jax"):
    pytest.skip("keras or jax is not installed", allow_module_level=True)


@pytest.mark.parametrize(("inputs", "status"), [("inputs", "pass"), ("jax.lax.stop_gradient(inputs)", "fail")])
@pytest.mark.parametrize("kind", ["SimpleRNNCell", "LSTMCell", "SimpleRNN", "LSTM", "GRU"])
def test_a_cell_is_judged(kind: str, inputs: str, status: str) -> None:
    ran = run("jax", kind, inputs)
    assert ran.stdout.splitlines()[-1:] == [status], ran.stderr
    name = kind.removesuffix("Cell").removeprefix("Simple")
    gates = {"RNN": "", "LSTM": "; gates i f g o", "GRU": "; gates z r n"}[name]
    told = f"judged as {name}, {'a cell under lax.scan' if 'Cell' in kind else 'a layer'}{gates}; "
    assert ran.stdout.startswith(told)
    assert ", kernel = Wx, recurrent_kernel = Wh\n" in ran.stdout


def test_another_backend_gives_one_sentence() -> None:
    if not adapters.is_installed("keras_tensorflow"):
        pytest.skip("tensorflow is not installed")
    assert (
        "ValueError: Mine: expected Keras on jax, got Keras on tensorflow; set KERAS_BACKEND=jax;"
        in run("tensorflow").stderr
    )
