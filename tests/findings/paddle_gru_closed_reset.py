"""paddle: on a CPU, the gradients of nn.GRU are NaN where a reset gate is 0; those of nn.GRUCell are right.

Needs only NumPy and PaddlePaddle. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with paddlepaddle 3.3.1 on CPU; T=1, N=1, D=1, H=1, by the check "extremes", shrunk.

The gate r is 0 from a pre-activation of about -104 on in float32. The kernel's backward divides r * v by r to get v.
"""

import sys

import numpy as np
import paddle


def gradient(kind, pre_activation):
    """Return the gradient of x after one step, with this pre-activation of the reset gate."""
    module = kind(1, 1)
    for name, parameter in module.named_parameters():
        reset = [pre_activation, 0, 0] if name.startswith("bias_ih") else [0, 0, 0]
        values = np.reshape([1, 1, 1] if name.startswith("weight") else reset, parameter.shape)
        parameter.set_value(values.astype(np.float32))
    x, h = (paddle.zeros([1, 1, 1] if kind is paddle.nn.GRU else [1, 1]) for _ in range(2))
    x.stop_gradient = h.stop_gradient = False
    outputs, _ = module(x, h)
    found, *_ = paddle.grad([outputs], [x, h, *module.parameters()], [paddle.ones_like(outputs)])
    return float(found.numpy().ravel()[0])


wrong = False
for pre_activation in (-10.0, -80.0, -200.0):
    layer, cell = (gradient(kind, pre_activation) for kind in (paddle.nn.GRU, paddle.nn.GRUCell))
    print(f"reset gate of sigmoid({pre_activation:g}): dx is {layer:.6g} of GRU, {cell:.6g} of GRUCell")
    wrong |= not np.isfinite(layer)
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
