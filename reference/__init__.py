"""The oracle: a textbook RNN in NumPy, rigorous bounds on rounding, and the verdict on another implementation."""

from reference.case import Case, Params
from reference.cells import RNN
from reference.certify import certify
from reference.evaluation import Evaluation
from reference.precision import PRECISIONS, Precision
from reference.rounding import Bounded
from reference.sequence import TimeRNN, evaluate
from reference.verdict import Mismatch, Verdict

__all__ = [
    "PRECISIONS",
    "RNN",
    "Bounded",
    "Case",
    "Evaluation",
    "Mismatch",
    "Params",
    "Precision",
    "TimeRNN",
    "Verdict",
    "certify",
    "evaluate",
]
