"""torch: under torch.compile, in half precisions, the backward of nn.LSTMCell is no valid C++ for eight rows or more.

Needs only PyTorch and a C++ compiler. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with torch 2.13.0 on CPU; T=1, N=8, D=33, H=8, by the check "sequence" of an adapter that compiles nn.LSTMCell.

The gradients of both biases are one sum over the rows. The generated kernel stores it twice, and declares the variable
of the converted sum twice.
"""

import sys

import torch

wrong = False
for dtype, rows in ((torch.float32, 8), (torch.bfloat16, 4), (torch.bfloat16, 8), (torch.float16, 8)):
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(3, 4, dtype=dtype)
    h, c = torch.compile(cell, dynamic=False, fullgraph=True)(torch.randn(rows, 3, dtype=dtype))
    try:
        (h.sum() + c.sum()).backward()
        found = "right"
    except torch._inductor.exc.InductorError as error:
        lines = [line for line in str(error).splitlines() if " error: " in line]
        found, wrong = f"{type(error).__name__}: {lines[0].partition(' error: ')[2] if lines else error}", True
    print(f"{dtype!s:16} {rows} rows: {found}")
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
