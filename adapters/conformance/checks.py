"""The checks as a table: which cases each has."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st

from adapters import Adapter
from adapters.conformance import NAMES, STACKS, TIMEOUT, invariants, strides
from adapters.conformance.judge import TRAINED, several, whole, with_options
from adapters.conformance.report import Result
from reference import Case, LayersCase, Params, Precision
from reference.cells import NONLINEARITIES
from reference.strategies import (
    BATCHES,
    EDGES,
    FINITE,
    GATED,
    MANY,
    NORMS,
    UNPROBED,
    Shape,
    cases,
    longest,
    longest_unprobed,
    shapes,
    shortened,
    widest,
)

# Numbers in a stack, at most. Otherwise two of twelve shapes would take half of the time.
NUMBERS = 2**18

Judge = Callable[[Adapter, Case, Precision, Result], None]


@dataclass(frozen=True)
class Plan:
    """The checks of a run, and the number and the seed of their cases."""

    stacks: int  # before a check's own thinning
    seed: int  # the same seed gives the same cases to all adapters
    params: Mapping[str, Params] = field(default_factory=dict)  # instead of drawn ones, by cell
    nonlinearities: Sequence[str] = tuple(NONLINEARITIES)  # that a layer with these parameters may have
    checks: Sequence[str] = NAMES
    dtypes: Sequence[str] = ()  # all that each adapter is judged in without a request, if none is named
    timeout: float = TIMEOUT  # seconds a check in one dtype, in a process of its own
    reproduce: Path | None = None  # folder for reproductions


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
    trained: bool = False  # whether the weights are those of a trained model

    def shapes(self, adapter: Adapter, plan: Plan) -> tuple[Shape, ...]:
        """Return the shapes of a run, which depend on the seed, the number of stacks and the nonlinearities alone."""
        # A longer run has more shapes, and more cases of each.
        growth = math.ceil(math.sqrt(plan.stacks / STACKS))
        asked = tuple(f for f in self.nonlinearities if f in plan.nonlinearities)
        offered = tuple(f for f in asked if f in adapter.nonlinearities) or asked
        return pool_of_shapes(dataclasses.replace(self, nonlinearities=offered), plan.seed, self.pool * growth)

    def cases(self, adapter: Adapter, dtype: str, plan: Plan, judge: Callable[[Case], None]) -> None:
        """Have Hypothesis draw the cases of one shape after the other; its last call is the smallest failure."""
        pool, count = self.shapes(adapter, plan), max(len(self.nonlinearities), plan.stacks // self.thin)
        for i, shape in enumerate(pool[:count]):
            strategy = cases(
                dtype=dtype,
                cell=adapter.cell,
                shape=st.just(shape),
                stack=self.stack,
                numbers=NUMBERS,
                norms=self.norms,
                values=self.values,
                assorted=True,
                params=Params.load(TRAINED[adapter.cell]) if self.trained else plan.params.get(adapter.cell),
                direction=adapter.takes_direction,
                # Hypothesis prefers small numbers, with which the values of a run would be those of another.
                seed=Random(f"{self.name} {plan.seed} {i}").getrandbits(32),
            )
            examples = quiet(len(range(i, count, len(pool))) + 1, Phase.generate, Phase.shrink)
            hypothesis.seed(f"{plan.seed} {i}")(examples(hypothesis.given(strategy)(after_the_first(judge))))()


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
            short = shortened(found[i])
            N, H = max(short.N, math.ceil(check.rows / short.T)), max(short.H, 2)
            D = (1, H, H // 2)[(inputs + (short.T > 1)) % 3]
            found[i] = short._replace(N=N, D=D, H=H, probe=False)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A check on single cases of fixed shapes."""

    name: str
    judge: Judge = whole
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    shapes: tuple[Shape, ...]
    norm: float = 1.0

    def cases(self, adapter: Adapter, dtype: str, plan: Plan, judge: Callable[[Case], None]) -> None:
        """Judge one case after the other. A case without inputs has no probe, which would add some."""
        offered, along = adapter.nonlinearities, adapter.takes_direction
        most, wide = longest(dtype, adapter.cell), widest(dtype, adapter.cell, along)
        for T, N, D, H, nonlinearity, bias, probe in self.shapes:
            like: dict[str, Any] = {"seed": plan.seed, "dtype": dtype, "bias": bias, "norm": self.norm}
            f = nonlinearity if nonlinearity in offered else offered[0]
            case = Case.random(
                min(T, most), N, min(D, wide), min(H, wide), cell=adapter.cell, nonlinearity=f, direction=along, **like
            )
            judge(case.probed(plan.seed) if D and (probe or case.sizes["T"] > longest_unprobed(dtype)) else case)


@dataclass(frozen=True, kw_only=True)
class Several:
    """A check on several layers, whose shapes are fixed and whose values are drawn."""

    name: str
    judge: Callable[[Adapter, LayersCase, Precision, Result], None] = several
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    shapes: tuple[Mapping[str, Any], ...]
    thin: int = 4  # stacks of a run for each set of values

    def cases(self, adapter: Adapter, dtype: str, plan: Plan, judge: Callable[[Any], None]) -> None:
        """Judge one case after the other, the smallest first; a single layer of more steps has the probe."""
        offered = [f for f in self.nonlinearities if f in adapter.nonlinearities]
        for i, (shape, _) in enumerate(itertools.product(self.shapes, range(max(1, plan.stacks // self.thin)))):
            f, seed = offered[i % len(offered)], Random(f"{self.name} {plan.seed} {i}").getrandbits(32)
            case = LayersCase.random(**shape, seed=seed, dtype=dtype, cell=adapter.cell, nonlinearity=f, norm=0.9)
            judge(case.probed(seed) if case.layers == 1 and case.sizes["T"] > UNPROBED else case)


Check = Drawn | Fixed | Several
STEP = Drawn(name="step", lengths=(1,), stack=52, pool=4)
SEQUENCE = Drawn(name="sequence", lengths=(3, 4, 5, 2, 3, 4, 5, 6, 20), stack=76, pool=4, rows=MANY)
# The shapes of SEQUENCE, for which a compiler has compiled already.
EXTREMES = dataclasses.replace(SEQUENCE, name="extremes", norms=(0.5, 1.0), values=(*EDGES, *GATED))
LONG = Drawn(name="long", lengths=(1000,), stack=4, pool=1, thin=8, batches=(2, 4), nonlinearities=("tanh",))
NO_STEPS, NO_ROWS, NO_INPUTS = Shape(0, 2, 3, 4), Shape(3, 0, 3, 4, "relu"), Shape(1, 2, 0, 4)
ONES, INPUTS, UNITS = Shape(1, 1, 1, 1, "relu", False), Shape(2, 2, 512, 4, bias=False), Shape(2, 1, 4, 512, "relu")
ONE_INPUT = Shape(3, 4, 1, 3, probe=False), Shape(2, 6, 1, 4, "relu", bias=False, probe=False)
# Many steps of few inputs. The columns of the probe would be inputs, too.
PLAIN = (
    Shape(10, 4, 1, 3, "relu", probe=False),
    Shape(10, 3, 2, 4, probe=False),
    Shape(10, 3, 4, 4, "tanh", bias=False, probe=False),
)
# Rows and steps of real data; 33 rows are one more than a block.
LARGE = Shape(50, 100, 3, 4), Shape(100, 64, 2, 5, "relu"), Shape(300, 33, 3, 4, bias=False, probe=False)
# Units and rows beyond a block of 8, 16, 32, 64 or 128, and a few more or fewer.
SOME = Shape(2, 17, 3, 9), Shape(1, 33, 4, 31, "relu"), Shape(2, 20, 3, 65), Shape(1, 130, 2, 17, bias=False)
MORE = Shape(2, 9, 5, 130, "relu"), Shape(1, 5, 3, 513)
OF_OPTIONS = (Shape(4, 2, 3, 5), Shape(4, 2, 3, 5, "relu", bias=False))
ROWS = (Shape(4, 2, 3, 5), Shape(4, 2, 3, 5, "relu"))
TANH = ("tanh",)
# layers, directions, T, N, D, H and others, as of ``LayersCase.random``.
OF_LAYERS: tuple[dict[str, Any], ...] = (
    {"layers": 1, "directions": 2, "T": 1, "N": 2, "D": 3, "H": 2},
    {"layers": 2, "T": 2, "N": 2, "D": 3, "H": 4},
    {"layers": 1, "directions": 2, "T": 3, "N": 3, "D": 2, "H": 4, "bias": False},
    {"layers": 2, "directions": 2, "T": 3, "N": 3, "D": 4, "H": 3},
    {"layers": 1, "T": 6, "N": 4, "D": 2, "H": 3, "lengths": (2, 6, 1, 6)},
    {"layers": 1, "directions": 2, "T": 7, "N": 4, "D": 3, "H": 4, "lengths": (3, 1, 7, 4)},
    {"layers": 2, "directions": 2, "T": 5, "N": 3, "D": 2, "H": 4, "lengths": (5, 2, 2), "bias": False},
    {"layers": 3, "T": 4, "N": 3, "D": 5, "H": 4},
    {"layers": 1, "directions": 2, "T": 6, "N": 3, "D": 2, "H": 4, "lengths": (2, 6, 3), "padding": "last"},
    {"layers": 2, "T": 5, "N": 3, "D": 3, "H": 4, "lengths": (3, 1, 5), "padding": "last"},
    {"layers": 2, "T": 5, "N": 4, "D": 3, "H": 5, "dropout": 0.4},
    {"layers": 2, "directions": 2, "T": 12, "N": 5, "D": 3, "H": 4, "lengths": (4, 12, 9, 1, 7)},
    {"layers": 3, "directions": 2, "T": 3, "N": 2, "D": 2, "H": 3, "dropout": 0.2, "lengths": (1, 3)},
    {"layers": 3, "directions": 2, "T": 2, "N": 4, "D": 3, "H": 4},
    {"layers": 3, "directions": 2, "T": 2, "N": 4, "D": 2, "H": 3, "lengths": (1, 2, 2, 1)},
    {"layers": 1, "directions": 2, "T": 60, "N": 3, "D": 2, "H": 4, "lengths": (60, 31, 8)},
)
CHECKS: tuple[Check, ...] = (
    STEP,
    SEQUENCE,
    EXTREMES,
    dataclasses.replace(EXTREMES, name="nonfinite", values=("poisoned",), thin=2),
    LONG,
    Drawn(name="trained", lengths=(12,), stack=8, pool=1, thin=4, nonlinearities=TANH, trained=True),
    Fixed(
        name="shapes",
        shapes=(NO_STEPS, NO_ROWS, NO_INPUTS, ONES, INPUTS, UNITS, *ONE_INPUT, *PLAIN, *LARGE, *SOME, *MORE),
        norm=0.5,
    ),
    Fixed(name="strides", shapes=ROWS[:1], nonlinearities=TANH, judge=strides.judge),
    Fixed(name="options", shapes=OF_OPTIONS, judge=with_options),
    Fixed(name="invariants", shapes=ROWS, judge=invariants.judge),
    Fixed(name="10k-steps", shapes=(Shape(10_000, 1, 2, 3),), nonlinearities=TANH, norm=0.9),
    Several(name="layers", shapes=OF_LAYERS),
)


def suits(check: Check, params: Mapping[str, Params], nonlinearities: Iterable[str]) -> bool:
    """Return whether a check can run on parameters that a user gives, with these nonlinearities."""
    drawn = isinstance(check, Drawn) and not check.trained  # the parameters of a user replace drawn ones
    return not params or (drawn and not {*nonlinearities}.isdisjoint(check.nonlinearities))


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
