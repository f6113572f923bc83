"""Sixty faulty drop-ins for modules of PyTorch, and which ways to check them reject each.

    python -m tests.benchmarks.dropins

Each fault is a change of a line in tests/examples. The script prints a Markdown table. KernelBench's check compares the
outputs of five draws of one shape to 1e-4. assert_close compares outputs and gradients on one shape with its defaults,
and gradcheck compares gradients with difference quotients. All three have the module of PyTorch as a perfect reference,
two layers in two directions where the class has them. This suite judges in float64 and float32.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.func import functional_call

from adapters.conformance.checks import CHECKS, Plan
from adapters.conformance.contract import guarded
from adapters.conformance.discovery import as_adapter
from adapters.conformance.judge import judge
from tests.patched import patched


class Fault(NamedTuple):
    """A change of a file of tests/examples."""

    name: str
    kind: str  # the class
    old: str
    new: str


STATES, CAT, LINEAR = "tuple(s[k] for s in states)", "x = torch.cat(outputs, dim=-1)", "linear(x_t, w_ih, b_ih)"
END, LAST, DC = "f\"l{layer}{'_reverse' * d}\", d", "else outputs), states", "d_o], dim=1), dc * f"
# fmt: off
FORWARD = (
    Fault("gates i g f o", "LSTM", "i, f, g, o = (u", "i, g, f, o = (u"),
    Fault("forget bias of 1", "LSTM", "torch.sigmoid(f)", "torch.sigmoid(f + 1)"),
    Fault("coupled gates", "LSTM", "torch.sigmoid(i) *", "(1 - torch.sigmoid(f)) *"),
    Fault("sigmoid for g", "LSTM", "torch.tanh(g)", "torch.sigmoid(g)"),
    Fault("hard sigmoid for o", "LSTM", "torch.sigmoid(o)", "nn.functional.hardsigmoid(o)"),
    Fault("no tanh of c", "LSTM", "torch.tanh(c), c", "c, c"),
    Fault("c clipped at 3", "LSTM", "torch.tanh(c), c", "torch.tanh(c), c.clamp(-3, 3)"),
    Fault("tanh to 1e-5", "LSTM", "torch.tanh(c), c", "torch.tanh(1.00001 * c), c"),
    Fault("sigmoid that overflows", "LSTM", "torch.sigmoid(f)", "(f.exp() / (1 + f.exp()))"),
    Fault("gates in bfloat16", "LSTM", "(u + v).chunk", "(u + v).bfloat16().to(u.dtype).chunk"),
    Fault("r and z exchanged", "GRU", "r, z = torch", "z, r = torch"),
    Fault("z inverted", "GRU", "(1 - z) * n + z * states[0]", "z * n + (1 - z) * states[0]"),
    Fault("reset ignored", "GRU", "u_n + r * v_n", "u_n + v_n"),
    Fault("reset of the input, too", "GRU", "u_n + r * v_n", "r * (u_n + v_n)"),
    Fault("sigmoid saturated early", "GRU", "sigmoid(u_z + v_z)", "sigmoid(u_z + v_z).clamp(1e-4, 1 - 1e-4)"),
    Fault("tanh saturated early", "RNN", "torch.tanh(u + v)", "torch.tanh((u + v).clamp(-6, 6))"),
    Fault("NaN laundered into 0", "RNN", "torch.tanh(u + v)", "torch.tanh(u + v).nan_to_num()"),
    Fault("second bias forgotten", "RNN", "linear(states[0], w_hh, b_hh)", "linear(states[0], w_hh)"),
    Fault("inputs in bfloat16", "RNN", LINEAR, "linear(x_t.bfloat16().to(x_t.dtype), w_ih, b_ih)"),
    Fault("reset after 32 steps", "RNN", "states[0], w_hh", "states[0] * (len(outputs) % 32 != 31), w_hh"),
)
BACKWARD = (
    Fault("c for the c before", "LSTMCell", "dc * c_before * f", "dc * c * f"),
    Fault("upstream of c dropped", "LSTMCell", "dc = dc + dh", "dc = dh"),
    Fault("slope of tanh(c) forgotten", "LSTMCell", " * (1 - t**2)", ""),
    Fault("slope of i forgotten", "LSTMCell", "dc * g * i * (1 - i)", "dc * g"),
    Fault("slope of f forgotten", "LSTMCell", "c_before * f * (1 - f)", "c_before"),
    Fault("slope of g is 1 - g", "LSTMCell", "(1 - g**2)", "(1 - g)"),
    Fault("c for tanh(c)", "LSTMCell", "dh * t * o", "dh * c * o"),
    Fault("dc without f", "LSTMCell", DC, "d_o], dim=1), dc"),
    Fault("g and o exchanged", "LSTMCell", "d_f, d_g, d_o]", "d_f, d_o, d_g]"),
    Fault("clipped at 1", "LSTMCell", "d_o], dim=1), dc", "d_o], dim=1).clamp(-1, 1), dc"),
    Fault("flushed below 1e-6", "LSTMCell", DC, "d_o], dim=1), nn.functional.hardshrink(dc * f, 1e-6)"),
    Fault("reset ignored", "GRUCell", "d_n * r]", "d_n]"),
    Fault("z for 1 - z", "GRUCell", "dh * (1 - z)", "dh * z"),
    Fault("sign of z", "GRUCell", "(h_before - n)", "(n - h_before)"),
    Fault("n for v_n", "GRUCell", "d_n * v_n * r", "d_n * n * r"),
    Fault("direct path of h dropped", "GRUCell", "d_n * r], dim=1), dh * z", "d_n * r], dim=1), 0 * dh"),
    Fault("slope is 1 - h", "RNNCell", "(1 - h**2)", "(1 - h)"),
    Fault("slope in bfloat16", "RNNCell", "(1 - h**2)", "(1 - h**2).bfloat16().to(h.dtype)"),
    Fault("sum saved for h", "RNNCell", "save_for_backward(h)", "save_for_backward(a)"),
    Fault("upstream written to", "RNNCell", "return dh * (1 - h**2)", "return dh.mul_(1 - h**2)"),
)
LAYERS = (
    Fault("reverse runs forward", "LSTM", "reversed(x) if reverse else x", "x"),
    Fault("reverse not turned back", "LSTM", "outputs[::-1] if reverse else outputs", "outputs"),
    Fault("two forward directions", "GRU", "d == 1)", "False)"),
    Fault("directions exchanged", "LSTM", CAT, "x = torch.cat(outputs[::-1], dim=-1)"),
    Fault("forward twice", "RNN", CAT, "x = torch.cat([outputs[0]] * len(outputs), dim=-1)"),
    Fault("states direction-major", "LSTM", "layer * self.directions + d", "d * self.num_layers + layer"),
    Fault("one initial state for all", "GRU", "s[k] for s", "s[0] for s"),
    Fault("states of layers reversed", "LSTM", "s[k] for s", "s[-1 - k] for s"),
    Fault("second layer's weights in the third", "LSTM", END, END.replace("{layer}", "{min(layer, 1)}")),
    Fault("forward weights in reverse", "GRU", END, END.replace("{'_reverse' * d}", "")),
    Fault("last states in reverse order", "LSTM", "zip(*last,", "zip(*last[::-1],"),
    Fault("last state of reverse is its first", "RNN", LAST, "else outputs), (outputs[-1 + reverse],)"),
    Fault("gradient cut between layers", "LSTM", CAT, f"{CAT}.detach()"),
    Fault("last states detached", "LSTM", "torch.stack(each) for", "torch.stack(each).detach() for"),
    Fault("dh0 of upper layers missing", "GRU", STATES, "tuple(s[k].detach() if layer else s[k] for s in states)"),
    Fault("reverse detached", "LSTM", "outputs.append(hs)", "outputs.append(hs.detach() if d else hs)"),
    Fault("bias of upper layers missing", "RNN", LINEAR, LINEAR.replace("b_ih)", "b_ih if '0' in end else None)")),
    Fault("state of the layer below", "LSTM", STATES, f"last[d] if layer else {STATES}"),
    Fault("residual between layers", "GRU", CAT, "x = torch.cat(outputs, dim=-1) + (x if layer else 0)"),
    Fault("batch first ignored", "LSTM", "x = x.transpose(0, 1) if self.batch_first else x", "x = x"),
)
# fmt: on
FAMILIES = {
    "forward": ("torch_modules", FORWARD),
    "backward": ("torch_fused", BACKWARD),
    "layers": ("torch_modules", LAYERS),
}
Subject = Callable[..., Any]


def made(kind: Any, D: int, H: int, several: bool, dtype: Any) -> Any:
    """Return a module, with two layers in two directions if asked for."""
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True} if several else {}
    return kind(D, H, **options).to(dtype)


def drawn(module: Any, T: int, N: int, D: int, H: int, seed: int, dtype: Any) -> list[Any]:
    """Return inputs and initial states, uniform between 0 and 1, as KernelBench draws them."""
    torch.manual_seed(seed)
    count = 2 if "LSTM" in type(module).__name__ else 1
    L = getattr(module, "num_layers", 1) * (1 + (sum("reverse" in name for name, _ in module.named_parameters()) > 0))
    return [torch.rand(T, N, D, dtype=dtype), *(torch.rand(L, N, H, dtype=dtype) for _ in range(count))]


def called(module: Any, x: Any, *states: Any) -> list[Any]:
    """Return the outputs and the last states of a layer, or of a cell that is stepped."""
    if not type(module).__name__.endswith("Cell"):
        outputs, last = module(x, states if len(states) > 1 else states[0])
        return [outputs, *(last if isinstance(last, tuple) else (last,))]
    now, steps = tuple(state[0] for state in states), []
    for step in x:
        found = module(step, now if len(now) > 1 else now[0])
        now = found if isinstance(found, tuple) else (found,)
        steps.append(now[0])
    return [torch.stack(steps), *now]


def kernelbench(kind: Any, several: bool) -> None:
    """Compare the outputs of five draws of one shape to 1e-4, float32."""
    model, new = (made(each, 8, 16, several, torch.float32) for each in (getattr(nn, kind.__name__), kind))
    new.load_state_dict(model.state_dict())
    with torch.no_grad():
        for seed in range(5):
            inputs = drawn(model, 20, 3, 8, 16, seed, torch.float32)
            for actual, expected in zip(called(new, *inputs), called(model, *inputs), strict=True):
                torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def assert_close(kind: Any, several: bool) -> None:
    """Compare outputs and gradients of one draw by torch.testing.assert_close with its defaults, float32."""
    model, new = (made(each, 8, 16, several, torch.float32) for each in (getattr(nn, kind.__name__), kind))
    new.load_state_dict(model.state_dict())
    both = []
    for module in (model, new):
        leaves = [each.requires_grad_() for each in drawn(model, 20, 3, 8, 16, 0, torch.float32)]
        found = called(module, *leaves)
        upstream = [torch.rand(each.shape) for each in found]
        like: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}
        both.append([*found, *torch.autograd.grad(found, [*leaves, *module.parameters()], upstream, **like)])
    for actual, expected in zip(both[1], both[0], strict=True):
        torch.testing.assert_close(actual, expected)


def gradcheck(kind: Any, several: bool) -> None:
    """Compare the Jacobian with difference quotients by torch.autograd.gradcheck with its defaults, float64."""
    module = made(kind, 2, 3, several, torch.float64)
    names, parameters = zip(*module.named_parameters(), strict=True)
    inputs = drawn(module, 3, 2, 2, 3, 0, torch.float64)

    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *arguments: Any) -> Any:
            return tuple(called(self.module, *arguments))

    def f(*given: Any) -> Any:
        own = {f"module.{name}": value for name, value in zip(names, given[len(inputs) :], strict=True)}
        return functional_call(Called(), own, given[: len(inputs)])

    given = [each.detach().clone().requires_grad_() for each in (*inputs, *parameters)]
    torch.autograd.gradcheck(f, given)


def this_suite(kind: Any, several: bool) -> None:
    """Judge on every check in float64 and float32, until the first failure."""
    subject, plan = guarded(as_adapter(kind)), Plan(stacks=8, seed=0)
    for check in sorted(CHECKS, key=lambda check: (check.name == "layers") != several):
        for dtype in ("float64", "float32"):
            if failure := judge(check, subject, dtype, plan).failure:
                raise AssertionError(failure.message)


METHODS: dict[str, Subject] = {
    "KernelBench": kernelbench,
    "assert_close": assert_close,
    "gradcheck": gradcheck,
    "this suite": this_suite,
}


def rejects(method: Subject, kind: Any, several: bool) -> bool:
    """Return whether a method raises an error for a class."""
    try:
        method(kind, several)
    except Exception:
        return True
    return False


def kinds() -> list[tuple[str, str, Any]]:
    """Return the family, the name and the class of every fault."""
    return [
        (family, fault.name, getattr(patched(file, (fault.old, fault.new)), fault.kind))
        for family, (file, faults) in FAMILIES.items()
        for fault in faults
    ]


def right() -> list[tuple[str, Any]]:
    """Return the family and the class of the modules without a fault."""
    found = {(family, file, fault.kind) for family, (file, faults) in FAMILIES.items() for fault in faults}
    return [(family, getattr(patched(file), kind)) for family, file, kind in sorted(found)]


def row(head: Sequence[str], rejected: dict[str, list[bool]]) -> str:
    """Return a line of the table: how many of a list each method rejects."""
    return f"| {' | '.join([*head, *(f'{sum(found)} of {len(found)}' for found in rejected.values())])} |"


def main() -> None:
    """Run every method on every fault and on the modules without one; print the table, and the misses as progress."""
    lines = [f"| drop-ins rejected | {' | '.join(METHODS)} |", f"{'| --- ' * (1 + len(METHODS))}|"]
    total: dict[str, list[bool]] = {name: [] for name in METHODS}
    for family in FAMILIES:
        found = {}
        for name, method in METHODS.items():
            own = [
                (fault, rejects(method, kind, family == "layers")) for each, fault, kind in kinds() if each == family
            ]
            found[name] = [is_rejected for _, is_rejected in own]
            total[name] += found[name]
            sys.stderr.write(f"{family}: {name} misses {[fault for fault, is_rejected in own if not is_rejected]}\n")
        lines.append(row([f"{family}"], found))
    lines.append(row(["all"], total))
    alarms = {
        name: [rejects(method, kind, family == "layers") for family, kind in right()]
        for name, method in METHODS.items()
    }
    sys.stdout.write("\n".join([*lines, row(["modules without a fault"], alarms)]) + "\n")


if __name__ == "__main__":
    main()
