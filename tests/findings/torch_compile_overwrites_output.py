"""torch: under torch.compile, in half precisions, backward overwrites the result of forward.

Needs only PyTorch and a C++ compiler. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with torch 2.13.0 on CPU; T=1, N=2, D=4, H=4, by the check "step" of an adapter that compiles nn.RNNCell.

The states of one step are torch.stack([h]). The compiled forward returns the memory of h, which is also saved for the
derivative of tanh. Backward reuses this memory and writes the gradient into it. In float32 it does not.
"""

import sys

import torch


def layer(x, w, b):
    """Return the states of a sequence of one step."""
    return torch.stack([torch.tanh(torch.nn.functional.linear(x, w, b))])


wrong = False
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    torch.manual_seed(0)
    inputs = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in ((2, 4), (4, 4), (4,))]
    states = torch.compile(layer, dynamic=False, fullgraph=True)(*inputs)
    before = states.detach().clone()
    torch.autograd.grad(states, inputs, torch.full_like(states, 3.0))
    changed = int((states != before).sum())
    first = f"{before.flatten()[0].item():.4f} before backward, {states.flatten()[0].item():.4f} after"
    print(f"{dtype!s:16} {changed} of {states.numel()} states changed; the first is {first}")
    wrong = wrong or changed > 0
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
