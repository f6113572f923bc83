"""Cases per second, with all overhead: this suite, a usual property-based test, and gradcheck."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import hypothesis
import hypothesis.extra.numpy as given_arrays
import jax
import jax.test_util
import numpy as np
import torch
from hypothesis import strategies as st

import adapters
import adapters.jax
from adapters import Way
from adapters._places import to_framework
from adapters._torch_cells import layer
from adapters._way import compute_by
from adapters.conformance import STACKS
from adapters.conformance.checks import CHECKS, Plan, quiet
from adapters.conformance.judge import judge
from adapters.torch import LAYOUTS
from reference import Case, Params, evaluate
from reference.verdict import QUANTITIES
from tests.benchmarks.timing import Table

# Rounds, seconds for the suite in each round, and seconds for each other method.
ROUNDS, BUDGET, BESIDE = 3, 20.0, 5.0
# Examples of the usual test between two looks at the clock.
WRITTEN = 25
NUMBERS = st.floats(-1.5, 1.5, width=32)
Compute = Callable[..., dict[str, Any]]


def computing(name: str) -> Compute:
    """Return an adapter as a function of arrays that returns arrays by quantity, with tanh."""
    (adapter,) = adapters.load(name)
    way = adapter.run
    assert isinstance(way, Way)
    run, places = partial(way.run, *way.parts), way.layouts[way.kind]

    def compute(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any) -> dict[str, Any]:
        return compute_by(run, places, "tanh", {"Wx": Wx, "Wh": Wh, "b": b}, xs, (h0,), upstream)

    return compute


def naive(compute: Compute, lengths: Sequence[int] = range(1, 9)) -> float:
    """Return cases per second of a test that draws every number and one shape per example, with empty caches."""
    jax.clear_caches()
    begun, cases = time.perf_counter(), 0

    @quiet(WRITTEN, hypothesis.Phase.generate)
    @hypothesis.given(data=st.data(), sizes=st.tuples(st.sampled_from(lengths), *[st.integers(1, 8)] * 3))
    def test(data: st.DataObject, sizes: tuple[int, ...]) -> None:
        nonlocal cases
        T, N, D, H = sizes
        shapes = ((T, N, D), (N, H), (D, H), (H, H), (H,), (T, N, H))
        arrays = [data.draw(given_arrays.arrays(np.float32, shape, elements=NUMBERS)) for shape in shapes]
        xs, h0, Wx, Wh, b, upstream = arrays
        expected = evaluate(Case(xs, h0, Params(Wx, Wh, b), upstream))
        found = compute(*arrays)
        for field, array in expected.fields().items():
            # Much wider than float32 needs, so that long products of wide numbers raise no false alarm.
            np.testing.assert_allclose(found[QUANTITIES[field]], array, rtol=1e-2, atol=1e-2)
        cases += 1

    while time.perf_counter() - begun < BESIDE:
        test()
    return cases / (time.perf_counter() - begun)


def suite(name: str) -> float:
    """Return cases per second of the checks "step" and "sequence", one seed after another, with empty caches."""
    (adapter,) = adapters.load(name)
    jax.clear_caches()
    begun, cases, seed = time.perf_counter(), 0, 0
    while time.perf_counter() - begun < BUDGET:
        for check in CHECKS[:2]:
            cases += judge(check, adapter, "float32", Plan(STACKS, seed)).cases
        seed += 1
    return cases / (time.perf_counter() - begun)


def one_by_one(judge: Callable[[Case], Any], T: int = 3) -> float:
    """Return cases per second of a check that runs single cases of one small shape."""
    begun, cases = time.perf_counter(), 0
    while time.perf_counter() - begun < BESIDE:
        judge(Case.random(T=T, N=2, D=2, H=3, seed=cases))
        cases += 1
    return cases / (time.perf_counter() - begun)


def gradcheck(case: Case) -> None:
    """Check a layer of PyTorch by finite differences."""
    weights = to_framework(LAYOUTS["RNN"], case.params.fields())
    arrays = [torch.tensor(array).requires_grad_() for array in (case.xs, case.h0, *weights.values())]
    torch.autograd.gradcheck(
        lambda xs, h0, *held: layer("tanh", dict(zip(weights, held, strict=True)), xs, (h0,)), arrays
    )


def check_grads(case: Case) -> None:
    """Check a scan of JAX by finite differences, in reverse mode."""
    with jax.enable_x64(True):
        function = partial(adapters.jax.scanned, "tanh")
        jax.test_util.check_grads(function, (case.params.fields(), case.xs, (case.h0,)), order=1, modes=["rev"])


def compare() -> Table:
    """Return the table: cases per second of the suite over those of each other method, as medians of all rounds."""
    rows: list[list[str | float]] = []
    for names, by_differences in (
        (("jax.scan", "jax.vmap"), check_grads),
        (("torch.RNNCell", "torch.vmap"), gradcheck),
    ):
        step = computing(names[0])
        for name in names:
            found = []
            for _ in range(ROUNDS):
                others = naive(step), one_by_one(by_differences)
                rate = suite(name)
                found.append([rate / other for other in others])
            rows.append([name, *map(median, zip(*found, strict=True))])
    head = ("cases a second of", "over a property-based test as people write it", "over check_grads or gradcheck")
    return Table(head, rows)
