"""Haiku: its cores, stepped and under ``hk.dynamic_unroll``. The only nonlinearity of ``VanillaRNN`` is relu."""

from __future__ import annotations

from functools import partial
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from adapters import Adapter, Way, _jax, gated
from adapters._jax import TAIL, ULPS, by_two_pull_backs, by_vjp, run, sigmoid, tanh
from adapters._way import unroll

# https://dm-haiku.readthedocs.io/en/latest/api.html, "VanillaRNN", "LSTM", "GRU" and "Linear". Haiku ignores
# unused parameters.
# fmt: off
LAYOUTS = {
    "VanillaRNN": {"vanilla_rnn/linear/w": "Wx", "vanilla_rnn/linear/b": "b or 0",
                   "vanilla_rnn/linear_1/w": "Wh", "vanilla_rnn/linear_1/b": "0?"},
    "LSTM": {"cell": "lstm i g f+1 o", "lstm/linear/w": "[Wx; Wh]", "lstm/linear/b": "b or 0"},
    "GRU": {"cell": "gru_reset_before -z r n", "gru/w_i": "Wx", "gru/w_h": "Wh", "gru/b": "b or 0"},
}
# fmt: on
NONLINEARITIES = ("relu",)
CORES = {"lstm": hk.LSTM, "gru_reset_before": hk.GRU, "relu": partial(hk.VanillaRNN, double_bias=False)}


def apply(function: Any, weights: Any, *inputs: Any) -> Any:
    """Call a function of modules with these parameters."""
    modules = dict[str, Any]()
    for name, array in weights.items():
        modules.setdefault(name.rpartition("/")[0], {})[name.rpartition("/")[2]] = array
    return hk.without_apply_rng(hk.transform(function)).apply(modules, *inputs)


def state_of(states: Any) -> Any:
    """Return the state of a core."""
    return hk.LSTMState(*states) if len(states) > 1 else states[0]


def stepped(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step a core."""
    step = partial(apply, lambda x, state: CORES[cell](states[0].shape[-1])(x, state)[1], weights)
    found = unroll(step, xs, [state_of(states)])[1:]
    hs = jnp.stack([jax.tree.leaves(state)[0] for state in found])
    return (hs, found[-1].cell) if len(states) > 1 else hs


def unroll_core(cell: str, weights: Any, xs: Any, states: Any, **options: Any) -> Any:
    """Run a core under ``hk.dynamic_unroll``, time first; return all outputs and the last state."""
    core = partial(CORES[cell], states[0].shape[-1], **options)
    return apply(lambda xs, state: hk.dynamic_unroll(core(), xs, state), weights, xs, state_of(states))


def unrolled(*arguments: Any) -> Any:
    """Run a core under ``hk.dynamic_unroll``."""
    outputs, last = unroll_core(*arguments)
    return (outputs, last.cell) if isinstance(last, hk.LSTMState) else outputs


def last_state(*arguments: Any) -> Any:
    """Run a core under ``hk.dynamic_unroll``, and take the last step from the last state."""
    outputs, last = unroll_core(*arguments)
    outputs = jnp.concatenate([outputs[:-1], jax.tree.leaves(last)[0][None]])
    return (outputs, last.cell) if isinstance(last, hk.LSTMState) else outputs


def with_two_biases(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``VanillaRNN`` with two biases, its default. Each is half of the bias of the case."""
    half = weights["vanilla_rnn/linear/b"] / 2
    halves = {"vanilla_rnn/linear/b": half, "vanilla_rnn/linear_1/b": half}
    return unroll_core(nonlinearity, weights | halves, xs, states, double_bias=True)[0]


# For the registry alone.


def complement(array: Any) -> Any:
    """Return 1 - jax.nn.sigmoid(-a) of a NumPy array, as ``GRU`` computes the weight of h."""
    return 1 - sigmoid(-array)


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return {"haiku": hk.__version__} | _jax.environment()


way = partial(Way, LAYOUTS, run)
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS)


def rows(kind: str, name: str, **own: Any) -> tuple[Adapter, Adapter]:
    """Return the adapters of a core: stepped, and unrolled under this name."""
    options = {
        "last state as h[-1]": way(kind, (last_state, by_vjp)),
        "second pull-back": way(kind, (unrolled, by_two_pull_backs)),
    }
    options |= {"two biases": way(kind, (with_two_biases, by_vjp))} if kind == "VanillaRNN" else {}
    step, run_all = way(kind, (stepped, by_vjp)), way(kind, (unrolled, by_vjp))
    return (
        of(f"haiku.{kind}", step, f"{kind} stepped, jit", max_T=32, unsupported=("T=0",), **own),
        of(f"haiku.{name}", run_all, f"dynamic_unroll of {kind}, jit", options=options, **own),
    )


# b - 1 and the sum plus 1 err by 2 u beside what is charged to the sum. The sigmoid of JAX errs by 2.4 u, and the model
# allows it 8 u, so that both are covered.
OF_GRU: dict[str, Any] = {"sigmoid": complement, "sigmoid_absolute": dict.fromkeys(ULPS, 4.0)}
ADAPTERS = (
    *rows("VanillaRNN", "dynamic_unroll", nonlinearities=NONLINEARITIES),
    *rows("LSTM", "LSTM.dynamic_unroll", sigmoid=sigmoid, sigmoid_absolute=TAIL, **gated("lstm")),
    # 1 - s(-a) is accurate relative to 1 alone.
    *rows("GRU", "GRU.dynamic_unroll", **gated("gru_reset_before"), **OF_GRU),
)
