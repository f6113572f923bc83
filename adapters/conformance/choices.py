"""What the checks can be asked for, and are by default: what the command line's help says, without what they need."""

# Names of the checks, in the order in which they are made, and the cases of each.
CHECKED = {
    "step": "one step, forward and back",
    "sequence": "2 to 20 steps, probed",
    "edges": "saturated, subnormal, huge, cancelling, one-hot, zeros of both signs",
    "nan": "NaN or infinity in one row or one weight",
    "long": "1000 steps",
    "trained": "a trained character RNN of 64 units",
    "shapes": "no steps, no rows, no inputs, one of each, 512 inputs, 512 units",
    "memory": "transposed, strided, reversed, read-only, misaligned, repeated inputs",
    "options": "what else a framework offers: unbatched, h0 omitted",
    "laws": "rows, cuts, and a linear pull-back, without an oracle",
    "endless": "10,000 steps",
}
NAMES = tuple(CHECKED)
# Those of nearly all cases.
MOST = ("step", "sequence", "edges", "nan")

# Stacks of cases that a check is asked for.
EXAMPLES = 8
# Of twice as many as these and more, two to so many are drawn as one: to draw and to certify a stack takes about as
# long whatever it holds.
ENOUGH, LARGER = 24, 4
# Seconds that one check in one dtype may take.
LIMIT = 300.0
