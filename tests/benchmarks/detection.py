"""Time until a fault is detected, from a cold start: by this suite, by a usual property-based test, by differences.

    python -m tests.benchmarks.detection [--cells rnn lstm] [--every 1]

Each fault of the catalogue is made around a way of PyTorch and of JAX. A fault inside a layer is made in the reference.
Times are those of the processor, and the table has their ratios. A method that never fails on a fault has no time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis
import jax
import numpy as np
from hypothesis import strategies as st

import adapters
from adapters import Adapter
from adapters.conformance import STACKS
from adapters.conformance.advice import advising
from adapters.conformance.checks import CHECKS, Plan, quiet
from adapters.conformance.contract import guarded
from adapters.conformance.report import Result
from reference import Case, evaluate
from reference.cells import CELLS
from reference.faults import CATALOGUE, Fault
from reference.trial import Subject
from tests.benchmarks.methods import check_grads, gradcheck
from tests.benchmarks.timing import Table

WAYS = {"rnn": ("torch.RNN", "jax.scan"), "lstm": ("torch.LSTM", "jax.lstm.scan")}
# Examples of a property-based test, which is Hypothesis's default, and draws of a check by differences.
EXAMPLES, DRAWS = 100, 10
SMALL: dict[str, Any] = {"T": 3, "N": 2, "D": 2, "H": 3}
# Tolerances that people write for float32.
TOLERANCES: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


class Detected(Exception):
    """A method has failed on a subject, after this processor time."""

    def __init__(self) -> None:
        self.at = time.process_time()


def by_suite(adapter: Adapter, subject: Subject) -> None:
    """Judge the small case that comes first, then the checks of a default run in float32, until one fails."""
    own = guarded(replace(adapter, run=subject, options={}, layers=None, takes_stacks=False))
    precision, first = own.precision("float32"), list[Detected]()
    if next(advising(own, "float32"), None):
        raise Detected
    for check in CHECKS:
        if check.name == "layers":
            continue

        def judge(case: Any, check: Any = check) -> None:
            try:
                if not first:  # later calls look for the smallest case
                    check.judge(own, case, precision, Result(check.name))
            except adapters.Unsupported:
                return
            except Exception:
                first.append(Detected())
            if first:
                raise first[0]

        check.cases(own, "float32", Plan(STACKS, 0), judge)


def by_properties(adapter: Adapter, subject: Subject) -> None:
    """Run a property-based test as people write it: drawn shapes, numbers and seeds, and a fixed tolerance."""

    @quiet(EXAMPLES, hypothesis.Phase.generate)
    @hypothesis.given(sizes=st.tuples(*[st.integers(1, 8)] * 4), seed=st.integers(0, 2**32 - 1))
    def test(sizes: tuple[int, ...], seed: int) -> None:
        case = Case.random(*sizes, seed=seed, dtype="float32", cell=adapter.cell)
        expected, found = evaluate(case).fields(), subject(case.map(np.array)).present()
        if not first and not all(np.allclose(array, expected[name], **TOLERANCES) for name, array in found.items()):
            first.append(Detected())
        if first:
            raise first[0]

    first: list[Detected] = []
    test()


def by_differences(method: Callable[[Subject, Case], bool | None]) -> Callable[[Adapter, Subject], None]:
    """Return the method that runs gradcheck or check_grads on a few small cases in float64."""

    def run(adapter: Adapter, subject: Subject) -> None:
        for seed in range(DRAWS):
            if method(subject, Case.random(**SMALL, seed=seed, cell=adapter.cell)):
                raise Detected

    return run


METHODS = {
    "torch": {"property-based test": by_properties, "gradcheck": by_differences(gradcheck)},
    "jax": {"property-based test": by_properties, "check_grads": by_differences(check_grads)},
}


def seconds(method: Callable[[Adapter, Subject], None], adapter: Adapter, fault: Fault) -> float | None:
    """Return the processor time until a method fails on a fault, with empty caches; None if it does not."""
    jax.clear_caches()
    subject = fault.subject(lambda case: adapter(case).map(np.ascontiguousarray))
    begun = time.process_time()
    try:
        method(adapter, subject)
    except Detected as detected:
        return detected.at - begun
    return None


def row(adapter: Adapter, every: int) -> list[str | float]:
    """Return the row of the table for one way."""
    faults = [fault for fault in CATALOGUE[adapter.cell].values() if "float32" not in fault.hidden_in(adapter.cell)]
    methods = {"suite": by_suite, **METHODS[adapter.framework]}
    found = {name: [seconds(method, adapter, fault) for fault in faults[::every]] for name, method in methods.items()}
    suite, *others = found.values()
    unseen = [fault.name for fault, *times in zip(faults[::every], *others, strict=True) if times == [None, None]]
    sys.stderr.write(f"{adapter.name}: not seen by other methods: {', '.join(unseen)}\n")
    line: list[str | float] = [adapter.name, f"{len(suite) - suite.count(None)} of {len(suite)}"]
    for times in others:
        ratios = [other / own for own, other in zip(suite, times, strict=True) if own and other]
        line += [f"{len(times) - times.count(None)}", float(np.median(ratios)), float(np.quantile(ratios, 0.95))]
    return [*line, f"{len(unseen) / len(suite):.0%}"]


def compare(cells: list[str], every: int = 1) -> Table:
    """Return the table: by way, how many faults each method sees, and its time over that of the suite."""
    named = ("way", "seen by this suite", "by a property-based test", "time: median", "95th percentile")
    head = (*named, "by gradcheck or check_grads", "time: median", "95th percentile", "by neither")
    found = [adapters.load(name)[0] for cell in cells for name in WAYS[cell]]
    return Table(head, [row(adapter, every) for adapter in found])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", choices=[cell for cell in CELLS if cell in WAYS], default=[*WAYS])
    parser.add_argument("--every", type=int, default=1, help="take every n-th fault")
    arguments = parser.parse_args()
    sys.stdout.write(str(compare(arguments.cells, arguments.every)))


if __name__ == "__main__":
    main()
