"""Measure the tanh and the sigmoid of every installed framework against Arb, beside what its adapters declare.

    python -m tests.benchmarks.accuracy [FRAMEWORK ...]

An entry is "measured of declared". The tanh is measured in units in the last place of the exact value, the sigmoid in
units of 2 u times it. Where an adapter declares an absolute error of the sigmoid besides, this is measured above 0.
What exceeds it below 0 has a row of its own, in units of u.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from operator import attrgetter
from typing import Any

import flint

import adapters
from adapters import Adapter
from reference import PRECISIONS
from tests.adapters.test_sigmoid import TAIL
from tests.adapters.test_sigmoid import sweep as sweep_of_sigmoid
from tests.adapters.test_tanh import error_in_ulps, sweep
from tests.benchmarks.timing import Table


def tanh(adapter: Adapter, dtype: str) -> str:
    """Return the largest error of a tanh in ulp, of what is declared."""
    regions = (x for name, x in sweep(dtype).items() if name != "subnormal")
    worst = max(error_in_ulps(adapter.tanh(x), x).max() for x in regions)
    return f"{worst:.2f} of {adapter.tanh_ulps[dtype]:g}"


def sigmoid(adapter: Adapter, dtype: str, *, tail: bool = False) -> str:
    """Return the largest relative error of a sigmoid, or in the tail what exceeds that, of what is declared."""
    assert adapter.sigmoid is not None
    flint.ctx.prec = 120
    x, model, worst = sweep_of_sigmoid(dtype), adapter.precision(dtype), 0.0
    x = x[(x < 0) == tail] if model.sigmoid_absolute else x[x > TAIL[dtype]]
    for argument, value in zip(x, adapter.sigmoid(x), strict=True):
        exact = 1 / (1 + (-flint.arb(float(argument))).exp())
        error, ulp = abs(float(flint.arb(float(value)) - exact)), 2 * model.u * float(exact)
        worst = max(worst, (error - model.sigmoid_ulps * ulp) / model.u if tail else error / ulp)
    return f"{worst:.2g} of {model.sigmoid_absolute if tail else model.sigmoid_ulps:g}"


def in_tail(adapter: Adapter) -> list[str]:
    """Return the dtypes in which an adapter declares an absolute error of the sigmoid."""
    return [dtype for dtype in adapter.dtypes if adapter.precision(dtype).sigmoid_absolute]


# From a name to the measure, the function of an adapter, and the dtypes in which an adapter has it.
FUNCTIONS: dict[str, Any] = {
    "tanh": (tanh, attrgetter("tanh"), lambda adapter: adapter.dtypes),
    "sigmoid": (sigmoid, attrgetter("sigmoid"), lambda adapter: adapter.dtypes if adapter.cell != "rnn" else ()),
    "sigmoid below 0": (
        partial(sigmoid, tail=True),
        attrgetter("sigmoid"),
        lambda adapter: in_tail(adapter) if adapter.cell != "rnn" else (),
    ),
}


def rows(framework: str) -> Iterator[list[str | float]]:
    """Yield the rows of a framework: one for each function that its adapters have, named after the first of them."""
    for name, (measure, function, dtypes) in FUNCTIONS.items():
        groups: dict[str, dict[str, Adapter]] = {}
        for adapter in filter(dtypes, adapters.load_framework(framework).ADAPTERS):
            own = function(adapter)
            same = groups.setdefault(repr((getattr(own, "func", own), getattr(own, "keywords", {}))), {})
            for dtype in dtypes(adapter):
                same.setdefault(dtype, adapter)
        for same in groups.values():
            entries = (measure(same[dtype], dtype) if dtype in same else "-" for dtype in PRECISIONS)
            yield [framework if len(groups) == 1 else next(iter(same.values())).name, name, *entries]


def main() -> None:
    """Print the table, each framework measured in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frameworks", nargs="*", default=[n for n in adapters.frameworks() if not adapters.missing(n)])
    named = parser.parse_args().frameworks
    if len(named) == 1:
        sys.stdout.write(str(Table((), [*rows(*named)])).partition("\n")[2].partition("\n")[2])
        return
    sys.stdout.write(str(Table(("framework", "function", *PRECISIONS), [])))
    for each in named:
        ran = subprocess.run([sys.executable, "-m", "tests.benchmarks.accuracy", each], capture_output=True, text=True)
        sys.stdout.write(ran.stdout if ran.returncode == 0 else f"{each}: {ran.stderr}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
