"""Run the catalogue of faults through the usual ways to check a recurrent cell, and through this suite.

    python tests/benchmarks/methods.py [--cases 50] [--seed 0] [--cells rnn lstm gru] [--methods KernelBench ...]

The script prints Markdown tables. One of each cell has the share of the faults of each family that each method catches.
The last has the share of cases in which each method raises a false alarm, for correct implementations of growing
sizes. All methods get the same cases and a perfect reference, which they seldom have in practice. An error counts as
caught only if the method accepts correct code. If a method does not apply (gradcheck in float32, NaN except in this
suite), the fault counts as not caught.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import torch
from jax import test_util

import adapters
from reference import PRECISIONS, Case, Evaluation
from reference.cells import CELLS
from reference.faults import CATALOGUE, Fault, compute
from reference.mutation_score import drawn
from reference.strategies import UNPROBED
from reference.trial import Subject, trial

# True: the method raises an error. False: it does not. None: it does not apply, or takes too long.
Method = Callable[[Subject, Case], bool | None]

# Half precisions are left out, because NumPy and the other methods have no model of accumulators.
COMPARED = ("float64", "float32")
# gradcheck runs the cell twice for every input number and once for every output number.
AFFORDABLE = 300
COMPLAINTS = (AssertionError, RuntimeError, TypeError, ValueError)
SIZES = ((4, 4), (16, 16), (64, 64), (256, 64))  # (H, T)


def complains(check: Callable[[], Any]) -> bool:
    """Return whether a check raises one of the errors of its kind."""
    try:
        check()
    except COMPLAINTS:
        return True
    return False


def pairs(subject: Subject, case: Case) -> Iterator[tuple[Any, Any]]:
    """Yield each result of a subject with the result of NumPy in the same dtype."""
    expected = compute(case).fields()
    actual = subject(case).fields()
    yield from ((actual[name], array) for name, array in expected.items() if array is not None)


def assert_close(subject: Subject, case: Case) -> bool | None:
    """Compare outputs and gradients by torch.testing.assert_close with its defaults."""

    def check() -> None:
        for actual, expected in pairs(subject, case):
            torch.testing.assert_close(torch.tensor(actual), torch.tensor(expected))

    return complains(check) if case.finite else None


def allclose(subject: Subject, case: Case) -> bool | None:
    """Compare outputs and gradients by numpy.allclose with its defaults."""

    def check() -> None:
        if not all(np.allclose(actual, expected) for actual, expected in pairs(subject, case)):
            raise AssertionError

    return complains(check) if case.finite else None


def names(case: Case) -> list[str]:
    """Return the names of the arrays that have a gradient: xs, the initial states and the parameters."""
    return [name for name in case.arrays() if not name.startswith("upstream")]


def inputs(case: Case) -> tuple[Any, ...]:
    """Return the arrays that have a gradient."""
    return tuple(case.arrays()[name] for name in names(case))


def ask(subject: Subject, case: Case, arrays: Any, upstreams: Any = None) -> Evaluation:
    """Run a subject on other numbers in the shapes of a case; the upstream gradients are of hs and, if any, of c."""
    given = dict(zip(names(case), map(np.array, arrays), strict=True))
    if upstreams is not None:
        given |= dict(zip(("upstream", "upstream_c"), map(np.array, upstreams), strict=False))
    with torch.enable_grad():
        return subject(case.replacing(**given))


def outputs(evaluation: Evaluation) -> tuple[Any, ...]:
    """Return hs and, of a cell that has one, the last c."""
    return (evaluation.hs,) if evaluation.c is None else (evaluation.hs, evaluation.c)


def gradients(case: Case, evaluation: Evaluation) -> tuple[Any, ...]:
    """Return the gradients of ``inputs``."""
    return tuple(getattr(evaluation, f"d{name}") for name in names(case))


def check_grads(subject: Subject, case: Case) -> bool | None:
    """Compare one random direction with a difference quotient, as jax's check_grads does in reverse mode."""

    def f(*arrays: Any) -> Any:
        return outputs(ask(subject, case, arrays))

    def f_vjp(*arrays: Any) -> Any:
        return f(*arrays), lambda upstreams: gradients(case, ask(subject, case, arrays, upstreams))

    check: Any = test_util.check_vjp
    with jax.enable_x64(case.dtype == "float64"):
        return complains(lambda: check(f, f_vjp, inputs(case))) if case.finite else None


class Autograd(torch.autograd.Function):
    """A subject as a function in PyTorch's autograd."""

    @staticmethod
    def forward(ctx: Any, subject: Subject, case: Case, *tensors: Any) -> Any:
        """Return the outputs."""
        ctx.asked = subject, case, [tensor.detach().numpy() for tensor in tensors]
        return tuple(map(torch.tensor, outputs(ask(*ctx.asked))))

    @staticmethod
    def backward(ctx: Any, *upstreams: Any) -> Any:
        """Return the gradients."""
        subject, case, arrays = ctx.asked
        found = ask(subject, case, arrays, [upstream.detach().numpy() for upstream in upstreams])
        return None, None, *map(torch.tensor, gradients(case, found))


def gradcheck(subject: Subject, case: Case) -> bool | None:
    """Compare the whole Jacobian with difference quotients by torch.autograd.gradcheck with its defaults."""
    if case.dtype != "float64" or not case.finite or not is_affordable(case):
        return None
    apply: Any = Autograd.apply
    tensors = [torch.tensor(array, requires_grad=True) for array in inputs(case)]
    return complains(lambda: torch.autograd.gradcheck(lambda *given: apply(subject, case, *given), tensors))


def sum_of_h(subject: Subject, case: Case) -> bool | None:
    """Compare the gradients of sum(h) after one step by torch.testing.assert_close with its defaults."""
    step = case.replacing(xs=case.xs[:1], upstream=np.ones_like(case.upstream[:1]), finite=False)
    step = step if case.upstream_c is None else step.replacing(upstream_c=0 * case.upstream_c)
    expected_gradients = gradients(step, compute(step))

    def check() -> None:
        for actual, expected in zip(gradients(step, subject(step)), expected_gradients, strict=True):
            torch.testing.assert_close(torch.tensor(actual), torch.tensor(expected))

    return complains(check) if case.finite else None


def constant(case: Case, T: int, D: int, H: int, b: float = 0.0) -> Case:
    """Return a case of this cell with weights of 0.1, inputs that count up, and states of zeros."""
    found = Case.random(T, 3, D, H, dtype=case.dtype, cell=case.cell, nonlinearity=case.nonlinearity)
    given = {name: np.full_like(array, {"W": 0.1, "b": b}.get(name[0], 0.0)) for name, array in found.arrays().items()}
    return found.replacing(**given | {"xs": np.arange(1, 1 + found.xs.size, dtype=case.dtype).reshape(found.xs.shape)})


def constant_weights(subject: Subject, case: Case) -> bool | None:
    """Compare the last state under weights of 0.1 from h0 = 0 to 1e-3, as ONNX's simple_rnn_defaults does."""
    given = constant(case, 1, 2, 4)  # the numbers of the case are not used
    expected = compute(given).hs[-1]
    return complains(lambda: np.testing.assert_allclose(subject(given).hs[-1], expected, rtol=1e-3))


def node_tests(subject: Subject, case: Case) -> bool | None:
    """Compare the last state of three fixed cases to rtol=1e-3, atol=1e-7, as the node tests of ONNX do.

    Source: onnx/backend/test/case/node/rnn.py: simple_rnn_defaults, _with_initial_bias and rnn_seq_length; likewise
        lstm.py and gru.py.
    """
    like: dict[str, Any] = {"dtype": case.dtype, "cell": case.cell, "nonlinearity": case.nonlinearity}
    drawn = Case.random(2, 3, 3, 5, seed=0, **like)
    drawn = drawn.replacing(h0=0 * drawn.h0) if drawn.c0 is None else drawn.replacing(h0=0 * drawn.h0, c0=0 * drawn.c0)

    def check() -> None:
        for given in (constant(case, 1, 2, 4), constant(case, 1, 3, 5, b=0.1), drawn):
            expected = compute(given).hs[-1]
            np.testing.assert_allclose(subject(given.map(np.array)).hs[-1], expected, rtol=1e-3, atol=1e-7)

    return complains(check)


def five_draws(subject: Subject, case: Case) -> bool | None:
    """Compare the outputs of five draws of one shape to rtol = atol = 1e-4, as KernelBench does in float32."""
    like: dict[str, Any] = {"dtype": case.dtype, "cell": case.cell, "nonlinearity": case.nonlinearity}

    def check() -> None:
        for seed in range(5):
            given = Case.random(seed=seed, **like)
            for actual, expected in zip(outputs(subject(given)), outputs(compute(given)), strict=True):
                torch.testing.assert_close(torch.tensor(actual), torch.tensor(expected), rtol=1e-4, atol=1e-4)

    return complains(check)


def this_suite(subject: Subject, case: Case) -> bool | None:
    """Judge by the certificate, with the probe and, for few steps, also without it, as for drawn cases."""
    forms = [case.probed()] * (case.sizes["T"] > 1) + [case] * (case.sizes["T"] <= UNPROBED)

    def check() -> None:
        for form in forms:
            if trial(subject, form, PRECISIONS[case.dtype].with_tanh(8), repeat=True).status == "fail":
                raise AssertionError

    return complains(check)


# Methods with cases of their own: of a given case they use the cell, the nonlinearity and the dtype.
FIXED = (constant_weights, node_tests, five_draws)
METHODS: dict[str, Method] = {
    "constant weights": constant_weights,
    "ONNX node tests": node_tests,
    "KernelBench": five_draws,
    "sum(h), T = 1": sum_of_h,
    "check_grads": check_grads,
    "gradcheck": gradcheck,
    "numpy.allclose": allclose,
    "assert_close": assert_close,
    "this suite": this_suite,
}


def is_affordable(case: Case) -> bool:
    """Return whether a case is small enough for gradcheck."""
    return bool(case.upstream.size + sum(array.size for array in inputs(case)) <= AFFORDABLE)


def shared(cell: str, dtype: str, seed: int, count: int) -> list[Case]:
    """Return the cases of the strategy of the suite: as many as asked for that gradcheck can afford, and larger ones.

    The larger cases are those among the first ``count``.
    """
    singles = [case[0].unprobed() for case in drawn(dtype, seed, 20 * count, cell=cell)]
    small = [case for case in singles if is_affordable(case)][:count]
    return small + [case for case in singles[:count] if not is_affordable(case)]


def catches(method: Method, fault: Fault, cell: str, cases: dict[str, list[Case]]) -> bool:
    """Return whether a method catches a fault in any case: this suite in every precision, other methods in one."""
    found = []
    for dtype in (dtype for dtype in COMPARED if dtype not in fault.hidden_in(cell)):
        subject = fault.subject()
        found.append(any(method(subject, case.map(np.array)) for case in cases[dtype]))
    return all(found) if method is this_suite else any(found)


def caught_by(method: Method, cell: str, seed: int, count: int) -> list[str]:
    """Return the names of the faults of a cell that a method catches, and print the missed faults as progress."""
    started, faults = time.perf_counter(), CATALOGUE[cell]
    every = {dtype: shared(cell, dtype, seed, count) for dtype in COMPARED}
    cases = {dtype: [case for case in found if not method(compute, case)] for dtype, found in every.items()}
    if method in FIXED:
        cases = {dtype: list({case.nonlinearity: case for case in found}.values()) for dtype, found in cases.items()}
    caught = [fault.name for fault in faults.values() if catches(method, fault, cell, cases)]
    missed = ", ".join(name for name in faults if name not in caught)
    sys.stderr.write(f"{cell}: {method.__name__}, {time.perf_counter() - started:.0f} s, content with correct code in ")
    sys.stderr.write(f"{[len(found) for found in cases.values()]} cases; misses {missed or 'none'}\n")
    return caught


def of_families(cell: str, methods: Mapping[str, Method], seed: int, count: int) -> str:
    """Return the table of the faults of a cell that each method catches, by family."""
    caught, faults = {name: caught_by(method, cell, seed, count) for name, method in methods.items()}, CATALOGUE[cell]
    families = {
        fault.family: [one for one in faults.values() if one.family == fault.family] for fault in faults.values()
    }
    families[f"all {len(faults)}"] = list(faults.values())
    rows = [
        [family, *(f"{sum(fault.name in caught[m] for fault in members) / len(members):.0%}" for m in methods)]
        for family, members in families.items()
    ]
    return table([f"faults of the {cell}", *methods], rows)


def alarms(method: Method, H: int, T: int, seed: int) -> str:
    """Return the number of cases in which a method raises an error for correct code of PyTorch and JAX."""
    dtype = "float64" if method is gradcheck else "float32"
    found = []
    for subject in (*adapters.load("torch.RNN"), *adapters.load("jax.scan")):
        for norm in (1.0, 2.0):
            for k in range(3):
                case = Case.random(T, 8, 2 if H < 16 else 16, H, seed=seed + k, dtype=dtype, norm=norm)
                found.append(method(subject, case))
    return "-" if None in found else f"{sum(map(bool, found))} of {len(found)}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def main() -> None:
    """Run everything and print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50, help="cases before which a fault has to show")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=["rnn", "lstm", "gru"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    arguments = parser.parse_args()
    methods = {name: METHODS[name] for name in arguments.methods}
    for cell in arguments.cells:
        sys.stdout.write(of_families(cell, methods, arguments.seed, arguments.cases) + "\n\n")
        sys.stdout.flush()
    grown = [
        [f"H = {H}, T = {T}", *(alarms(method, H, T, arguments.seed) for method in methods.values())] for H, T in SIZES
    ]
    sys.stdout.write(table(["false alarms", *methods], grown) + "\n")


if __name__ == "__main__":
    main()
