"""The oracle: RNN, LSTM and GRU in NumPy, rigorous bounds on rounding errors, and verdicts on implementations."""

from reference.bounded import Bounded
from reference.case import Case
from reference.certify import certify
from reference.certify_layers import certify_layers
from reference.evaluation import Evaluation
from reference.layer import evaluate
from reference.layers import LayersCase, LayersEvaluation, evaluate_layers
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
    "LayersCase",
    "LayersEvaluation",
    "Mismatch",
    "Params",
    "Precision",
    "TimeGRU",
    "TimeLSTM",
    "TimeRNN",
    "Verdict",
    "certify",
    "certify_layers",
    "evaluate",
    "evaluate_layers",
]
