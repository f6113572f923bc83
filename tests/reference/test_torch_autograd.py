"""The oracle against automatic differentiation in float64, with formulas that are independent of the oracle."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from reference import PRECISIONS, Case, Evaluation, certify, evaluate
from reference.strategies import cases, shapes

torch = pytest.importorskip("torch")

SMALL = shapes(lengths=(3, 1, 2, 5, 20), batches=(2, 1, 3))
Forward = Callable[[Case, dict[str, Any]], Any]


def composed(case: Case, leaves: dict[str, Any]) -> Any:
    """Return all states of the formula, written in torch."""
    f = {"tanh": torch.tanh, "relu": torch.relu}[case.nonlinearity]
    h, hs = leaves["h0"], []
    for x in leaves["xs"]:
        a = torch.matmul(h, leaves["Wh"]) + torch.matmul(x, leaves["Wx"])
        h = f(a + leaves["b"] if "b" in leaves else a)
        hs.append(h)
    return torch.stack(hs)


def module(case: Case, leaves: dict[str, Any]) -> Any:
    """Return all states of ``nn.RNN`` with these weights; each of its two biases is half of b."""
    D, H = leaves["Wx"].shape
    rnn = torch.nn.RNN(D, H, nonlinearity=case.nonlinearity, bias="b" in leaves, dtype=torch.float64)
    weights = {"weight_ih_l0": leaves["Wx"].mT, "weight_hh_l0": leaves["Wh"].mT}
    if "b" in leaves:
        weights |= {"bias_ih_l0": leaves["b"] / 2, "bias_hh_l0": leaves["b"] / 2}
    return torch.func.functional_call(rnn, weights, (leaves["xs"], leaves["h0"][None]))[0]


def by_autograd(forward: Forward, case: Case) -> Evaluation:
    arrays = {name: case.fields()[name] for name in ("xs", "h0", "Wx", "Wh", "b") if case.fields()[name] is not None}
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    hs = forward(case, leaves)
    gradients = torch.autograd.grad(hs, list(leaves.values()), torch.tensor(case.upstream))
    return Evaluation(*(tensor.detach().numpy() for tensor in (hs, *gradients)))


@pytest.mark.parametrize("forward", [composed, module])
@given(stack=cases(shape=SMALL, stack=3))
def test_automatic_differentiation_is_within_the_bounds(forward: Forward, stack: Case) -> None:
    found = Evaluation.stack([by_autograd(forward, stack[k]) for k in range(3)])
    certify(stack, found, PRECISIONS["float64"]).require(forward.__name__)


@pytest.mark.parametrize("forward", [composed, module])
@given(stack=cases(shape=SMALL, stack=1, norms=(0.5, 1.0)))
def test_automatic_differentiation_is_the_oracle_through_all_steps(
    forward: Forward, stack: Case, bounds_of: Any, within: Any
) -> None:
    case = stack[0].unprobed()
    within(by_autograd(forward, case), bounds_of(case))
    within(evaluate(case), bounds_of(case))


@pytest.mark.parametrize("forward", [composed, module])
def test_a_transposed_weight_fails(forward: Forward) -> None:
    case = Case.random().probed()
    wrong = replace(case, params=replace(case.params, Wh=case.params.Wh.T))
    verdict = certify(case, by_autograd(forward, wrong), PRECISIONS["float64"])
    assert verdict.status == "fail"
    assert min(verdict.worst[name].ratio for name in ("h", "dx", "dh0")) > 1


def test_derivative_of_relu_at_zero_is_that_of_torch() -> None:
    case = Case.random(T=1, nonlinearity="relu")
    zero = case.map(np.zeros_like)
    zero = replace(zero, params=replace(zero.params, Wx=case.params.Wx), upstream=case.upstream)
    assert not by_autograd(composed, zero).dxs.any()
    assert not evaluate(zero).dxs.any()


def gated(case: Case, leaves: dict[str, Any]) -> tuple[Any, Any]:
    """Return all outputs of a gated cell, and its last c, as one writes it in torch."""
    h, c, hs, s = leaves["h0"], leaves.get("c0"), [], torch.sigmoid
    Wx, Wh, b, H = leaves["Wx"], leaves["Wh"], leaves.get("b", 0.0), case.sizes["H"]
    for x in leaves["xs"]:
        u, v = x @ Wx + b, h @ Wh
        if case.cell == "lstm":
            i, f, g, o = (u + v).split(H, -1)
            c = s(f) * c + s(i) * torch.tanh(g)
            h = s(o) * torch.tanh(c)
        else:
            r, z = s(u + v)[..., : 2 * H].split(H, -1)
            v_n = (
                (r * h) @ Wh[:, 2 * H :]
                if case.cell == "gru_reset_before"
                else r * (v[..., 2 * H :] + leaves.get("bn", 0.0))
            )
            n = torch.tanh(u[..., 2 * H :] + v_n)
            h = n + z * (h - n)
        hs.append(h)
    return torch.stack(hs), c


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_automatic_differentiation_of_gated_cells_is_the_oracle(
    cell: str, bias: bool, seed: int, bounds_of: Any, within: Any
) -> None:
    case = Case.random(T=4, N=3, D=2, H=3, cell=cell, bias=bias, seed=seed)
    leaves = {
        name: torch.tensor(array, requires_grad=True)
        for name, array in case.arrays().items()
        if not name.startswith("upstream")
    }
    hs, c = gated(case, leaves)
    loss = (hs * torch.tensor(case.upstream)).sum()
    if c is not None:
        loss = loss + (c * torch.tensor(case.upstream_c)).sum()
    gradients = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    found = {f"d{name}": gradient.numpy() for name, gradient in gradients.items()} | {"hs": hs.detach().numpy()}
    found |= {} if c is None else {"c": c.detach().numpy()}
    within(Evaluation(**found), bounds_of(case))
    probed = case.probed()
    assert evaluate(probed).present().keys() == found.keys()
