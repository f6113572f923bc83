"""A layer written by hand in NumPy, with a mistake: run it, read the message, fix the line.

    python numpy_by_hand.py
    rnn-oracle check numpy_by_hand:my_cell

The README shows the message and the fix under "Bring your own cell".
"""

import numpy as np

from adapters import Unsupported
from adapters.conformance import check
from reference import Case, Evaluation


def my_cell(case: Case) -> Evaluation:  # xs (T, N, D), h0 (N, H), upstream (T, N, H)
    if case.nonlinearity != "tanh" or case.params.b is None:
        raise Unsupported("my_cell has tanh and a bias, always")
    Wx, Wh, b, hs, A = case.params.Wx, case.params.Wh, case.params.b, 0 * case.upstream, 0 * case.upstream
    for t, x in enumerate(case.xs):
        hs[t] = np.tanh((hs[t - 1] if t else case.h0) @ Wh + x @ Wx + b)
    dh = 0 * case.h0
    for t in reversed(range(len(hs))):
        A[t] = (case.upstream[t] + dh) * (1 - hs[t] ** 2)
        dh = A[t] @ Wh
    before = np.concatenate([case.h0[None], hs])[:-1]
    dWx, dWh = (np.tensordot(left, A, ((0, 1), (0, 1))) for left in (case.xs, before))
    return Evaluation(hs, A @ Wx.T, dh, dWx, dWh, A.sum(axis=(0, 1)))


if __name__ == "__main__":
    print(check(my_cell, dtypes=["float32"]))
