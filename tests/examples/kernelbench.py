"""Judge a solution in KernelBench's format for a recurrent problem: outputs and gradients, on drawn shapes and weights.

python kernelbench.py problem.py solution.py

The problem defines ``Model``, ``get_inputs`` and ``get_init_inputs``, the solution ``ModelNew``. Model has one
``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``, and perhaps a linear layer after it. Weights are copied by name. KernelBench's
own check compares the outputs of five draws of one shape. Its result is printed beside the one of this suite.
"""

from __future__ import annotations

import inspect
import itertools
import runpy
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from adapters import LayersWay
from adapters.layout import layouts
from adapters.torch import as_array, as_tensor
from reference import LayersCase, Mismatch
from reference.certify_layers import certify_layers
from reference.layers import evaluate_layers
from reference.trial import bits_of

KINDS = {nn.RNN: "rnn", nn.LSTM: "lstm", nn.GRU: "gru"}
SHAPES = [*itertools.product((1, 2), (1, 2, 3, 7, 12), (1, 3), (2, 5), (4, 6))][::3]  # layers, T, N, D, H
CASES = 2  # of each shape


class Problem:
    """How the modules of a problem are made, and what they return: "hs", "last" (step of hs), "hn" or "cn".

    Raises:
        ValueError: Model has no recurrent layer of PyTorch, or several, or returns none of its results.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.Model, self.inputs, self.init = names["Model"], names["get_inputs"], names["get_init_inputs"]()
        found = [(name, each) for name, each in self.Model(*self.init).named_modules() if type(each) in KINDS]
        if len(found) != 1:
            raise ValueError(f"kernelbench: expected a Model with one layer of torch.nn, got {len(found)}")
        self.name, self.layer = found[0]
        self.cell, self.directions = KINDS[type(self.layer)], 1 + self.layer.bidirectional
        self.places = next(one.places for one in layouts("torch").values() if one.cell == self.cell)
        self.returned = self.part(self.drawn((self.layer.num_layers, 3, 2, 4, 5), 0))

    def drawn(self, shape: tuple[int, ...], seed: int) -> LayersCase:
        """Return a case of a shape."""
        layers, *sizes = shape
        like: dict[str, Any] = {"layers": layers, "directions": self.directions, "bias": self.layer.bias, "norm": 0.9}
        return LayersCase.random(*sizes, seed=seed, cell=self.cell, dtype="float32", **like)

    def asked(self, case: LayersCase) -> LayersCase:
        """Return a case with an upstream gradient at the returned part alone."""
        given = {name: 0 * array for name, array in case.arrays().items() if name.startswith("upstream")}
        kept = f"upstream_{self.returned}" if self.returned in ("hn", "cn") else "upstream"
        given[kept] = np.array(case.arrays()[kept])
        given[kept][: -1 if self.returned == "last" else 0] = 0
        return case.replacing(**given)

    def made(self, kind: Any, case: LayersCase) -> Any:
        """Return a module of the sizes of a case."""
        given = inspect.signature(self.Model).bind(*self.init).arguments
        own = {"input_size": case.sizes["D"], "hidden_size": case.sizes["H"], "num_layers": case.layers}
        own["output_size"] = self.directions * case.sizes["H"]
        return kind(**given | {name: value for name, value in own.items() if name in given})

    def time_first(self, output: Any) -> Any:
        """Return an output of all steps with the time first."""
        return output.transpose(0, 1) if self.layer.batch_first and self.returned == "hs" else output

    def called(self, module: Any, weights: Any, xs: Any, states: Any) -> tuple[Any, dict[str, Any], list[Any]]:
        """Return what a module returns, its parameters, and xs and the states as leaves. A head is the identity."""
        own = {name.removeprefix(f"{self.name}."): parameter for name, parameter in module.named_parameters()}
        with torch.no_grad():
            for name, parameter in own.items():
                given = as_tensor(weights[name]) if name in weights else torch.zeros(parameter.shape)
                parameter.copy_(torch.eye(len(parameter)) if name not in weights and parameter.ndim == 2 else given)
        leaves = [as_tensor(array).requires_grad_() for array in (xs, *states)]
        x = leaves[0].transpose(0, 1) if self.layer.batch_first else leaves[0]
        return module(x, *leaves[1:]), {name: own[name] for name in weights}, leaves

    def run(self, module: Any, cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
        """Run and differentiate, as of ``LayersWay``; results that the module does not return are the oracle's."""
        output, own, leaves = self.called(module, weights, xs, states)
        parts = dict(zip(("hs", "hn", "cn"), upstream, strict=False)) | {"last": upstream[0][-1]}
        like: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}
        given = as_tensor(np.array(parts[self.returned]))
        found = torch.autograd.grad(self.time_first(output), [*leaves, *own.values()], given, **like)
        dxs, *others = map(as_array, found)
        oracle = evaluate_layers(case).astype("float32").present()
        outputs: dict[str, Any] = {name: np.array(oracle[name]) for name in ("hs", "hn", "cn") if name in oracle}
        (outputs["hs"][-1:] if self.returned == "last" else outputs[self.returned])[...] = as_array(
            self.time_first(output)
        )
        count = len(states)
        return (*outputs.values(),), (dict(zip(own, others[count:], strict=True)), dxs, others[:count])

    def part(self, case: LayersCase) -> str:
        """Return which of the layer's results Model returns."""
        module, held = self.made(self.Model, case), dict[str, Any]()
        module.get_submodule(self.name).register_forward_hook(lambda *found: held.update(found=found[-1]))
        found: dict[str, Any] = {}

        def run(cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
            output, *_ = self.called(module, weights, xs, states)
            hs, last = held["found"]
            parts = {"hs": hs, "last": hs[:, -1] if self.layer.batch_first else hs[-1]}
            parts |= dict(zip(("hn", "cn"), last if isinstance(last, tuple) else (last,), strict=False))
            found.update({name: one for name, one in parts.items() if torch.equal(one, output)})
            return (xs, *states), None

        LayersWay({self.cell: self.places}, run, self.cell)(case)
        if not found:
            raise ValueError(f"kernelbench: expected a Model that returns a result of its {self.cell}, got another")
        return next(iter(found))

    def judge(self, solution: Any, shape: tuple[int, ...], seed: int) -> None:
        """Judge one module on several cases of a shape, so that numbers that it remembers show.

        Raises:
            Mismatch: an element is outside its bound, or a second call returned other bits.
        """
        cases = [self.asked(self.drawn(shape, CASES * seed + k)) for k in range(CASES)]
        way = LayersWay({self.cell: self.places}, partial(self.run, self.made(solution, cases[0])), self.cell)
        for case in cases:
            answer = way(case)
            certify_layers(case, answer, "float32").require("ModelNew")
            if bits_of(way(case)) != bits_of(answer):
                raise Mismatch(f"ModelNew: expected the same bits from two equal calls, got others ({case.spelled})")


def by_kernelbench(problem: Problem, solution: Any) -> bool:
    """Return whether the outputs of five draws of the benchmark's shape agree to 1e-4."""
    model, new = problem.Model(*problem.init), solution(*problem.init)
    new.load_state_dict(model.state_dict())
    for seed in range(5):
        torch.manual_seed(seed)
        inputs = problem.inputs()
        with torch.no_grad():
            expected, found = (module(*(each.clone() for each in inputs)) for module in (model, new))
        if expected.shape != found.shape or not torch.allclose(expected, found, rtol=1e-4, atol=1e-4):
            return False
    return True


@contextmanager
def recorded(*kinds: Any) -> Iterator[list[Any]]:
    """Yield mocks of the ``forward`` of some classes, each of which calls the original."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(mock.patch.object(kind, "forward", autospec=True, side_effect=kind.forward))
            for kind in kinds
        ]


def report(problem: Problem, solution: Any) -> list[str]:
    """Return both verdicts, and what neither of them can decide."""
    theirs, ours = "correct" if by_kernelbench(problem, solution) else "wrong", "right"
    kinds = (problem.Model, *KINDS)
    with recorded(*kinds) as mocks:
        try:
            for seed, shape in enumerate(SHAPES):
                problem.judge(solution, shape, seed)
        except Exception as error:
            ours = f"wrong\n{type(error).__name__}: {error}"
        called = [kind.__name__ for kind, each in zip(kinds, mocks, strict=True) if each.called]
    shapes = ", ".join(str(tuple(each.shape)) for each in problem.inputs())
    return [
        f"KernelBench, outputs of 5 draws of one shape, to 1e-4: {theirs}",
        f"this suite, outputs and gradients of {CASES * len(SHAPES)} cases, to derived bounds: {ours}",
        *[f"ModelNew calls the original, {', '.join(called)}: nothing was judged that it computes."] * bool(called),
        f"Not judged: the gradients at the benchmark's own shape, {shapes}. ModelNew may have other code for it.",
    ]


if __name__ == "__main__":
    problem, solution = (runpy.run_path(path) for path in sys.argv[1:3])
    print("\n".join(report(Problem(problem), solution["ModelNew"])))
