"""The checks: which cases an adapter is judged on, and the judging of one check with one adapter and dtype."""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
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
from adapters.conformance.choices import ENOUGH, EXAMPLES, LARGER
from adapters.conformance.guard import TimedOut, Unusable, time_limit
from adapters.conformance.judges import Judge, in_memory, lawful, whole, with_options
from adapters.conformance.report import ErrorMap, Result
from reference import Case, Mismatch, Params
from reference.strategies import BATCHES, EDGES, FINITE, MANY, NORMS, Shape, cases, shapes
from reference.values import INFINITE

# A character RNN of 64 units; tests/trained has the text and the script that trained it.
TRAINED = Path(__file__).parent / "char_rnn.npz"

# Numbers in a stack, at most: of a large shape, each case of which has more to judge, there are fewer cases. Else two
# shapes in twelve would take half of the time.
NUMBERS = 2**18
# So many times as many cases have the stacks of an adapter that is vectorized, in a run of EXAMPLES or fewer.
MASS = 24


class Asked(NamedTuple):
    """Who is judged, and on how many cases of what kind."""

    adapter: Adapter
    dtype: str
    examples: int  # stacks of cases, before a check's own thinning
    seed: int
    params: Params | None = None  # in the place of drawn ones
    shard: tuple[int, int] = (1, 1)  # I of N: this one takes every N-th example, from the I-th on


@dataclass(frozen=True, kw_only=True)
class Check:
    """One kind of cases, and how an adapter is judged on them."""

    name: str  # of ``choices.CHECKED``
    judge: Judge = whole

    def count(self, examples: int) -> int:
        """Return how many examples the check takes of those asked for."""
        raise NotImplementedError

    def indices(self, examples: int, shard: tuple[int, int]) -> range:
        """Return which of its examples a shard takes: those of all N shards are together all, and none twice."""
        part, parts = shard
        return range(part - 1, self.count(examples), parts)

    def suits(self, params: Params | None) -> bool:
        """Tell whether the check can be made on parameters that a user gives."""
        return params is None

    def mixed(self) -> tuple[str, ...]:
        """Return the nonlinearities of its cases; of those an adapter is asked for the ones that it has."""
        raise NotImplementedError

    def refusals(self, adapter: Adapter) -> Iterator[str]:
        """Give, in the adapter's words, which of them it has not."""
        for nonlinearity in self.mixed():
            try:
                adapter.expect_nonlinearity(nonlinearity)
            except Unsupported as refusal:
                yield str(refusal)

    def each(self, asked: Asked, judge: Callable[[Case], None]) -> None:
        """Call ``judge`` with one case or stack after the other."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Drawn(Check):
    """Cases that Hypothesis draws, and shrinks where one fails: how long, how many at once, how many shapes."""

    lengths: tuple[int, ...]
    stack: int
    pool: int  # shapes of a run of EXAMPLES: a compiler works anew for each
    thin: int = 1  # one example for so many that are asked for
    batches: tuple[int, ...] = BATCHES
    norms: tuple[float, ...] = NORMS
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    values: tuple[str, ...] = FINITE
    rows: int = 1  # T * N of its shapes, at least
    params: Path | None = None

    def count(self, examples: int) -> int:
        """Return how many examples the check takes of those asked for: at least one of each nonlinearity."""
        return max(len(self.nonlinearities), examples // together(examples) // self.thin)

    def suits(self, params: Params | None) -> bool:
        """Tell whether the check can be made on parameters that a user gives: if it has none of its own."""
        return params is None or self.params is None

    def mixed(self) -> tuple[str, ...]:
        """Return the nonlinearities of its cases; an adapter that has none of them refuses them one by one."""
        return self.nonlinearities

    def refusals(self, adapter: Adapter) -> Iterator[str]:
        """Give, in the adapter's words, which nonlinearities it has not, and ours for what it is not asked."""
        yield from super().refusals(adapter)
        if self._is_matter_of_form(adapter):
            yield f"{adapter.name}: where infinity times zero arises along a direction is a matter of form"

    def _is_matter_of_form(self, adapter: Adapter) -> bool:
        return adapter.takes_direction and bool(set(self.values) & set(INFINITE))

    def shapes(self, asked: Asked) -> tuple[Shape, ...]:
        """Return the shapes of a run, which the seed fixes."""
        # A compiler works anew for each shape: a longer run has more of them, and more cases of each.
        growth = math.ceil(math.sqrt(asked.examples / together(asked.examples) / EXAMPLES))
        offered = tuple(f for f in self.nonlinearities if f in asked.adapter.nonlinearities) or self.nonlinearities
        return pool_of_shapes(dataclasses.replace(self, nonlinearities=offered), asked.seed, self.pool * growth)

    def strategy(self, asked: Asked, shape: Shape, turn: int) -> st.SearchStrategy[Case]:
        """Return the strategy for this check's stacks of cases of a shape; ``turn`` tells with which it begins."""
        params = Params.load(self.params) if self.params else asked.params
        # A longer run has cases enough.
        mass = MASS * EXAMPLES // max(asked.examples, EXAMPLES) if asked.adapter.vectorized else 1
        mass = max(mass, together(asked.examples))
        return cases(
            dtype=asked.dtype,
            shape=st.just(shape),
            stack=self.stack * mass,
            numbers=NUMBERS * mass,
            norms=self.norms,
            values=self.values,
            assorted=True,
            params=params,
            direction=asked.adapter.takes_direction,
            turn=turn,
        )

    def each(self, asked: Asked, judge: Callable[[Case], None]) -> None:
        """Have Hypothesis draw the cases, of one shape after the other; it runs the smallest failure last."""
        if self._is_matter_of_form(asked.adapter):
            return
        pool = self.shapes(asked)
        for i, shape in enumerate(pool[: self.count(asked.examples)]):
            examples = len(range(i, self.count(asked.examples), len(pool)))
            # Hypothesis begins with the simplest, which for one seed would be that for every other.
            turn = Random(f"{self.name} {asked.seed} {i}").getrandbits(32)
            drawing = hypothesis.given(self.strategy(asked, shape, turn))(judge)
            hypothesis.seed(f"{asked.seed} {i}")(quiet(examples, Phase.generate, Phase.shrink)(drawing))()


def together(examples: int) -> int:
    """Return how many of the stacks that are asked for are drawn as one."""
    return min(LARGER, max(1, examples // ENOUGH))


@cache
def pool_of_shapes(check: Drawn, seed: int, pool: int) -> tuple[Shape, ...]:
    """Draw the pool of shapes of a run, the smallest first.

    The simplest of all, with which Hypothesis begins, is left out: in one row of one unit little can be wrong. The
    others have rows enough, the nonlinearities in turn, and a bias in two of three.
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
    return tuple(shape._replace(nonlinearity=f, bias=bias) for shape, f, bias in turns)


@dataclass(frozen=True, kw_only=True)
class Fixed(Check):
    """Single cases of fixed shapes, each judged once."""

    shapes: tuple[Shape, ...]
    norm: float = 1.0
    from_zeros: bool = False  # whether the initial state is zero

    def count(self, examples: int) -> int:
        """Return the number of shapes, however many examples are asked for."""
        return len(self.shapes)

    def mixed(self) -> tuple[str, ...]:
        """Return the nonlinearities of its cases; for one that an adapter has not, it is asked for the first it has."""
        return tuple(dict.fromkeys(shape.nonlinearity for shape in self.shapes))

    def cases(self, asked: Asked) -> Iterator[Case]:
        """Give the cases, with the probe but for those of no inputs, which it would hide."""
        offered = asked.adapter.nonlinearities
        for T, N, D, H, nonlinearity, bias in self.shapes:
            f = nonlinearity if nonlinearity in offered else offered[0]
            like: dict[str, Any] = {"nonlinearity": f, "bias": bias, "norm": self.norm}
            along = asked.adapter.takes_direction
            case = Case.random(T, N, D, H, seed=asked.seed, dtype=asked.dtype, direction=along, **like)
            case = dataclasses.replace(case, h0=0 * case.h0) if self.from_zeros else case
            yield case.probed() if D else case

    def each(self, asked: Asked, judge: Callable[[Case], None]) -> None:
        """Judge one case after the other."""
        for case in self.cases(asked):
            judge(case)


STEP = Drawn(name="step", lengths=(1,), stack=52, pool=3)
SEQUENCE = Drawn(name="sequence", lengths=(3, 4, 5, 2, 3, 4, 5, 6, 20), stack=76, pool=3, rows=MANY)
# Of the same shapes, for which no compiler works again.
AT_EDGES = dataclasses.replace(SEQUENCE, name="edges", norms=(0.5, 1.0), values=EDGES)
CHECKS: tuple[Check, ...] = (
    STEP,
    SEQUENCE,
    AT_EDGES,
    dataclasses.replace(AT_EDGES, name="nan", values=("poisoned",), thin=2),
    Drawn(
        name="long",
        lengths=(1000,),
        stack=4,
        pool=1,
        thin=8,
        batches=(2, 4),
        nonlinearities=("tanh",),
    ),
    Drawn(
        name="trained",
        lengths=(12,),
        stack=8,
        pool=1,
        thin=4,
        nonlinearities=("tanh",),
        params=TRAINED,
    ),
    Fixed(
        name="shapes",
        shapes=(
            Shape(0, 2, 3, 4),
            Shape(3, 0, 3, 4, "relu"),
            Shape(1, 2, 0, 4),
            Shape(1, 1, 1, 1, "relu", bias=False),
            Shape(2, 2, 512, 4, bias=False),
            Shape(2, 1, 4, 512, "relu"),
        ),
        norm=0.5,
    ),
    Fixed(
        name="memory",
        shapes=(Shape(4, 2, 3, 5),),
        judge=in_memory,
    ),
    Fixed(
        name="options",
        shapes=(Shape(4, 1, 3, 5), Shape(4, 1, 3, 5, "relu", bias=False)),
        judge=with_options,
        from_zeros=True,
    ),
    Fixed(
        name="laws",
        shapes=(Shape(4, 2, 3, 5), Shape(4, 2, 3, 5, "relu")),
        judge=lawful,
    ),
    Fixed(
        name="endless",
        shapes=(Shape(10_000, 1, 2, 3),),
        norm=0.9,
    ),
)


def run(
    check: Check,
    asked: Asked,
    result: Result,
    advance: Callable[[], Any] = lambda: None,
    *,
    limit: float | None = None,
) -> None:
    """Judge one adapter on one check, keeping ``result`` up to date after every example.

    Args:
        check: the kind of cases.
        asked: who is judged on how many; the same seed asks all adapters of the same nonlinearities the same.
        result: where the findings go.
        advance: called after every example.
        limit: seconds after which it is a failure, as of ``guard.time_limit``.
    """
    adapter, dtype = asked.adapter, asked.dtype
    precision = adapter.precision(dtype)
    known = adapter.expected_failures.get(check.name) or adapter.expected_failures.get(f"{check.name} {dtype}")
    result.expected_failure = f"{known.reason} ({known.reference})" if known else None
    mine, index = check.indices(asked.examples, asked.shard), itertools.count()
    for refusal in check.refusals(adapter) if mine else ():
        result.note_unsupported(refusal)

    def judge(case: Case) -> None:
        # Once there is a failure, all that comes makes it smaller.
        if next(index) not in mine and result.failure is None:
            return
        try:
            check.judge(adapter, case, precision, result)
        except Unsupported as refusal:
            result.note_unsupported(str(refusal))
        except Exception as error:
            result.crashed = not isinstance(error, Mismatch) or isinstance(error, Unusable)
            verdict = error.verdict if isinstance(error, Mismatch) else None
            result.counterexample = verdict.case if verdict else case
            result.error_map = ErrorMap.of(verdict) if verdict and verdict.case.K is None else None
            result.failure = f"{adapter.name} {_account(error, case)}"
            raise
        if result.failure is None:
            result.examples += 1
            advance()

    # Hypothesis runs the smallest failure last, so that what result holds then is that one.
    try:
        with warnings.catch_warnings(), time_limit(limit):
            warnings.simplefilter("ignore", hypothesis.errors.HypothesisWarning)
            check.each(asked, judge)
    except KeyboardInterrupt:
        result.interrupted = True
        raise
    except TimedOut as late:
        # Without the case: who ran it again would wait again.
        result.failure = result.failure or f"{adapter.name} {dtype}: {late}"
    except Exception:
        if result.failure is None:
            raise


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
    dtype = case.dtype
    if isinstance(error, ValueError) and "read-only" in str(error):
        return f"{dtype}: contract: expected the case unchanged, got a write to a read-only array ({error})"
    if isinstance(error, Mismatch):
        return str(error) if error.verdict else f"{dtype}: {error}"
    what = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    return f"{dtype}: {what}raised {type(error).__name__}: {error} ({case.spelled})"
