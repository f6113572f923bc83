"""paddle: on a CPU, an empty batch leaves the gradients of the biases of nn.SimpleRNN uninitialised.

Needs only NumPy and PaddlePaddle. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with paddlepaddle 3.3.1 on CPU; T=1, N=0, D=1, H=4, by the check "shapes".

The gradients of both weights are zeros, which is right. The gradients of the biases are not written.
"""

import sys

import numpy as np
import paddle
from paddle import nn

wrong = False
for _ in range(100):
    layer = nn.SimpleRNN(1, 4)
    paddle.full([4], 7.0)  # freed at once; its numbers stay in memory
    hs, _ = layer(paddle.zeros([0, 1, 1]))
    hs.sum().backward()
    found = {name: parameter.grad.numpy() for name, parameter in layer.named_parameters()}
    if any(np.any(gradient) for gradient in found.values()):
        wrong = True
        break
for name, gradient in found.items():
    print(f"for an empty batch, the gradient of {name} is {gradient.ravel()}")
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
