"""The oracle: RNN, LSTM and GRU in NumPy, rigorous bounds on rounding errors, and verdicts on implementations."""

from reference.bounded import Bounded
from reference.case import Case
from reference.certify import certify
from reference.evaluation import Evaluation
from reference.layer import evaluate
from reference.params import Params
from reference.precision import PRECISIONS, Precision
from reference.sequence import TimeGRU, TimeLSTM, TimeRNN
from reference.textbook import GRU, LSTM, RNN
from reference.verdict import Mismatch, Verdict

__all__ = [
    "GRU",
    "LSTM",
    "PRECISIONS",
    "RNN",
    "Bounded",
    "Case",
    "Evaluation",
    "Mismatch",
    "Params",
    "Precision",
    "TimeGRU",
    "TimeLSTM",
    "TimeRNN",
    "Verdict",
    "certify",
    "evaluate",
]
