"""tensorflow: in a tf.function, ForwardAccumulator raises on loops that collect tensors, such as tf.scan and tf.map_fn.

Needs only NumPy and TensorFlow. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with tensorflow-cpu 2.21.0; T=1, N=1, D=2, H=1, by the first case of an adapter.
"""

import sys

import tensorflow as tf


def doubled(x):
    """Double each number, in a loop of TensorFlow."""
    return tf.map_fn(lambda one: 2 * one, x)


def along(x, direction):
    """Return the derivative of ``doubled`` along a direction."""
    with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
        y = doubled(x)
    return accumulator.jvp(y)


wrong = False
x = tf.constant([1.0, 3.0])
for name, function in (("eager", along), ("tf.function", tf.function(along, autograph=False))):
    try:
        print(f"{name}: {function(x, tf.ones_like(x)).numpy()}")
    except Exception as error:
        wrong = True
        print(f"{name}: {type(error).__name__}: {str(error).strip().splitlines()[-1]}")
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
