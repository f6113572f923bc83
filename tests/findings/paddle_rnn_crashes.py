"""paddle: on a CPU, nn.SimpleRNN, LSTM and GRU end the process where biases are left out, or there is no step.

Needs NumPy and PaddlePaddle, nothing else. Exit status 1 while the fault is there, 0 once it is mended.
Found with paddlepaddle 3.3.1 on CPU; T=1, N=1, D=1, H=1, by the first case without a bias.

Backward wants the gradients of all weights: of one that needs none it has no tensor, and writes to it nevertheless.
With bias_ih_attr=False the biases are such weights, and so is a weight of which stop_gradient is set, which raises.
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
        said = next((line for line in ran.stderr.splitlines() if "Error" in line and "Summary" not in line), "")
        print(f"{kind:9} {name:16} exit status {ran.returncode} {said[:90]}")
        # A refusal of what has no step would be right.
        wrong = wrong or ran.returncode < 0 or (ran.returncode == 1 and name != "no step")
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
