"""A kernel compiled by Numba: the states of an LSTM, for inference.

rnn-oracle check numba_kernel:kernel
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from adapters.conformance import check, forward_only


@numba.njit
def sigmoid(a: Any) -> Any:
    """Return the sigmoid of a number."""
    return 1 / (1 + np.exp(-a))


@numba.njit
def steps(xs: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states, (T, N, H), and the last c."""
    (T, N, D), H = xs.shape, h0.shape[1]
    hs, c, a = np.empty((T, N, H), xs.dtype), c0.copy(), np.empty(4 * H, xs.dtype)
    for t in range(T):
        for n in range(N):
            for j in range(4 * H):
                a[j] = b[j]
                for i in range(D):
                    a[j] += xs[t, n, i] * Wx[i, j]
                for i in range(H):
                    a[j] += (hs[t - 1, n, i] if t > 0 else h0[n, i]) * Wh[i, j]
            for j in range(H):
                c[n, j] = sigmoid(a[H + j]) * c[n, j] + sigmoid(a[j]) * np.tanh(a[2 * H + j])
                hs[t, n, j] = sigmoid(a[3 * H + j]) * np.tanh(c[n, j])
    return hs, c


@forward_only
def kernel(xs: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Call the compiled function, which is compiled again for every layout of memory."""
    return steps(*map(np.ascontiguousarray, (xs, h0, c0, Wx, Wh, b)))


if __name__ == "__main__":
    print(check(kernel))
