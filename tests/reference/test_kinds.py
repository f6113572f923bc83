"""Arguments of a wrong kind are a sentence at every public function, and ``certify`` takes the name of a precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.conformance import check, parametrize
from reference import GRU, LSTM, PRECISIONS, RNN, Case, Params, TimeRNN, certify, evaluate

CASE = Case.random(seed=1, dtype="float32").probed()
ANSWER: Any = evaluate(CASE).astype("float32")
one: Any = 3
text: Any = "3"
none: Any = None
W = np.ones((3, 3))


def test_certify_takes_the_name_of_a_precision() -> None:
    named, given = certify(CASE, ANSWER, "float32"), certify(CASE, ANSWER, PRECISIONS["float32"])
    assert (named.status, named.worst) == (given.status, given.worst)
    with pytest.raises(ValueError, match=r"^precision: expected one of \['float64', .*\], got 'float8'$"):
        certify(CASE, ANSWER, "float8")
    with pytest.raises(TypeError, match=r"^certify: expected a case of dtype float64, got float32"):
        certify(CASE, ANSWER, "float64")


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "certify case": (lambda: certify(one, ANSWER, "float32"), "certify: expected case as Case, got int"),
    "certify answer": (lambda: certify(CASE, one, "float32"), "certify: expected evaluation as Evaluation, got int"),
    "certify precision": (
        lambda: certify(CASE, ANSWER, one),
        "certify: expected precision as Precision or a name, got int",
    ),
    "evaluate": (lambda: evaluate(one), "evaluate: expected case as Case, got int"),
    "random T": (lambda: Case.random(T=text), "Case.random: expected T as a whole number, got str"),
    "random N": (lambda: Case.random(N=2.5), "Case.random: expected N as a whole number, got float"),  # type: ignore[arg-type]
    "random D": (lambda: Case.random(D=True), "Case.random: expected D as a whole number, got bool"),
    "random seed": (lambda: Case.random(seed=text), "Case.random: expected seed as a whole number, got str"),
    "random stack": (lambda: Case.random(stack=text), "expected stack as a whole number or None, got str"),
    "random norm": (lambda: Case.random(norm=text), "Case.random: expected norm as a number, got str"),
    "random dtype": (lambda: Case.random(dtype=one), "Case.random: expected dtype as a name, got int"),
    "random values": (lambda: Case.random(values=one), "expected values as a name or a sequence, got int"),
    "random params": (lambda: Case.random(params=one), "expected params as Params or None, got int"),
    "random bias": (lambda: Case.random(bias=text), "Case.random: expected bias as True or False, got str"),
    "Case params": (lambda: Case(CASE.xs, CASE.h0, one, CASE.upstream), "Case: expected params as Params, got int"),
    "Case xs": (lambda: Case(none, CASE.h0, CASE.params, CASE.upstream), "expected xs as an array, got NoneType"),
    "Params": (lambda: Params(text, W), "Params: expected Wx as an array, got str"),
    "probed": (lambda: Case.random().probed(text), "Case.probed: expected seed as a whole number or None, got str"),
    "astype": (lambda: CASE.astype("float8"), r"astype: expected a dtype in \['float64', .*\], got 'float8'"),
    "load": (lambda: Case.load(one), "Case.load: expected path as a name or a path, got int"),
    "save": (lambda: CASE.save(one), "save: expected path as a name or a path, got int"),
    "tanh": (lambda: PRECISIONS["float32"].with_tanh(text), "expected ulps as a number, got str"),
    "accumulator": (lambda: PRECISIONS["float32"].with_accumulator(one), "expected name as a name, got int"),
    "RNN": (lambda: RNN(none, W), "RNN: expected Wx to be an array, got NoneType"),
    "LSTM": (lambda: LSTM(W, none), "LSTM: expected Wh to be an array, got NoneType"),
    "GRU": (lambda: GRU(one, W), "GRU: expected Wx to be an array, got int"),
    "forward": (lambda: TimeRNN(W, W).forward(one), "TimeRNN.forward: expected xs to be an array, got int"),
    "check subject": (lambda: check(one), "adapter: expected an Adapter or a function of a case, got 3"),
    "check stacks": (lambda: check(evaluate, stacks=text), "check: expected stacks as a whole number, got str"),
    "check seed": (lambda: check(evaluate, seed=1.5), "check: expected seed as a whole number, got float"),  # type: ignore[arg-type]
    "check only": (lambda: check(evaluate, only="step"), "only: expected a sequence of names, got 'step'"),
    "check dtypes": (lambda: check(evaluate, dtypes="float32"), "dtypes: expected a sequence of names, got 'float32'"),
    "check dtype": (lambda: check(evaluate, dtypes=one), "dtypes: expected a sequence of names, got 3"),
    "failures": (lambda: check(evaluate, expected_failures=one), "expected_failures: expected a mapping from checks"),
    "parametrize": (lambda: parametrize(evaluate, stacks=text), "parametrize: expected stacks as a whole number, got"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_argument_of_a_wrong_kind_is_a_sentence(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(TypeError, match=message):
        call()


def test_numbers_of_numpy_are_numbers() -> None:
    assert Case.random(T=np.int64(2), norm=np.float32(1)).sizes["T"] == 2  # type: ignore[arg-type]
