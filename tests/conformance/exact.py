"""The oracle as a subject, rounded once: it holds more digits inside than anyone, and is right.

``rnn-oracle check tests.conformance.exact:ADAPTERS`` judges the cases themselves: an alarm is one of ours,
and a case of which nothing can be told says nothing of anybody.
"""

import numpy as np

from adapters import TWICE, Adapter
from reference import PRECISIONS, Case, Evaluation, evaluate


def rounded(case: Case) -> Evaluation:
    """Evaluate a case in float64, and round what comes of it to its dtype."""
    with np.errstate(over="ignore"):
        return evaluate(case).astype(case.dtype)


ULPS = {dtype: model.tanh_ulps for dtype, model in PRECISIONS.items()}
ADAPTERS = tuple(
    Adapter(name, rounded, "the oracle, rounded once", np.tanh, ULPS, takes_stacks=True, **more)
    for name, more in {"exact.vjp": {}, "exact.twice": TWICE}.items()
)
