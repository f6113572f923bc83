"""Flax: the cells of both interfaces, linen and nnx, stepped and in the layer ``RNN``."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax

from adapters import Adapter, LayersWay, Way, _flax_layers, _jax, gated
from adapters._flax_cells import last_state, layer, of_linen, of_nnx, optimized, run_flax, stepped
from adapters._jax import TAIL, ULPS, by_two_pull_backs, by_vjp, sigmoid, tanh

# https://flax.readthedocs.io/en/stable/api_reference/flax.linen/layers.html, "Recurrent"; likewise flax.nnx/nn.
# fmt: off
LAYOUTS = {
    "linen.RNN": {"cell/i/kernel": "Wx", "cell/i/bias": "b or 0", "cell/h/kernel": "Wh"},
    "linen.SimpleCell": {"i/kernel": "Wx", "i/bias": "b or 0", "h/kernel": "Wh"},
    "nnx.RNN": {"cell/dense_i/kernel": "Wx", "cell/dense_i/bias": "b or 0", "cell/dense_h/kernel": "Wh"},
    "nnx.SimpleCell": {"dense_i/kernel": "Wx", "dense_i/bias": "b or 0", "dense_h/kernel": "Wh"},
    "linen.LSTM": {"cell": "lstm i f g o",
                   "cell/i*/kernel": "Wx", "cell/h*/kernel": "Wh", "cell/h*/bias": "b or 0"},
    "linen.LSTMCell": {"cell": "lstm i f g o", "i*/kernel": "Wx", "h*/kernel": "Wh", "h*/bias": "b or 0"},
    "linen.OptimizedLSTM": {"cell": "lstm i f g o",
                            "cell/i*/kernel": "Wx", "cell/h*/kernel": "Wh", "cell/h*/bias": "b or 0"},
    "linen.GRU": {"cell": "gru r z n", "cell/i*/kernel": "Wx", "cell/i*/bias": "b or 0", "cell/h*/kernel": "Wh",
                  "cell/hn/bias": "bn or 0"},
    "linen.GRUCell": {"cell": "gru r z n",
                      "i*/kernel": "Wx", "i*/bias": "b or 0", "h*/kernel": "Wh", "hn/bias": "bn or 0"},
    "nnx.LSTM": {"cell": "lstm i f g o", "cell/ii/kernel": "Wx[i]", "cell/if_/kernel": "Wx[f]",
                 "cell/ig/kernel": "Wx[g]", "cell/io/kernel": "Wx[o]",
                 "cell/h*/kernel": "Wh", "cell/h*/bias": "b or 0"},
    "nnx.LSTMCell": {"cell": "lstm i f g o", "ii/kernel": "Wx[i]", "if_/kernel": "Wx[f]", "ig/kernel": "Wx[g]",
                     "io/kernel": "Wx[o]", "h*/kernel": "Wh", "h*/bias": "b or 0"},
    "nnx.GRU": {"cell": "gru r z n", "cell/dense_i/kernel": "Wx", "cell/dense_i/bias": "b or 0",
                "cell/dense_h/kernel": "Wh"},
    "nnx.GRUCell": {"cell": "gru r z n", "dense_i/kernel": "Wx", "dense_i/bias": "b or 0", "dense_h/kernel": "Wh"},
    "nnx.OptimizedLSTM": {"cell": "lstm i f g o", "cell/dense_i/kernel": "Wx", "cell/dense_h/kernel": "Wh",
                          "cell/dense_h/bias": "b or 0"},
}
# fmt: on


# For the registry alone.


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return {"flax": flax.__version__} | _jax.environment()


of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, sigmoid=sigmoid, sigmoid_absolute=TAIL)
# D=0: the initialiser divides by D, although no parameters are drawn. T=0: the steps of a cell are unrolled, and
# jnp.stack needs at least one.
LAYER: dict[str, Any] = {"unsupported": ("D=0",)}
CELL: dict[str, Any] = {"unsupported": ("D=0", "T=0"), "max_T": 32}


def rows(interface: Any, of_several: Any, name: str, lacks: tuple[str, ...] = ()) -> tuple[Adapter, ...]:
    """Return the adapters of an interface whose GRU lacks some parameters."""

    def way(kind: str, *parts: Any) -> Way:
        return Way(LAYOUTS, run_flax, f"{name}.{kind}", (interface, *parts))

    def of_layer(kind: str, over: str, **own: Any) -> Adapter:
        options = {
            "last state as h[-1]": way(kind, last_state, by_vjp),
            "second pull-back": way(kind, layer, by_two_pull_backs),
        }
        several = LayersWay(LAYOUTS, partial(_flax_layers.run, of_several), f"{name}.{kind}")
        what = f"{name}.RNN over {name}.{over}, jit"
        return of(
            f"flax.{name}.{kind}", way(kind, layer, by_vjp), what, options=options, layers=several, **LAYER, **own
        )

    def of_cell(kind: str, **own: Any) -> Adapter:
        return of(f"flax.{name}.{kind}", way(kind, stepped, by_vjp), f"{name}.{kind} stepped, jit", **CELL, **own)

    fast, what = way("OptimizedLSTM", optimized, by_vjp), f"{name}.RNN over {name}.OptimizedLSTMCell, jit"
    return (
        of_cell("SimpleCell"),
        of_layer("RNN", "SimpleCell"),
        of_cell("LSTMCell", **gated("lstm")),
        of_layer("LSTM", "LSTMCell", **gated("lstm")),
        of(f"flax.{name}.OptimizedLSTM", fast, what, **LAYER, **gated("lstm")),
        of_cell("GRUCell", **gated("gru", lacks=lacks)),
        of_layer("GRU", "GRUCell", **gated("gru", lacks=lacks)),
    )


# nnx.GRUCell has no bias inside the reset (FINDINGS.md).
ADAPTERS = rows(of_linen, _flax_layers.of_linen, "linen") + rows(of_nnx, _flax_layers.of_nnx, "nnx", ("bn",))
