"""tensorflow: on a CPU, x @ W + b of no inputs in a tf.function ends the process.

Needs only TensorFlow. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with tensorflow 2.21.0 on CPU, by the check "shapes" of a GRU.

The graph optimiser fuses the product and the bias into one operator of oneDNN. Nothing catches its C++
exception. Outside a tf.function the result is b. The runs are processes of their own.
"""

import subprocess
import sys

RUN = """
import tensorflow as tf
function = {wrapper}(lambda x, W, b: x @ W + b)
print(function(tf.zeros(({rows}, {D})), tf.ones(({D}, 2)), tf.ones(2)).shape)
"""

wrong = False
for wrapper in ("", "tf.function"):
    for rows, D in ((1, 3), (0, 3), (1, 0)):
        text = RUN.format(wrapper=wrapper, rows=rows, D=D)
        ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
        found = ran.stdout.strip() or f"exit status {ran.returncode}"
        print(f"{wrapper or 'eager'}, x of shape ({rows}, {D}): expected ({rows}, 2), got {found}")
        wrong |= ran.returncode != 0
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
