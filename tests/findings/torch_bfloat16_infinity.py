"""torch: in bfloat16, an infinity in the last of an odd number of columns makes NaN of a product.

Needs only PyTorch. Exit status: 1 while the fault is there, 0 once it is fixed, 2 on processors that use other code.
The fault is in oneDNN's code for processors with AVX-512 and without its instructions for bfloat16.
Found with torch 2.13.0 on CPU by the check "nonfinite" of an adapter that vectorizes nn.RNNCell, K=76, N=8, H=3.

oneDNN computes products of more than 4096 multiplications, with the columns in pairs. If their number is odd, the last
column is paired with zeros, and infinity times zero is NaN.
"""

import sys

import torch

wrong = False
for columns in (16, 17, 18, 19):
    x = torch.ones(17, columns, dtype=torch.bfloat16)
    x[0, -1] = float("inf")
    cell = torch.nn.RNNCell(columns, 17, nonlinearity="relu", bias=False, dtype=torch.bfloat16)
    with torch.no_grad():
        cell.weight_ih.fill_(1.0)
        found = cell(x)[0]
        with torch.backends.mkldnn.flags(enabled=False):
            plain = cell(x)[0]
    print(f"{columns} inputs: {found[0].item()}, without oneDNN {plain[0].item()}")
    wrong = wrong or bool(found.isnan().any() and (plain == float("inf")).all())
if not wrong and (torch.backends.cpu.get_cpu_capability() != "AVX512" or torch.cpu._is_avx512_bf16_supported()):
    print("no such processor")
    sys.exit(2)
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
