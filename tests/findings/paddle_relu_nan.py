"""paddle: on a CPU, relu makes 0 of NaN, also in recurrent layers and cells.

Needs only NumPy and PaddlePaddle. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with paddlepaddle 3.3.1 on CPU; T=1, N=1, D=1, H=1, by the check "nonfinite".
"""

import sys

import numpy as np
import paddle
from paddle import nn

nan = paddle.full([1, 1, 1], np.nan)
found = {}
for activation in ("tanh", "relu"):
    hs, _ = nn.SimpleRNN(1, 1, activation=activation)(nan)
    h, _ = nn.SimpleRNNCell(1, 1, activation=activation)(nan[0])
    found[activation] = [float(array.numpy().ravel()[0]) for array in (hs, h)]
    layer, cell = found[activation]
    print(f"with {activation}, SimpleRNN returns {layer} and SimpleRNNCell {cell} for NaN")
wrong = not np.isnan(found["relu"]).all()
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
