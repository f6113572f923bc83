"""autograd: in forward mode, the derivative of anp.where is float64 for every dtype of its arguments.

Needs only NumPy and Autograd. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with autograd 1.9.1; T=1, N=1, D=1, H=1, by every check of an adapter with make_jvp of a composed relu.

The rule uses anp.zeros of the shape of the derivative. These zeros are float64, and anp.where promotes. Reverse mode
uses the same zeros, and only the next product restores the dtype.
"""

import sys

import autograd.numpy as anp
import numpy as np
from autograd import make_jvp, make_vjp


def relu(a):
    """Return relu of a, written with anp.where."""
    return anp.where(a <= 0, 0, a)


wrong = False
for dtype in ("float16", "float32", "float64"):
    a = np.ones(1, dtype)
    value, pushed = make_jvp(relu)(a)(np.ones(1, dtype))
    pulled = make_vjp(relu)(a)[0](np.ones(1, dtype))
    print(f"{dtype}: value {value.dtype}, make_jvp {pushed.dtype}, make_vjp {pulled.dtype}")
    wrong = wrong or pushed.dtype != dtype
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
