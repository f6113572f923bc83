"""The checks: which cases an adapter is judged on, and the judging of one check with one adapter and dtype."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st

from adapters import Adapter, Refused
from adapters.conformance import memory
from adapters.conformance.laws import LAWS
from reference import Case, Evaluation, Mismatch, Params, Precision, Verdict, certify
from reference.strategies import BATCHES, EDGES, FINITE, NORMS, Shape, cases, shapes
from reference.trial import trial
from reference.verdict import QUANTITIES

# A character RNN of 64 units; tests/trained has the text and the script that trained it.
TRAINED = Path(__file__).parent / "char_rnn.npz"

# Stacks of cases that a check is asked for by default.
EXAMPLES = 16
# Numbers in the parameters of one stack, so that large weights do not fill the memory.
LARGEST_STACK = 4_000_000


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
    known: str | None = None  # why a failure is expected, and where that is written down
    counterexample: Case | None = None
    diagnosis: str | None = None
    reproduction: list[Path] = field(default_factory=list)
    interrupted: bool = False

    @property
    def status(self) -> str:
        """Give "fail", "stale", "known", "interrupted", "inconclusive", "refused", "empty" or "pass".

        "stale": a failure was expected, and there is none. "refused": nothing was on offer. "empty": nothing was judged.
        """
        if self.failure is not None:
            return "known" if self.known else "fail"
        if self.interrupted:
            return "interrupted"
        if self.known:
            return "stale"
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
        self.cases += len(verdict.statuses)
        self.inconclusive += verdict.statuses.count("inconclusive")
        for name, worst in verdict.worst.items():
            self.worst[name] = max(self.worst.get(name, 0.0), worst.ratio)
        self.resolutions += np.max([judged.resolutions for judged in verdict.judged.values()], axis=0).tolist()

    def refuse(self, refusal: str) -> None:
        """Note a refusal, once."""
        if refusal not in self.refusals:
            self.refusals.append(refusal)


Judge = Callable[[Adapter, Case, Precision, Result], None]


def whole(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge all that an adapter returns for a case, and that it returns it again."""
    subject = offering(adapter, precision)
    verdict = trial(subject, case, precision, repeat=adapter.takes_stacks)
    if not adapter.takes_stacks and case.K:
        trial(subject, case[0], precision, repeat=True)
    accept(verdict, result)


def accept(verdict: Verdict, result: Result) -> None:
    """Count a verdict, and raise Mismatch with the first case that failed."""
    if result.failure is None:
        result.add(verdict)
    if verdict.status == "fail":
        single = verdict if verdict.case.K is None else verdict.of(verdict.statuses.index("fail"))
        raise Mismatch(str(single), single)


def offering(adapter: Adapter, precision: Precision) -> Callable[[Case], Evaluation]:
    """Return the adapter, held to all that it offers, without weight gradients of which no bound can tell anything.

    Where the accumulator is wider than the storage, each step's share of them is rounded to storage: after some fifty
    steps of bfloat16 that may be all there is.
    """

    def subject(case: Case) -> Evaluation:
        evaluation = adapter(case)
        if not isinstance(evaluation, Evaluation):
            return evaluation
        for name, quantity in QUANTITIES.items():
            wanted = quantity in adapter.offers and (case.params.b is not None or not name.startswith("db"))
            if wanted != (getattr(evaluation, name) is not None):
                what = f"{'a' if wanted else 'no'} {name}"
                raise Mismatch(f"contract: expected {what}, as {adapter.name} offers {list(adapter.offers)}")
        mixed = precision.accumulator.u < precision.u
        if mixed and precision.storing(case.sizes["T"]).stored * precision.u > precision.coarsest / 2:
            gone = {name: None for name in QUANTITIES if name.startswith(("dW", "db"))}
            return dataclasses.replace(evaluation, **gone)
        return evaluation

    return subject


def in_memory(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge an adapter on a case in every layout of its memory."""
    verdicts, refusals = memory.judge(adapter, case, precision)
    for verdict in verdicts:
        accept(verdict, result)
    for refusal in refusals:
        result.refuse(refusal)


def with_options(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge the options that a framework offers, on a single row that starts from zeros."""
    if not adapter.options:
        result.refuse(f"{adapter.name}: no options")
    for name, run in adapter.options.items():
        try:
            accept(certify(case, run(case), precision), result)
        except Mismatch as error:
            raise Mismatch(f"{name}: {error}", error.verdict) from error


def lawful(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Hold an adapter to the laws that need no oracle."""
    for law in LAWS.values():
        law(adapter, case, precision)
        result.cases += 1


@dataclass(frozen=True, kw_only=True)
class Check:
    """One kind of cases, and how an adapter is judged on them."""

    name: str
    describe: str
    judge: Judge = whole

    def count(self, examples: int) -> int:
        """Return how many examples the check takes of those asked for."""
        raise NotImplementedError

    def each(
        self, adapter: Adapter, dtype: str, seed: int, examples: int, params: Params | None, judge: Callable[[Case], None]
    ) -> None:
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
    params: Path | None = None

    def count(self, examples: int) -> int:
        """Return how many examples the check takes of those asked for."""
        return max(1, examples // self.thin)

    def strategy(
        self, dtype: str, seed: int, examples: int, params: Params | None = None, *, direction: bool = False
    ) -> st.SearchStrategy[Case]:
        """Return the strategy for this check's stacks of cases, over a pool of shapes that the seed fixes."""
        params = Params.load(self.params) if self.params else params
        pool = self.shapes(seed, self.pool * math.ceil(examples / EXAMPLES))
        stack = self.stack
        if params is not None:
            stack = max(1, min(stack, LARGEST_STACK // (params.Wx.size + params.Wh.size + 1)))
        return cases(
            dtype=dtype,
            shape=st.sampled_from(pool),
            stack=stack,
            norms=self.norms,
            values=self.values,
            params=params,
            direction=direction,
        )

    @cache  # noqa: B019: one for each check, dtypes and adapters share it
    def shapes(self, seed: int, pool: int) -> tuple[Shape, ...]:
        """Draw the pool of shapes of a run, smallest first, so that a failure shrinks towards it."""
        drawn: list[Shape] = []

        @hypothesis.seed(seed)
        @quiet(pool, Phase.generate)
        @hypothesis.given(shapes(lengths=self.lengths, batches=self.batches, nonlinearities=self.nonlinearities))
        def draw(shape: Shape) -> None:
            drawn.append(shape)

        draw()
        return tuple(sorted(set(drawn), key=lambda shape: (np.prod(shape[:4]), shape)))

    def each(
        self, adapter: Adapter, dtype: str, seed: int, examples: int, params: Params | None, judge: Callable[[Case], None]
    ) -> None:
        """Have Hypothesis draw the cases; it runs the smallest failure last."""
        strategy = self.strategy(dtype, seed, examples, params, direction=adapter.takes_direction)
        drawing = hypothesis.given(strategy)(judge)
        hypothesis.seed(seed)(quiet(self.count(examples), Phase.generate, Phase.shrink)(drawing))()


@dataclass(frozen=True, kw_only=True)
class Fixed(Check):
    """Cases of fixed shapes, each judged once."""

    shapes: tuple[Shape, ...]
    options: dict[str, Any] = field(default_factory=dict)  # of Case.random
    single: bool = True
    h0: float = 1.0  # what the initial state is multiplied by
    probe: bool = True

    def count(self, examples: int) -> int:
        """Return the number of shapes, however many examples are asked for."""
        return len(self.shapes)

    def cases(self, dtype: str, seed: int, *, direction: bool = False) -> Iterator[Case]:
        """Give the cases."""
        stack = None if self.single else 2
        for shape in self.shapes:
            T, N, D, H, nonlinearity, bias = shape
            like: dict[str, Any] = {"dtype": dtype, "seed": seed, "stack": stack, "direction": direction}
            case = Case.random(T, N, D, H, nonlinearity=nonlinearity, bias=bias, **like, **self.options)
            case = dataclasses.replace(case, h0=case.h0 * np.asarray(self.h0, case.h0.dtype))
            yield case.probed() if self.probe else case

    def each(
        self, adapter: Adapter, dtype: str, seed: int, examples: int, params: Params | None, judge: Callable[[Case], None]
    ) -> None:
        """Judge one case after the other."""
        for case in self.cases(dtype, seed, direction=adapter.takes_direction):
            judge(case)


SEQUENCES = (3, 4, 5, 2, 3, 4, 5, 6, 20)
CHECKS: tuple[Check, ...] = (
    Drawn(name="step", describe="one step, forward and back", lengths=(1,), stack=52, pool=3),
    Drawn(name="sequence", describe="2 to 20 steps, probed", lengths=SEQUENCES, stack=76, pool=3),
    Drawn(
        name="edges",
        describe="saturated, subnormal, huge, cancelling, one-hot, zeros, NaN and infinity",
        lengths=SEQUENCES,
        stack=76,
        pool=3,
        norms=(0.5, 1.0),
        values=EDGES,
    ),
    Drawn(
        name="long",
        describe="200 and 1000 steps",
        lengths=(200, 1000),
        stack=4,
        pool=2,
        thin=8,
        batches=(2, 4),
        nonlinearities=("tanh",),
    ),
    Drawn(
        name="trained",
        describe="a trained character RNN of 64 units",
        lengths=(12,),
        stack=8,
        pool=1,
        thin=4,
        nonlinearities=("tanh",),
        params=TRAINED,
    ),
    Fixed(
        name="shapes",
        describe="no steps, no rows, no inputs, one of each, 512 inputs, 512 units",
        shapes=(
            Shape(0, 2, 3, 4),
            Shape(3, 0, 3, 4, "relu"),
            Shape(3, 2, 0, 4),
            Shape(1, 1, 1, 1, "relu", bias=False),
            Shape(2, 2, 512, 4, bias=False),
            Shape(2, 1, 4, 512, "relu"),
        ),
        options={"norm": 0.5},
    ),
    Fixed(
        name="memory",
        describe="transposed, strided, reversed, read-only, misaligned, repeated inputs",
        shapes=(Shape(4, 2, 3, 5),),
        judge=in_memory,
    ),
    Fixed(
        name="options",
        describe="what else a framework offers: unbatched, h0 omitted",
        shapes=(Shape(4, 1, 3, 5), Shape(4, 1, 3, 5, "relu", bias=False)),
        judge=with_options,
        h0=0.0,
    ),
    Fixed(
        name="laws",
        describe="rows, cuts, and a linear pull-back, without an oracle",
        shapes=(Shape(4, 2, 3, 5), Shape(4, 2, 3, 5, "relu")),
        judge=lawful,
    ),
    Fixed(
        name="endless",
        describe="10,000 steps",
        shapes=(Shape(10_000, 1, 2, 3),),
        options={"norm": 0.9},
    ),
)


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
    known = adapter.known.get(check.name) or adapter.known.get(f"{check.name} {dtype}")
    result.known = f"{known.reason} ({known.reference})" if known else None

    def judge(case: Case) -> None:
        try:
            check.judge(adapter, case, precision, result)
        except Refused as refusal:
            result.refuse(str(refusal))
        except Exception as error:
            found = error.verdict.case if isinstance(error, Mismatch) and error.verdict else case
            result.failure, result.counterexample = f"{adapter.name} {_account(error, dtype)}", found
            raise
        if result.failure is None:
            result.examples += 1
            advance()

    # Hypothesis runs the smallest failure last, so that what result holds then is that one.
    try:
        check.each(adapter, dtype, seed, examples, params, judge)
    except KeyboardInterrupt:
        result.interrupted = True
        raise
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


def _account(error: Exception, dtype: str) -> str:
    if isinstance(error, Mismatch):
        return str(error) if error.verdict else f"{dtype}: {error}"
    return f"{dtype}: raised {type(error).__name__}: {error}"
