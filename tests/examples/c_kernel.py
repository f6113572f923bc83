"""A kernel in C, called through ctypes: the states of one layer, for inference.

rnn-oracle check c_kernel:kernel
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from adapters.conformance import check, forward_only

SOURCE = """
#include <math.h>
#include <string.h>

void rnn(long T, long N, long D, long H, const float *xs, const float *h0,
         const float *Wx, const float *Wh, const float *b, float *hs)
{
    for (long t = 0; t < T; t++)
        for (long n = 0; n < N; n++) {
            const float *x = xs + (t * N + n) * D;
            const float *before = t ? hs + ((t - 1) * N + n) * H : h0 + n * H;
            float *h = hs + (t * N + n) * H;
            for (long j = 0; j < H; j++) {
                float sum = b[j];
                for (long i = 0; i < D; i++) sum += x[i] * Wx[i * H + j];
                for (long i = 0; i < H; i++) sum += before[i] * Wh[i * H + j];
                h[j] = tanhf(sum);
            }
        }
}
"""


@cache
def library(source: str) -> Any:
    """Compile the source with cc, and load it."""
    folder = Path(tempfile.mkdtemp())
    (folder / "rnn.c").write_text(source)
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(folder / "rnn.so"), str(folder / "rnn.c"), "-lm"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "rnn.so"))


def states(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states, (T, N, H). C has no strides: every array is made contiguous."""
    hs = np.empty((len(xs), *h0.shape), np.float32)
    arrays = [np.ascontiguousarray(array) for array in (xs, h0, Wx, Wh, b)]
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (*arrays, hs)]
    library(SOURCE).rnn(*map(ctypes.c_long, (*xs.shape, h0.shape[1])), *pointers)
    return hs


kernel = forward_only(
    states, tanh_ulps={"float32": 2.5}
)  # float32 alone; the error of tanhf in units in the last place

if __name__ == "__main__":
    print(check(kernel))
