"""Put the catalogue of faults before the ways in which people check a recurrent cell today, and before this suite.

    python tests/benchmarks/methods.py [--cases 50] [--seed 0]

Prints two Markdown tables: the share of each family's faults that each method catches, and the share of cases in which
each raises an alarm at correct implementations as these grow. All methods get the same cases and a perfect reference,
which outside of this comparison they seldom have. A complaint counts where the method is content with correct code.
Where a method cannot be asked (gradcheck in float32, NaN for all but this suite), the fault counts as not caught.
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
from reference.trial import Subject, trial

# True: it complains. False: it does not. None: it cannot be asked, or not in reasonable time.
Method = Callable[[Subject, Case], bool | None]

# In the half precisions, NumPy and the other methods know nothing of accumulators.
COMPARED = ("float64", "float32")
# gradcheck runs the cell twice for every input number and once for every output number.
AFFORDABLE = 300
COMPLAINTS = (AssertionError, RuntimeError, TypeError, ValueError)
SIZES = ((4, 4), (16, 16), (64, 64), (256, 64))  # (H, T)


def complains(check: Callable[[], Any]) -> bool:
    """Tell whether a check raises one of the errors by which its kind speaks."""
    try:
        check()
    except COMPLAINTS:
        return True
    return False


def pairs(subject: Subject, case: Case) -> Iterator[tuple[Any, Any]]:
    """Yield each result of a subject with what NumPy computes in the same dtype."""
    want = compute(case).fields()
    got = subject(case).fields()
    yield from ((got[name], array) for name, array in want.items() if array is not None)


def assert_close(subject: Subject, case: Case) -> bool | None:
    """Compare outputs and gradients by torch.testing.assert_close with its defaults."""

    def check() -> None:
        for got, want in pairs(subject, case):
            torch.testing.assert_close(torch.tensor(got), torch.tensor(want))

    return complains(check) if case.finite else None


def allclose(subject: Subject, case: Case) -> bool | None:
    """Compare outputs and gradients by numpy.allclose with its defaults."""

    def check() -> None:
        if not all(np.allclose(got, want) for got, want in pairs(subject, case)):
            raise AssertionError

    return complains(check) if case.finite else None


def inputs(case: Case) -> tuple[Any, ...]:
    """Return xs, h0, Wx, Wh and, if there is one, b."""
    return tuple(array for array in (case.xs, case.h0, *case.params.fields().values()) if array is not None)


def ask(subject: Subject, case: Case, arrays: Any, upstream: Any = None) -> Evaluation:
    """Ask a subject about other numbers in the shapes of a case."""
    xs, h0, *params = (np.array(array) for array in arrays)
    upstream = case.upstream if upstream is None else np.array(upstream)
    weights: dict[str, Any] = dict(zip(("Wx", "Wh", "b"), params, strict=False))
    with torch.enable_grad():
        return subject(Case(xs, h0, Params(**weights), upstream, case.nonlinearity))


def gradients(evaluation: Evaluation) -> tuple[Any, ...]:
    """Return dxs, dh0, dWx, dWh and, if there is one, db."""
    return tuple(array for name, array in evaluation.fields().items() if name != "hs" and array is not None)


def check_grads(subject: Subject, case: Case) -> bool | None:
    """Compare one random direction with a difference quotient by what jax's check_grads does in reverse mode."""

    def f(*arrays: Any) -> Any:
        return ask(subject, case, arrays).hs

    def f_vjp(*arrays: Any) -> Any:
        return f(*arrays), lambda upstream: gradients(ask(subject, case, arrays, upstream))

    check: Any = test_util.check_vjp
    with jax.enable_x64(case.dtype == "float64"):
        return complains(lambda: check(f, f_vjp, inputs(case))) if case.finite else None


class Autograd(torch.autograd.Function):
    """A subject as PyTorch sees one's own function."""

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

    wanted = gradients(compute(step))

    def check() -> None:
        for got, want in zip(gradients(subject(step)), wanted, strict=True):
            torch.testing.assert_close(torch.tensor(got), torch.tensor(want))

    return complains(check) if case.finite else None


def constant_weights(subject: Subject, case: Case) -> bool | None:
    """Compare the last state under weights of 0.1 from h0 = 0 to 1e-3, as ONNX's simple_rnn_defaults does."""
    N, D, H = 3, 2, 4
    Wx, Wh = (np.full(shape, 0.1, case.dtype) for shape in ((D, H), (H, H)))
    xs = np.arange(1, 1 + N * D, dtype=case.dtype).reshape(1, N, D)
    h0 = np.zeros((N, H), case.dtype)
    given = Case(xs, h0, Params(Wx, Wh, np.zeros(H, case.dtype)), np.ones_like(h0[None]), case.nonlinearity)
    want = compute(given).hs[-1]  # the case's own numbers play no part
    return complains(lambda: np.testing.assert_allclose(subject(given).hs[-1], want, rtol=1e-3))


def this_suite(subject: Subject, case: Case) -> bool | None:
    """Judge by the certificate."""
    probed = case.probed() if case.sizes["T"] > 1 else case

    def check() -> None:
        if trial(subject, probed, PRECISIONS[case.dtype].with_tanh(8), repeat=True).status == "fail":
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
    """Return the first cases of the suite's own strategy that are small enough for every method."""
    singles = (case[0].unprobed() for case in drawn(dtype, seed, 20 * count))
    return [c for c in singles if c.upstream.size + sum(a.size for a in inputs(c)) <= AFFORDABLE][:count]


def catches(method: Method, fault: Fault, cases: dict[str, list[Case]]) -> bool:
    """Tell whether a method complains about a fault in any case: this suite in every precision, others in one."""
    found = []
    for dtype in (dtype for dtype in COMPARED if dtype in fault.precisions):
        subject = fault.subject()
        found.append(any(method(subject, case.map(np.array)) for case in cases[dtype]))
    return all(found) if method is this_suite else any(found)


def caught_by(method: Method, seed: int, count: int) -> list[str]:
    """Return the names of the faults that a method tells from correct code, and report the others as progress."""
    started = time.perf_counter()
    cases = {dtype: [c for c in affordable(dtype, seed, count) if not method(compute, c)] for dtype in COMPARED}
    caught = [fault.name for fault in FAULTS.values() if catches(method, fault, cases)]
    missed = ", ".join(name for name in FAULTS if name not in caught)
    sys.stderr.write(f"{method.__name__}, {time.perf_counter() - started:.0f} s, content with correct code in ")
    sys.stderr.write(f"{[len(found) for found in cases.values()]} cases; misses {missed or 'none'}\n")
    return caught


def alarms(method: Method, H: int, T: int, seed: int) -> str:
    """Return in how many cases a method complains about the correct implementations of PyTorch and JAX."""
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
