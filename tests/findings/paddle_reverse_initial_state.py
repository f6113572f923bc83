"""paddle: on a CPU, the backward of the reverse direction takes zero for the initial state of a shorter row.

Needs only NumPy and PaddlePaddle. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with paddlepaddle 3.3.1 on CPU; T=2, N=1, D=1, H=1, length 1, by the check "layers", shrunk.

The row is run twice: with a step of padding, and without one. Outputs are equal; the gradients must be, too.
"""

import sys

import numpy as np
import paddle

paddle.set_default_dtype("float64")


def gradients(kind, steps, lengths):
    """Return the output of the first step, and the gradients of the reverse recurrent weight and of x there."""
    module = kind(1, 1, direction="bidirect", time_major=True)
    for parameter in module.parameters():
        parameter.set_value(np.full(parameter.shape, 0.5))
    x, *states = (paddle.full([size, 1, 1], 0.5) for size in (steps, 2, 2))
    for tensor in (x, *states):
        tensor.stop_gradient = False
    outputs, _ = module(x, states if kind is paddle.nn.LSTM else states[0], lengths)
    outputs[0].sum().backward()
    return [one.numpy().ravel() for one in (outputs[0], module.weight_hh_l0_reverse.grad, x.grad[0])]


wrong = False
for kind in (paddle.nn.SimpleRNN, paddle.nn.LSTM, paddle.nn.GRU):
    padded, plain = gradients(kind, 2, paddle.to_tensor([1])), gradients(kind, 1, None)
    for what, one, other in zip(("outputs", "dWh", "dx"), padded, plain, strict=True):
        print(f"{kind.__name__}, {what}: {one.round(4)} with padding, {other.round(4)} without")
        wrong |= bool(abs(one - other).max() > 0.001)
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
