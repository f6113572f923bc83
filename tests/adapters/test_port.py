"""Every layout matches the module of its framework, and the framework is right with weights in this layout."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import adapters
from adapters import Adapter
from adapters.conformance.contract import guarded
from adapters.conformance.port import prove, prove_apart
from adapters.layout import Layout, layouts
from reference import Case, Params

D, H = 3, 4
# Operators have inputs by name and in order. A compiled graph fixes their shapes.
OPERATORS = ("onnx", "onnxruntime", "openvino")
# Composed cells have no module; their parameters are those of the reference.
COMPOSED = ("autograd", "jax", "tensorflow")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked, found = metafunc.config.getoption("backend"), list[object]()
    for framework in asked or adapters.frameworks():
        if asked or adapters.is_installed(framework):
            adapters.expect_installed(framework)
            found += [pytest.param(held, id=name) for name, held in layouts(framework).items()]
        else:
            skip = pytest.mark.skip(reason=f"{framework} is not installed")
            found.append(pytest.param(None, id=framework, marks=skip))
    metafunc.parametrize("held", found)


def loaded(held: Layout) -> Adapter:
    """Return the adapter of a layout."""
    (adapter,) = adapters.load(held.name)
    return guarded(adapter)


def of_torch(kind: str, bias: bool) -> dict[str, Any]:
    import torch

    return dict(getattr(torch.nn, kind)(D, H, bias=bias).named_parameters())


# The cells under the layers of Flax.
OVER = {"RNN": "SimpleCell", "LSTM": "LSTMCell", "OptimizedLSTM": "OptimizedLSTMCell", "GRU": "GRUCell"}


def of_flax(kind: str, bias: bool) -> dict[str, Any]:
    import flax
    import jax
    import jax.numpy as jnp
    from flax import linen, nnx

    interface, _, name = kind.partition(".")
    is_cell = name.endswith("Cell")
    cell_of = getattr({"linen": linen, "nnx": nnx}[interface], OVER.get(name, name))
    if interface == "linen":
        module = cell_of(H) if is_cell else linen.RNN(cell_of(H))
        carry = cell_of(H).initialize_carry(jax.random.key(0), (2, D))
        arguments = (carry, jnp.ones((2, D))) if is_cell else (jnp.ones((2, 5, D)),)
        tree = jax.eval_shape(module.init, jax.random.key(0), *arguments)["params"]
    else:
        cell = nnx.eval_shape(lambda: cell_of(D, H, rngs=nnx.Rngs(0)))
        tree = nnx.to_pure_dict(nnx.state(cell if is_cell else nnx.RNN(cell, rngs=False), nnx.Param))
    return dict(flax.traverse_util.flatten_dict(tree, sep="/"))


def of_haiku(kind: str, bias: bool) -> dict[str, Any]:
    import haiku
    import jax

    state = haiku.LSTMState(*np.ones((2, 2, H), "float32")) if kind == "LSTM" else np.ones((2, H), "float32")
    step = haiku.transform(lambda x, state: getattr(haiku, kind)(H)(x, state))
    tree = step.init(jax.random.key(0), np.ones((2, D), "float32"), state)
    return {f"{module}/{name}": array for module, arrays in tree.items() for name, array in arrays.items()}


def of_equinox(kind: str, bias: bool) -> dict[str, Any]:
    import equinox
    import jax

    module = getattr(equinox.nn, kind)(D, H, use_bias=bias, key=jax.random.key(0))
    return {name: array for name, array in vars(module).items() if hasattr(array, "shape")}


def of_mlx(kind: str, bias: bool) -> dict[str, Any]:
    import mlx.nn

    return dict(getattr(mlx.nn, kind)(D, H, bias=bias).parameters())


def of_keras(kind: str, bias: bool) -> dict[str, Any]:
    import keras

    name, _, before = kind.partition(".")
    module = getattr(keras.layers, name)(H, use_bias=bias, **({"reset_after": False} if before else {}))
    module.build((None, None, D))
    return {variable.name: variable for variable in module.weights}


def of_paddle(kind: str, bias: bool) -> dict[str, Any]:
    import paddle

    return dict(getattr(paddle.nn, kind)(D, H).named_parameters())  # the same with bias_ih_attr=False


def of_sonnet(kind: str, bias: bool) -> dict[str, Any]:
    import sonnet
    import tensorflow as tf

    core = getattr(sonnet, kind)(H)
    core(tf.zeros((1, D)), core.initial_state(1))
    return {variable.name.partition("/")[2].removesuffix(":0"): variable for variable in core.variables}


OWN: dict[str, Callable[[str, bool], dict[str, Any]]] = {
    "equinox": of_equinox,
    "flax": of_flax,
    "haiku": of_haiku,
    "keras_jax": of_keras,
    "keras_tensorflow": of_keras,
    "keras_torch": of_keras,
    "mlx": of_mlx,
    "paddle": of_paddle,
    "sonnet": of_sonnet,
    "torch": of_torch,
    "torch_onnx": of_torch,
}


def dtype_for(held: Layout) -> str:
    """Return float32, or the first dtype of the adapter."""
    (adapter,) = adapters.load(held.name)
    return "float32" if "float32" in adapter.dtypes else adapter.dtypes[0]


def params_of(held: Layout, *, bias: bool = True, size: int | None = None) -> Params:
    """Return parameters of the cell of a layout, with D = H = ``size`` if it is given."""
    sizes: dict[str, Any] = {"D": size or D, "H": size or H}
    params = Case.random(**sizes, dtype=dtype_for(held), bias=bias, cell=held.cell).params
    return params if held.has_bn else replace(params, bn=None)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_names_order_and_shapes_are_those_of_the_module(held: Layout, bias: bool) -> None:
    framework, _, kind = held.name.partition(".")
    if framework in OPERATORS:
        pytest.skip(f"{framework} has no module")
    params = params_of(held, bias=bias)
    actual = {name: array.shape for name, array in held.to_framework(params).items()}
    if framework in COMPOSED:
        assert all(name == place for name, place in held.named.items())
        return
    adapters.load_framework(framework)  # importing the file selects the backend of Keras
    expected = {name: tuple(array.shape) for name, array in OWN[framework](kind, bias).items()}
    assert actual == expected
    # Keras assigns the parameters of a module by their order.
    assert not framework.startswith("keras") or list(actual) == list(expected)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_the_framework_is_certified_with_ported_weights(held: Layout, bias: bool) -> None:
    params = params_of(held, bias=bias)
    proof = prove(loaded(held), params, held.nonlinearities[0])
    assert proof.certified, proof.account
    assert proof.account.startswith("largest |error| / bound 0.")


def test_a_layout_has_names_of_layers_only_if_its_adapter_has_layers(held: Layout) -> None:
    assert not held.has_layers or loaded(held).layers is not None


def turned(place: str, what: str) -> str:
    """Return a place with a fault: a matrix is transposed."""
    if what not in place:
        return place
    return place.replace(".T", "") if ".T" in place else re.sub(r"(\[None\])?$", r".T\1", place, count=1)


@pytest.mark.parametrize(("what", "size"), [("Wx", 6), ("Wh", 7)])
def test_a_layout_with_a_fault_is_not_certified(
    held: Layout, what: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework, _, kind = held.name.partition(".")
    if framework in COMPOSED:
        pytest.skip(f"{framework} has no names to load by")
    module = adapters.load_framework(framework)
    shared = getattr(module, "_keras", module).LAYOUTS
    monkeypatch.setitem(shared, kind, {name: turned(place, what) for name, place in held.places.items()})
    # Sizes that no other test uses, because a function compiled before has the right layout.
    proof = prove(loaded(held), params_of(held, size=size), held.nonlinearities[0])
    assert not proof.certified
    # The probe gives Wx more rows than columns, and gates give Wh more columns than rows. Transposed, they raise an
    # error of shape and have no ratio.
    assert what == "Wx" or held.cell != "rnn" or "x its bound" in proof.account


def test_a_proof_has_a_process_of_its_own(held: Layout) -> None:
    if held.name != next(iter(layouts(held.name.partition(".")[0]))):
        pytest.skip("the first layout of the framework stands for all")
    params = params_of(held)
    proof = prove_apart(held.name, params, held.nonlinearities[0])
    assert proof.certified, proof.account
