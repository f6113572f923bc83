"""TensorFlow, which has no cell outside of Keras: the formula in ``tf.scan``, differentiated both ways."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import tensorflow as tf

from adapters import Adapter, Idiom
from adapters._tensorflow import TANH_ULPS

# A composed cell has its parameters as they are.
LAYOUTS = {"function": {"Wx": "Wx", "Wh": "Wh", "b": "b"}}


def tensors(arrays: Any) -> list[Any]:
    """Return constants of the arrays that are there."""
    return [tf.constant(array) for array in arrays if array is not None]


def scan(nonlinearity: str, xs: Any, h0: Any, Wx: Any, Wh: Any, *b: Any) -> Any:
    """Return all states, with one operation a step of a loop."""
    return tf.scan(lambda h, x: getattr(tf.nn, nonlinearity)(sum(b, x @ Wx + h @ Wh)), xs, h0)


@lru_cache(maxsize=256)
def pull_back(nonlinearity: str, jit: bool, *signature: Any) -> Callable[..., Any]:
    """Return a function of the upstream gradient and the arguments; one of each signature, for which it is traced."""

    @tf.function(jit_compile=jit)  # type: ignore[untyped-decorator, unused-ignore]
    def pull(upstream: Any, arguments: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            hs = scan(nonlinearity, *arguments)
        return hs, tape.gradient(hs, arguments, output_gradients=upstream, unconnected_gradients="zero")

    return pull  # type: ignore[no-any-return, unused-ignore]


def run_function(
    xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, jit: bool = False
) -> list[Any]:
    """Pull back in a ``tf.function``."""
    pull = pull_back(nonlinearity, jit, xs.dtype.name, xs.shape, Wh.shape, b is not None)
    hs, gradients = pull(tf.constant(upstream), tensors((xs, h0, Wx, Wh, b)))
    return [tensor.numpy() for tensor in (hs, *gradients)]


def run_xla(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Pull back in a ``tf.function`` that XLA compiles."""
    return run_function(xs, h0, Wx, Wh, b, upstream, nonlinearity, jit=True)


def push_forward(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, *dots: Any) -> list[Any]:
    """Differentiate along a direction with ``ForwardAccumulator``, step by step; of a scan it fails if compiled."""
    arguments = tensors((xs, h0, Wx, Wh, b))
    x, h, Wx, Wh, *bias = arguments
    hs = [h]
    with tf.autodiff.ForwardAccumulator(arguments, tensors(dots)) as accumulator:
        for x_t in tf.unstack(x):
            hs.append(getattr(tf.nn, nonlinearity)(sum(bias, x_t @ Wx + hs[-1] @ Wh)))
        states = tf.stack(hs)[1:]
    return [states.numpy(), accumulator.jvp(states).numpy()]


def tanh(array: Any, jit: bool = False) -> Any:
    """Return tf.tanh of a NumPy array."""
    return tf.function(tf.tanh, jit_compile=jit)(tf.constant(array)).numpy()


def environment() -> dict[str, str]:
    """Return the version of TensorFlow and what decides its precision."""
    return {"tensorflow": tf.__version__, "precision": "that of each tensor"}


IMPORTS = "from collections.abc import Callable\nfrom functools import lru_cache\n\nimport tensorflow as tf"
PARTS = (tensors, scan, pull_back, run_function)

ADAPTERS = tuple(
    Adapter.of_arrays(f"tensorflow.{name}", Idiom(IMPORTS, parts), describe, ours, TANH_ULPS, **limits)
    for name, parts, describe, ours, limits in (
        ("function", PARTS, "tf.scan in a tf.function, GradientTape", tanh, {}),
        ("xla", (*PARTS, run_xla), "the same, jit_compile=True", partial(tanh, jit=True), {"unsupported": ("T=0",)}),
        ("jvp", (tensors, push_forward), "steps, ForwardAccumulator", tanh, {"offers": ("h", "jvp h"), "max_T": 1000}),
    )
)
