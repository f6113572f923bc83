"""torch: in bfloat16, a row of a product is NaN because the row after it is.

Needs only PyTorch. Exit status: 1 while the fault is there, 0 once it is fixed, 2 on processors that use other code.
The fault is in oneDNN's code for processors with AMX.
Found with torch 2.13.0 on CPU by the check "nonfinite" of nn.RNN, T=20, N=5, D=69, H=64; shrunk to 17 rows, columns and
units.

A product is computed in tiles of 32 columns. If a row does not fill its last tile, the beginning of the next row in
memory is multiplied by zeros. Infinity or NaN times zero is NaN.
"""

import sys

import torch

wrong = False
for value in (float("inf"), float("nan")):
    x = torch.ones(17, 17, dtype=torch.bfloat16)
    x[8, 0] = value
    layer = torch.nn.Linear(17, 17, bias=False, dtype=torch.bfloat16)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        found = layer(x)[:, 0]
        with torch.backends.mkldnn.flags(enabled=False):
            plain = layer(x)[:, 0]
    print(f"{value} in row 8: row 7 is {found[7].item()}, without oneDNN {plain[7].item()}")
    wrong = wrong or bool(found[7].isnan() and plain[7] == 17)
if not wrong and not torch.cpu._is_amx_tile_supported():
    print("no such processor")
    sys.exit(2)
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
