"""Run the catalogue of faults through the usual ways to check a recurrent cell, and through this suite.

    python tests/benchmarks/methods.py [--cases 50] [--seed 0]

The script prints two Markdown tables. The first has the share of the faults of each family that each method catches.
The second has the share of cases in which each method raises a false alarm, for correct implementations of growing
sizes. All methods get the same cases and a perfect reference, which they seldom have in practice. An error counts as
caught only if the method accepts correct code. If a method does not apply (gradcheck in float32, NaN except in this
suite), the fault counts as not caught.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import torch
from jax import test_util

import adapters
from reference import PRECISIONS, Case, Evaluation, Params
from reference.faults import FAMILIES, FAULTS, Fault, compute
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


def inputs(case: Case) -> tuple[Any, ...]:
    """Return xs, h0, Wx, Wh and, if there is a bias, b."""
    return tuple(array for array in (case.xs, case.h0, *case.params.fields().values()) if array is not None)


def ask(subject: Subject, case: Case, arrays: Any, upstream: Any = None) -> Evaluation:
    """Run a subject on other numbers in the shapes of a case."""
    xs, h0, *params = (np.array(array) for array in arrays)
    upstream = case.upstream if upstream is None else np.array(upstream)
    weights: dict[str, Any] = dict(zip(("Wx", "Wh", "b"), params, strict=False))
    with torch.enable_grad():
        return subject(Case(xs, h0, Params(**weights), upstream, case.nonlinearity))


def gradients(evaluation: Evaluation) -> tuple[Any, ...]:
    """Return dxs, dh0, dWx, dWh and, if there is a bias, db."""
    return tuple(array for name, array in evaluation.fields().items() if name != "hs" and array is not None)


def check_grads(subject: Subject, case: Case) -> bool | None:
    """Compare one random direction with a difference quotient, as jax's check_grads does in reverse mode."""

    def f(*arrays: Any) -> Any:
        return ask(subject, case, arrays).hs

    def f_vjp(*arrays: Any) -> Any:
        return f(*arrays), lambda upstream: gradients(ask(subject, case, arrays, upstream))

    check: Any = test_util.check_vjp
    with jax.enable_x64(case.dtype == "float64"):
        return complains(lambda: check(f, f_vjp, inputs(case))) if case.finite else None


class Autograd(torch.autograd.Function):
    """A subject as a function in PyTorch's autograd."""

    @staticmethod
    def forward(ctx: Any, subject: Subject, case: Case, *tensors: Any) -> Any:
        """Return the states."""
        ctx.asked = subject, case, [tensor.detach().numpy() for tensor in tensors]
        return torch.tensor(ask(*ctx.asked).hs)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        """Return the gradients."""
        subject, case, arrays = ctx.asked
        return None, None, *map(torch.tensor, gradients(ask(subject, case, arrays, upstream.detach().numpy())))


def gradcheck(subject: Subject, case: Case) -> bool | None:
    """Compare the whole Jacobian with difference quotients by torch.autograd.gradcheck with its defaults."""
    if (
        case.dtype != "float64"
        or not case.finite
        or case.upstream.size + sum(a.size for a in inputs(case)) > AFFORDABLE
    ):
        return None
    apply: Any = Autograd.apply
    tensors = [torch.tensor(array, requires_grad=True) for array in inputs(case)]
    return complains(lambda: torch.autograd.gradcheck(lambda *given: apply(subject, case, *given), tensors))


def sum_of_h(subject: Subject, case: Case) -> bool | None:
    """Compare the gradients of sum(h) after one step by torch.testing.assert_close with its defaults."""
    step = Case(case.xs[:1], case.h0, case.params, np.ones_like(case.upstream[:1]), case.nonlinearity, finite=False)

    expected_gradients = gradients(compute(step))

    def check() -> None:
        for actual, expected in zip(gradients(subject(step)), expected_gradients, strict=True):
            torch.testing.assert_close(torch.tensor(actual), torch.tensor(expected))

    return complains(check) if case.finite else None


def constant_weights(subject: Subject, case: Case) -> bool | None:
    """Compare the last state under weights of 0.1 from h0 = 0 to 1e-3, as ONNX's simple_rnn_defaults does."""
    N, D, H = 3, 2, 4
    Wx, Wh = (np.full(shape, 0.1, case.dtype) for shape in ((D, H), (H, H)))
    xs = np.arange(1, 1 + N * D, dtype=case.dtype).reshape(1, N, D)
    h0 = np.zeros((N, H), case.dtype)
    given = Case(xs, h0, Params(Wx, Wh, np.zeros(H, case.dtype)), np.ones_like(h0[None]), case.nonlinearity)
    expected = compute(given).hs[-1]  # the numbers of the case are not used
    return complains(lambda: np.testing.assert_allclose(subject(given).hs[-1], expected, rtol=1e-3))


def this_suite(subject: Subject, case: Case) -> bool | None:
    """Judge by the certificate, with the probe and, for few steps, also without it, as for drawn cases."""
    forms = [case.probed()] * (case.sizes["T"] > 1) + [case] * (case.sizes["T"] <= UNPROBED)

    def check() -> None:
        for form in forms:
            if trial(subject, form, PRECISIONS[case.dtype].with_tanh(8), repeat=True).status == "fail":
                raise AssertionError

    return complains(check)


METHODS: dict[str, Method] = {
    "constant weights": constant_weights,
    "sum(h), T = 1": sum_of_h,
    "check_grads": check_grads,
    "gradcheck": gradcheck,
    "numpy.allclose": allclose,
    "assert_close": assert_close,
    "this suite": this_suite,
}


def affordable(dtype: str, seed: int, count: int) -> list[Case]:
    """Return the first cases of the strategy of the suite that are small enough for every method."""
    singles = (case[0].unprobed() for case in drawn(dtype, seed, 20 * count))
    return [c for c in singles if c.upstream.size + sum(a.size for a in inputs(c)) <= AFFORDABLE][:count]


def catches(method: Method, fault: Fault, cases: dict[str, list[Case]]) -> bool:
    """Return whether a method catches a fault in any case: this suite in every precision, other methods in one."""
    found = []
    for dtype in (dtype for dtype in COMPARED if dtype in fault.precisions):
        subject = fault.subject()
        found.append(any(method(subject, case.map(np.array)) for case in cases[dtype]))
    return all(found) if method is this_suite else any(found)


def caught_by(method: Method, seed: int, count: int) -> list[str]:
    """Return the names of the faults that a method catches, and print the missed faults as progress."""
    started = time.perf_counter()
    cases = {dtype: [c for c in affordable(dtype, seed, count) if not method(compute, c)] for dtype in COMPARED}
    caught = [fault.name for fault in FAULTS.values() if catches(method, fault, cases)]
    missed = ", ".join(name for name in FAULTS if name not in caught)
    sys.stderr.write(f"{method.__name__}, {time.perf_counter() - started:.0f} s, content with correct code in ")
    sys.stderr.write(f"{[len(found) for found in cases.values()]} cases; misses {missed or 'none'}\n")
    return caught


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
    """Run everything and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50, help="cases before which a fault has to show")
    parser.add_argument("--seed", type=int, default=0)
    arguments, started = parser.parse_args(), time.perf_counter()
    caught = {name: caught_by(method, arguments.seed, arguments.cases) for name, method in METHODS.items()}
    rows = [
        [family, *(f"{sum(fault.name in caught[m] for fault in faults) / len(faults):.0%}" for m in METHODS)]
        for family, faults in FAMILIES.items()
    ]
    rows.append([f"all {len(FAULTS)}", *(f"{len(caught[m]) / len(FAULTS):.0%}" for m in METHODS)])
    grown = [
        [f"H = {H}, T = {T}", *(alarms(method, H, T, arguments.seed) for method in METHODS.values())] for H, T in SIZES
    ]
    tables = [table(["faults caught", *METHODS], rows), table(["false alarms", *METHODS], grown)]
    seconds = f"{arguments.cases} cases, seed {arguments.seed}, {time.perf_counter() - started:.0f} s"
    sys.stdout.write("\n\n".join([*tables, seconds]) + "\n")


if __name__ == "__main__":
    main()
