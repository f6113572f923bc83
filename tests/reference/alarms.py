"""Look for false alarms: judge correct NumPy code of unusual but legitimate arithmetic.

    python -m tests.reference.alarms [--cases 200000] [--cells rnn lstm] [--dtypes float32] [--seed 0]

Each stack of cases has a way of its own: one of nine orders of summation, one product for [h, x] or two, one bias or
two, three forms of tanh and of the sigmoid, several of their slopes and of the update, results flushed to zero or not.
The shapes are those of ``check`` and of the mutation score: N up to 100, T up to 300. In half precisions T is at most
50, and other sizes are up to 1,024.

The script prints one line for each cell and precision. The exit status is 1 if a verdict on correct code was "fail".
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from reference import PRECISIONS, Case
from reference.cells import CELLS
from reference.strategies import EDGES, GATED, VALUES, cases, shapes
from reference.trial import trial
from tests.reference import test_gated_soundness, test_soundness
from tests.reference.conftest import ROUGHEST, TANHS, PlainRNN
from tests.reference.plain_gated import PlainGated

# Examples of one run of Hypothesis, at most; cases of a stack, and numbers in it.
EXAMPLES, STACK, NUMBERS = 100, 64, 2**17
TANH = st.sampled_from(list(TANHS))


def alarms(cell: str, dtype: str, count: int, seed: int) -> Counter[str]:
    """Return the number of verdicts of each status on correct code, and print each that is "fail".

    Args:
        cell: a key of ``CELLS``.
        dtype: a precision.
        count: number of cases, at least.
        seed: seed of the cases and of the ways.
    """
    plain, ways = (PlainRNN, test_soundness.WAYS) if cell == "rnn" else (PlainGated, test_gated_soundness.WAYS)
    like: dict[str, Any] = {"dtype": dtype, "cell": cell, "stack": STACK, "numbers": NUMBERS, "assorted": True}
    # As in ``check``: values at the limits of a format are in small shapes, and their states do not grow.
    limits = cases(**like, values=(*EDGES, *GATED, "poisoned"), shape=shapes(), norms=(0.5, 1.0))
    found: Counter[str] = Counter()

    quiet: dict[str, Any] = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}

    @settings(max_examples=min(EXAMPLES, 2 + count // STACK), phases=[Phase.generate], **quiet)
    @hypothesis.given(cases(**like, values=(*VALUES, *GATED)) | limits, ways, TANH)
    def judge(case: Case, way: dict[str, Any], tanh: str) -> None:
        model = PRECISIONS[dtype] if cell == "rnn" else test_gated_soundness.model_of(dtype, way)
        with np.errstate(all="ignore"):  # NumPy's warnings of NaN and infinity
            verdict = trial(plain(**way, tanh=tanh), case, model.with_tanh(ROUGHEST))
        found.update(verdict.statuses)
        if verdict.status == "fail":
            sys.stdout.write(f"{cell} {verdict}\n{way | {'tanh': tanh}}\n")

    while found.total() < count:
        hypothesis.seed(f"{seed} {found.total()}")(judge)()
    return found


def main() -> int:
    """Judge every cell in every precision, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200_000, help="cases of each cell, in all precisions together")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--dtypes", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--seed", type=int, default=0)
    asked, total = parser.parse_args(), 0
    for cell in asked.cells:
        for dtype in asked.dtypes:
            found = alarms(cell, dtype, asked.cases // len(asked.dtypes), asked.seed)
            total += found["fail"]
            words = f"{found['fail']} alarms, {found['inconclusive']} inconclusive"
            sys.stdout.write(f"{cell} {dtype}: {words} in {found.total():,} cases\n")
            sys.stdout.flush()
    return min(total, 1)


if __name__ == "__main__":
    sys.exit(main())
