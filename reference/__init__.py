"""The oracle: a textbook RNN in NumPy, rigorous bounds on rounding errors, and verdicts on other implementations."""

from reference.bounded import Bounded
from reference.case import Case
from reference.certify import certify
from reference.evaluation import Evaluation
from reference.layer import evaluate
from reference.params import Params
from reference.precision import PRECISIONS, Precision
from reference.textbook import RNN, TimeRNN
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
