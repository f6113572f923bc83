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
