"""The oracle as a subject, rounded once: it is right, and uses more digits inside than other subjects.

``rnn-oracle check tests.conformance.exact:ADAPTERS`` tests the suite. If it fails, the suite is wrong. If a case is
inconclusive here, it is inconclusive for every subject.
"""

import numpy as np

from adapters import TWICE, Adapter
from reference import PRECISIONS, Case, Evaluation, evaluate


def rounded(case: Case) -> Evaluation:
    """Evaluate a case in float64, and round the result to the dtype of the case."""
    with np.errstate(over="ignore"):
        return evaluate(case).astype(case.dtype)


ULPS = {dtype: model.tanh_ulps for dtype, model in PRECISIONS.items()}
ADAPTERS = tuple(
    Adapter(name, rounded, "the oracle, rounded once", np.tanh, ULPS, takes_stacks=True, **more)
    for name, more in {"exact.vjp": {}, "exact.twice": TWICE}.items()
)
