"""The checks as a table: which cases each has, and how one check judges one adapter in one dtype."""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st

from adapters import Adapter, Unsupported
from adapters.conformance import STACKS, invariants, strides
from adapters.conformance.contract import Unusable, whole, with_options
from adapters.conformance.report import ErrorMap, Failure, Result
from reference import Case, Mismatch, Params, Precision
from reference.certify import LONGEST_DIRECTION
from reference.strategies import BATCHES, EDGES, FINITE, MANY, NORMS, UNPROBED, Shape, cases, shapes

# A character RNN of 64 units; tests/trained has the text and the script that trained it.
TRAINED = Path(__file__).parent / "char_rnn.npz"
# Numbers in a stack, at most. Otherwise two of twelve shapes would take half of the time.
NUMBERS = 2**18
TOO_LONG = f"derivatives along a direction are enclosed over at most {LONGEST_DIRECTION} steps"
# Checks that do not suit derivatives along a direction, and why.
BEYOND = {
    "nonfinite": "the place of infinity times zero along a direction depends on the form of the formula",
    "trained": "the bound on derivatives along a direction is too wide to decide for 64 trained units",
    "long": f"{TOO_LONG}, not 1,000",
    "10k-steps": f"{TOO_LONG}, not 10,000",
}

Judge = Callable[[Adapter, Case, Precision, Result], None]


class Job(NamedTuple):
    """One adapter in one dtype, and the number and the seed of its cases."""

    adapter: Adapter
    dtype: str
    stacks: int  # before a check's own thinning
    seed: int
    params: Params | None = None  # instead of drawn ones


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A check on cases that Hypothesis draws, and shrinks if one fails."""

    name: str  # one of ``conformance.NAMES``
    judge: Judge = whole
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    lengths: tuple[int, ...]
    stack: int  # cases
    pool: int  # shapes of a run of STACKS: a compiler compiles for each
    thin: int = 1  # stacks for each example
    batches: tuple[int, ...] = BATCHES
    norms: tuple[float, ...] = NORMS
    values: tuple[str, ...] = FINITE
    rows: int = 1  # T * N of its shapes, at least
    params: Path | None = None

    def shapes(self, job: Job) -> tuple[Shape, ...]:
        """Return the shapes of a run, which depend on the seed, the number of stacks and the nonlinearities alone."""
        # A longer run has more shapes, and more cases of each.
        growth = math.ceil(math.sqrt(job.stacks / STACKS))
        offered = tuple(f for f in self.nonlinearities if f in job.adapter.nonlinearities) or self.nonlinearities
        return pool_of_shapes(dataclasses.replace(self, nonlinearities=offered), job.seed, self.pool * growth)

    def cases(self, job: Job, judge: Callable[[Case], None]) -> None:
        """Have Hypothesis draw the cases of one shape after the other; its last call is the smallest failure."""
        pool, count = self.shapes(job), max(len(self.nonlinearities), job.stacks // self.thin)
        for i, shape in enumerate(pool[:count]):
            strategy = cases(
                dtype=job.dtype,
                shape=st.just(shape),
                stack=self.stack,
                numbers=NUMBERS,
                norms=self.norms,
                values=self.values,
                assorted=True,
                params=Params.load(self.params) if self.params else job.params,
                direction=job.adapter.takes_direction,
                # Hypothesis prefers small numbers, with which the values of a run would be those of another.
                seed=Random(f"{self.name} {job.seed} {i}").getrandbits(32),
            )
            examples = quiet(len(range(i, count, len(pool))) + 1, Phase.generate, Phase.shrink)
            hypothesis.seed(f"{job.seed} {i}")(examples(hypothesis.given(strategy)(after_the_first(judge))))()


def after_the_first(judge: Callable[[Case], None]) -> Callable[[Case], None]:
    """Return a judge that leaves its first case out: the simplest one, of norm 1, with which Hypothesis begins."""
    calls = itertools.count()
    return lambda case: judge(case) if next(calls) else None


@cache
def pool_of_shapes(check: Drawn, seed: int, pool: int) -> tuple[Shape, ...]:
    """Draw the pool of shapes of a run, the smallest of those with the probe first.

    Hypothesis begins with the simplest shape, which is left out: one row of one unit hides most mistakes. The others
    have enough rows, the nonlinearities in turn, and a bias in two of three. Every third short one comes without the
    probe, with D = 1, D = H and D < H in turn.
    """
    drawn: list[Shape] = []
    possible = shapes(lengths=check.lengths, batches=check.batches, nonlinearities=("tanh",), biases=(True,))

    @hypothesis.seed(seed)
    @quiet(pool + 1, Phase.generate)
    @hypothesis.given(possible)
    def draw(shape: Shape) -> None:
        drawn.append(shape)

    draw()
    large = {shape._replace(N=max(shape.N, math.ceil(check.rows / shape.T))) for shape in drawn[1:]}
    ordered = sorted(large, key=lambda shape: (np.prod(shape[:4]), shape))
    turns = zip(ordered, itertools.cycle(check.nonlinearities), itertools.cycle((True, True, False)), strict=False)
    found = [shape._replace(nonlinearity=f, bias=bias, probe=True) for shape, f, bias in turns]
    if "plain" in check.values and min(check.lengths) <= UNPROBED:
        for i, inputs in zip(range(0, len(found), 3), itertools.cycle((0, 1, 2)), strict=False):
            # A half precision decides two steps of relu without the probe, and three of tanh.
            T, H = min(found[i].T, UNPROBED - (found[i].nonlinearity == "relu")), min(max(found[i].H, 2), 8)
            N = max(found[i].N, math.ceil(check.rows / T))
            D = (1, H, H // 2)[(inputs + (T > 1)) % 3]
            found[i] = found[i]._replace(T=T, N=N, D=D, H=H, probe=False)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A check on single cases of fixed shapes."""

    name: str
    judge: Judge = whole
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    shapes: tuple[Shape, ...]
    norm: float = 1.0
    from_zeros: bool = False  # whether the initial state is zero

    def cases(self, job: Job, judge: Callable[[Case], None]) -> None:
        """Judge one case after the other, with the probe except without inputs, which it would add."""
        offered, along = job.adapter.nonlinearities, job.adapter.takes_direction
        for T, N, D, H, nonlinearity, bias, _ in self.shapes:
            like: dict[str, Any] = {"seed": job.seed, "dtype": job.dtype, "bias": bias, "norm": self.norm}
            f = nonlinearity if nonlinearity in offered else offered[0]
            case = Case.random(T, N, D, H, nonlinearity=f, direction=along, **like)
            case = dataclasses.replace(case, h0=0 * case.h0) if self.from_zeros else case
            judge(case.probed(job.seed) if D else case)


Check = Drawn | Fixed
STEP = Drawn(name="step", lengths=(1,), stack=52, pool=4)
SEQUENCE = Drawn(name="sequence", lengths=(3, 4, 5, 2, 3, 4, 5, 6, 20), stack=76, pool=4, rows=MANY)
# The shapes of SEQUENCE, for which a compiler has compiled already.
EXTREMES = dataclasses.replace(SEQUENCE, name="extremes", norms=(0.5, 1.0), values=EDGES)
LONG = Drawn(name="long", lengths=(1000,), stack=4, pool=1, thin=8, batches=(2, 4), nonlinearities=("tanh",))
NO_STEPS, NO_ROWS, NO_INPUTS = Shape(0, 2, 3, 4), Shape(3, 0, 3, 4, "relu"), Shape(1, 2, 0, 4)
ONES, INPUTS, UNITS = Shape(1, 1, 1, 1, "relu", False), Shape(2, 2, 512, 4, bias=False), Shape(2, 1, 4, 512, "relu")
ROW = (Shape(4, 1, 3, 5), Shape(4, 1, 3, 5, "relu", bias=False))
ROWS = (Shape(4, 2, 3, 5), Shape(4, 2, 3, 5, "relu"))
TANH = ("tanh",)
CHECKS: tuple[Check, ...] = (
    STEP,
    SEQUENCE,
    EXTREMES,
    dataclasses.replace(EXTREMES, name="nonfinite", values=("poisoned",), thin=2),
    LONG,
    Drawn(name="trained", lengths=(12,), stack=8, pool=1, thin=4, nonlinearities=TANH, params=TRAINED),
    Fixed(name="shapes", shapes=(NO_STEPS, NO_ROWS, NO_INPUTS, ONES, INPUTS, UNITS), norm=0.5),
    Fixed(name="strides", shapes=ROWS[:1], nonlinearities=TANH, judge=strides.judge),
    Fixed(name="options", shapes=ROW, judge=with_options, from_zeros=True),
    Fixed(name="invariants", shapes=ROWS, judge=invariants.judge),
    Fixed(name="10k-steps", shapes=(Shape(10_000, 1, 2, 3),), nonlinearities=TANH, norm=0.9),
)


def suits(check: Check, params: Params | None) -> bool:
    """Return whether a check can run on parameters that a user gives: they replace drawn ones."""
    return params is None or (isinstance(check, Drawn) and check.params is None)


def expected_failure(adapter: Adapter, check: str, dtype: str) -> str | None:
    """Return the reason and the reference of the failure that is expected of a check; None without one."""
    found = adapter.expected_failures.get(check) or adapter.expected_failures.get(f"{check} {dtype}")
    return f"{found.reason} ({found.reference})" if found else None


def run(check: Check, job: Job) -> Result:
    """Judge one adapter on one check.

    Args:
        check: the kind of cases.
        job: the adapter and its dtype; the same seed gives the same cases to all adapters.
    """
    adapter = job.adapter
    precision = adapter.precision(job.dtype)
    result = Result(check.name, expected_failure=expected_failure(adapter, check.name, job.dtype))
    for nonlinearity in check.nonlinearities:
        try:
            adapter.expect_nonlinearity(nonlinearity)
        except Unsupported as error:
            result.note_unsupported(str(error))
    if adapter.takes_direction and check.name in BEYOND:
        result.note_unsupported(f"{adapter.name}: {BEYOND[check.name]}")
        return result

    def judge(case: Case) -> None:
        try:
            check.judge(adapter, case, precision, result)
        except Unsupported as error:
            result.note_unsupported(str(error))
        except Exception as error:
            verdict = error.verdict if isinstance(error, Mismatch) else None
            result.counterexample = verdict.case if verdict else case
            result.failure = Failure(
                f"{adapter.name} {_account(error, case)}",
                crashed=not isinstance(error, Mismatch) or isinstance(error, Unusable),
                error_map=ErrorMap.of(verdict) if verdict and verdict.case.K is None else None,
            )
            raise
        # After a failure every call only shrinks it.
        if result.failure is None:
            result.examples += 1

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", hypothesis.errors.HypothesisWarning)
            check.cases(job, judge)
    except Exception:
        if result.failure is None:
            raise
    return result


def quiet(examples: int, *phases: Phase) -> settings:
    """Return Hypothesis settings for use outside a test: no database, no deadline, nothing printed."""
    return settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )


def _account(error: Exception, case: Case) -> str:
    if isinstance(error, ValueError) and "read-only" in str(error):
        got = f"a write to a read-only array ({error})"
        return f"{case.dtype}: contract: expected the case unchanged, got {got}"
    if isinstance(error, Mismatch):
        return str(error) if error.verdict else f"{case.dtype}: {error}"
    where = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    return f"{case.dtype}: {where}raised {type(error).__name__}: {error} ({case.spelled})"
