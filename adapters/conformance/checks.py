"""The checks: which cases an adapter is judged on, and the judging of one check with one adapter and dtype."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st

from adapters import Adapter, Refused
from reference import Case, Mismatch, Params, Verdict
from reference.strategies import BATCHES, NORMS, Shape, cases, shapes
from reference.trial import trial

# A character RNN of 64 units; tests/trained has the text and the script that trained it.
TRAINED = Path(__file__).parent / "char_rnn.npz"

# Stacks of cases that a check is asked for by default.
EXAMPLES = 16
# Numbers in the parameters of one stack, so that large weights do not fill the memory.
LARGEST_STACK = 4_000_000


@dataclass(frozen=True)
class Check:
    """One kind of cases: how long, how many at once, how many shapes."""

    name: str
    describe: str
    lengths: tuple[int, ...]
    stack: int
    pool: int  # shapes of a run of EXAMPLES: a compiler works anew for each
    thin: int = 1  # one example for so many that are asked for
    batches: tuple[int, ...] = BATCHES
    norms: tuple[float, ...] = NORMS
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    params: Path | None = None

    def strategy(self, dtype: str, seed: int, examples: int, params: Params | None = None) -> st.SearchStrategy[Case]:
        """Return the strategy for this check's stacks of cases, over a pool of shapes that the seed fixes."""
        params = Params.load(self.params) if self.params else params
        pool = self.shapes(seed, self.pool * math.ceil(examples / EXAMPLES))
        stack = self.stack
        if params is not None:
            stack = max(1, min(stack, LARGEST_STACK // (params.Wx.size + params.Wh.size + 1)))
        return cases(dtype=dtype, shape=st.sampled_from(pool), stack=stack, norms=self.norms, params=params)

    def shapes(self, seed: int, pool: int) -> list[Shape]:
        """Draw the pool of shapes of a run, smallest first, so that a failure shrinks towards it."""
        drawn: list[Shape] = []

        @hypothesis.seed(seed)
        @quiet(pool, Phase.generate)
        @hypothesis.given(shapes(lengths=self.lengths, batches=self.batches, nonlinearities=self.nonlinearities))
        def draw(shape: Shape) -> None:
            drawn.append(shape)

        draw()
        return sorted(set(drawn), key=lambda shape: (np.prod(shape[:4]), shape))


CHECKS = (
    Check("step", "one step, forward and back", (1,), stack=52, pool=3),
    Check("sequence", "2 to 20 steps, probed", (3, 4, 5, 2, 3, 4, 5, 6, 20), stack=76, pool=3),
    Check("long", "200 and 1000 steps", (200, 1000), stack=4, pool=2, thin=8, batches=(2, 4), nonlinearities=("tanh",)),
    Check(
        "trained",
        "a trained character RNN of 64 units",
        (12,),
        stack=8,
        pool=1,
        thin=4,
        nonlinearities=("tanh",),
        params=TRAINED,
    ),
)


@dataclass
class Result:
    """What one check found about one adapter in one dtype, kept up to date while it runs."""

    name: str
    cases: int = 0
    examples: int = 0
    inconclusive: int = 0
    worst: dict[str, float] = field(default_factory=dict)  # quantity: largest |error| / bound
    resolutions: list[float] = field(default_factory=list)  # of the coarsest quantity of every case
    refusals: list[str] = field(default_factory=list)
    failure: str | None = None
    counterexample: Case | None = None
    reproduction: list[Path] = field(default_factory=list)
    interrupted: bool = False

    @property
    def status(self) -> str:
        """Give "fail", "interrupted", "inconclusive", "refused" (nothing was on offer), "empty" or "pass"."""
        if self.failure is not None:
            return "fail"
        if self.interrupted:
            return "interrupted"
        if self.inconclusive:
            return "inconclusive"
        if not self.cases:
            return "refused" if self.refusals else "empty"
        return "pass"

    @property
    def resolution(self) -> float | None:
        """Median over the cases of bound / scale of value, of the coarsest quantity; None before the first case."""
        return float(np.median(self.resolutions)) if self.resolutions else None

    def add(self, verdict: Verdict) -> None:
        """Count the cases of a verdict."""
        self.examples += 1
        self.cases += len(verdict.statuses)
        self.inconclusive += verdict.statuses.count("inconclusive")
        for name, worst in verdict.worst.items():
            self.worst[name] = max(self.worst.get(name, 0.0), worst.ratio)
        self.resolutions += np.max([judged.resolutions for judged in verdict.judged.values()], axis=0).tolist()


def run(
    check: Check,
    adapter: Adapter,
    dtype: str,
    result: Result,
    *,
    examples: int,
    seed: int,
    params: Params | None = None,
    advance: Callable[[], Any] = lambda: None,
) -> None:
    """Judge one adapter on one check, keeping ``result`` up to date after every example.

    Args:
        check: the kind of cases.
        adapter: the subject.
        dtype: one of the adapter's.
        result: where the findings go.
        examples: stacks of cases to judge, before the check's own thinning.
        seed: of the cases; the same seed asks every adapter the same.
        params: judge on these parameters rather than on drawn ones.
        advance: called after every example.
    """
    precision = adapter.precision(dtype)

    @hypothesis.seed(seed)
    @quiet(count(check, examples), Phase.generate, Phase.shrink)
    @hypothesis.given(check.strategy(dtype, seed, examples, params))
    def judge(case: Case) -> None:
        try:
            verdict = trial(adapter, case, precision, repeat=adapter.takes_stacks)
            if not adapter.takes_stacks:
                trial(adapter, case[0], precision, repeat=True)
        except Refused as refusal:
            if str(refusal) not in result.refusals:
                result.refusals.append(str(refusal))
            return
        except Exception as error:
            result.failure, result.counterexample = f"{adapter.name} {dtype}: {_account(error)}", case
            raise
        if result.failure is None:
            result.add(verdict)
            advance()
        if verdict.status == "fail":
            single = verdict.of(verdict.statuses.index("fail"))
            result.failure, result.counterexample = f"{adapter.name} {single}", single.case
            single.require(adapter.name)

    # Hypothesis runs the smallest failure last, so that what result holds then is that one.
    try:
        judge()
    except KeyboardInterrupt:
        result.interrupted = True
        raise
    except Exception:
        if result.failure is None:
            raise


def count(check: Check, examples: int) -> int:
    """Return how many examples a check takes of those asked for."""
    return max(1, examples // check.thin)


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


def _account(error: Exception) -> str:
    return str(error) if isinstance(error, Mismatch) else f"raised {type(error).__name__}: {error}"
