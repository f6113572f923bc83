"""A layer written as a ``torch.autograd.Function``, such as a wrapper of a fused kernel.

python torch_function.py
rnn-oracle check torch_function:my_layer
"""

from typing import Any

import torch

from adapters import Unsupported
from adapters.conformance import check
from adapters.torch import as_array, as_tensor, pull_back  # bfloat16, too, which NumPy and torch do not share
from reference import Case, Evaluation


class Layer(torch.autograd.Function):
    """h[t] = tanh(h[t-1] @ Wh + x[t] @ Wx + b), with its gradient written by hand."""

    @staticmethod
    def forward(ctx: Any, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        """Return all states, (T, N, H)."""
        states = [h0]
        for x in xs:
            states.append(torch.tanh(states[-1] @ Wh + x @ Wx + b))
        hs = torch.stack(states)
        ctx.save_for_backward(xs, hs, Wx, Wh)
        return hs[1:]

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        """Return the gradients of the arguments of forward."""
        xs, hs, Wx, Wh = ctx.saved_tensors
        A, dh = torch.empty_like(upstream), torch.zeros_like(hs[0])
        for t in reversed(range(len(xs))):
            A[t] = (upstream[t] + dh) * (1 - hs[t + 1] ** 2)
            dh = A[t] @ Wh.T
        rows = A.flatten(0, 1)
        return A @ Wx.T, dh, xs.flatten(0, 1).T @ rows, hs[:-1].flatten(0, 1).T @ rows, rows.sum(0)


def my_layer(case: Case) -> Evaluation:
    """Run the layer on a case: convert arrays to tensors, run forward and backward, and convert back."""
    if case.nonlinearity != "tanh" or case.params.b is None:
        raise Unsupported("my_layer has tanh and a bias, always")
    arrays = (case.xs, case.h0, case.params.Wx, case.params.Wh, case.params.b)
    leaves = [as_tensor(array).requires_grad_() for array in arrays]  # the memory of the case, strides and all
    hs = Layer.apply(*leaves)
    return Evaluation(as_array(hs), *map(as_array, pull_back(hs, leaves, as_tensor(case.upstream))))


if __name__ == "__main__":
    print(check(my_layer))
