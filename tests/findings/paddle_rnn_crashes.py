"""paddle: on a CPU, nn.SimpleRNN, LSTM and GRU end the process if there are no biases or no steps.

Needs only NumPy and PaddlePaddle. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with paddlepaddle 3.3.1 on CPU; T=1, N=1, D=1, H=1, by the first case without a bias.

Backward writes the gradients of all weights. If a weight needs no gradient, there is no tensor to write to. With
bias_ih_attr=False, this ends the process. With stop_gradient=True, it raises an error.
"""

import subprocess
import sys

STEP = "hs, _ = layer(paddle.ones([1, 1, 1])); hs.sum().backward()"
CASES = {
    "without biases": f"layer = nn.{{kind}}(1, 1, bias_ih_attr=False, bias_hh_attr=False); {STEP}",
    "weight_ih frozen": f"layer = nn.{{kind}}(1, 1); layer.weight_ih_l0.stop_gradient = True; {STEP}",
    "no step": "layer = nn.{kind}(1, 1); hs, _ = layer(paddle.ones([1, 0, 1]))",
}

wrong = False
for kind in ("SimpleRNN", "LSTM", "GRU"):
    for name, code in CASES.items():
        lines = f"import paddle; from paddle import nn; {code.format(kind=kind)}"
        ran = subprocess.run([sys.executable, "-W", "ignore", "-c", lines], capture_output=True, text=True)
        message = next((line for line in ran.stderr.splitlines() if "Error" in line and "Summary" not in line), "")
        print(f"{kind:9} {name:16} exit status {ran.returncode} {message[:90]}")
        # For a sequence of no steps, an error would be right.
        wrong = wrong or ran.returncode < 0 or (ran.returncode == 1 and name != "no step")
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
