"""Solutions in KernelBench's format: what its own check and this suite say, side by side."""

from __future__ import annotations

from typing import Any

import pytest

from tests.patched import patched

torch: Any = pytest.importorskip("torch")
from tests.examples import kernelbench  # noqa: E402
from tests.examples.kernelbench import Problem, report  # noqa: E402

nn = torch.nn


def model(
    kind: Any, returned: str, *, directions: int = 1, batch_first: bool = True, cheat: Any = lambda module, x: x
) -> Any:
    """Return a class in the form of KernelBench's models of one recurrent layer."""

    class Model(nn.Module):  # type: ignore[name-defined]
        def __init__(self, input_size: int, hidden_size: int, num_layers: int, output_size: int) -> None:
            super().__init__()
            self.rec = kind(input_size, hidden_size, num_layers, batch_first=batch_first, bidirectional=directions == 2)
            if returned == "last":
                self.fc = nn.Linear(directions * hidden_size, output_size)

        def forward(self, x: Any, *states: Any) -> Any:
            outputs, last = self.rec(cheat(self, x), states if len(states) > 1 else states[0])
            if returned == "last":
                return self.fc(outputs[:, -1] if batch_first else outputs[-1])
            held = dict(zip(("hn", "cn"), last if len(states) > 1 else (last,), strict=False))
            return (held | {"hs": outputs})[returned]

    return Model


def problem(kind: Any, returned: str, **options: Any) -> Problem:
    """Return a small problem."""
    states, L = (2 if kind is nn.LSTM else 1), 2 * options.get("directions", 1)
    shape = (3, 20, 8) if options.get("batch_first", True) else (20, 3, 8)
    return Problem(
        {
            "Model": model(kind, returned, **options),
            "get_inputs": lambda: [torch.rand(shape), *(torch.rand(L, 3, 16) for _ in range(states))],
            "get_init_inputs": lambda: [8, 16, 2, 10],
        }
    )


def lines(asked: Problem, solution: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the report on some of the shapes."""
    monkeypatch.setattr(kernelbench, "SHAPES", [(1, 1, 1, 2, 4), (2, 3, 3, 5, 6)])
    return report(asked, solution)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    ("name", "returned", "directions"),
    [("LSTM", "last", 1), ("LSTM", "cn", 1), ("LSTM", "hn", 2), ("GRU", "hs", 2), ("RNN", "hn", 1)],
)
def test_a_right_solution_is_right_by_both(
    name: str, returned: str, directions: int, batch_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"directions": directions, "batch_first": batch_first}
    asked = problem(getattr(nn, name), returned, **options)
    assert asked.returned == returned
    solution = model(getattr(patched("torch_modules"), name), returned, **options)
    theirs, ours, beyond = lines(asked, solution, monkeypatch)
    assert theirs.endswith(": correct")
    assert ours.endswith(": right")
    assert beyond.startswith("Not judged: the gradients at the benchmark's own shape, (")


def at_the_benchmark(module: Any, x: Any) -> Any:
    """Return x, and another x for every shape but the benchmark's."""
    return x if x.shape == (3, 20, 8) else 2 * x


def once(module: Any, x: Any) -> Any:
    """Return x, and keep the weights of the first call."""
    module.kept = getattr(module, "kept", None) or {n: p.detach().clone() for n, p in module.rec.named_parameters()}
    with torch.no_grad():
        for name, parameter in module.rec.named_parameters():
            parameter.copy_(module.kept[name])
    return x


WRONG: dict[str, tuple[tuple[tuple[str, str], ...], Any]] = {
    "no gradient through c": ((("* states[1] +", "* states[1].detach() +"),), None),
    "a cheap tanh": ((("torch.tanh(c), c", "torch.tanh(1.00002 * c), c"),), None),
    "the weights of the first call": ((), once),
    "right for the benchmark's shape alone": ((), at_the_benchmark),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_solution_that_their_check_accepts_is_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, cheat = WRONG[name]
    options = {"cheat": cheat} if cheat else {}
    theirs, ours, _ = lines(
        problem(nn.LSTM, "last"), model(patched("torch_modules", *changes).LSTM, "last", **options), monkeypatch
    )
    assert theirs.endswith(": correct")
    assert ": wrong\nMismatch: ModelNew float32 " in ours


def test_a_solution_that_calls_the_original_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    *_, called, _ = lines(problem(nn.LSTM, "hs"), model(nn.LSTM, "hs"), monkeypatch)
    assert called == "ModelNew calls the original, LSTM: nothing was judged that it computes."


def test_another_shape_of_the_output_is_wrong_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours, *_ = lines(problem(nn.GRU, "hs"), model(nn.GRU, "hn"), monkeypatch)
    assert theirs.endswith(": wrong")
    assert ": wrong\n" in ours


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (nn.Linear, r"^kernelbench: expected a Model with one layer of torch.nn, got 0$"),
        (nn.GRU, r"^kernelbench: expected a Model that returns a result of its gru, got another$"),
    ],
)
def test_a_problem_of_another_kind_gives_one_sentence(kind: Any, message: str) -> None:
    class Other(nn.Module):  # type: ignore[name-defined]
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__()
            self.rec = kind(input_size, hidden_size)

        def forward(self, x: Any, h: Any) -> Any:
            return 2 * self.rec(x, h)[0]

    names = {"Model": Other, "get_inputs": list, "get_init_inputs": lambda: [3, 4]}
    with pytest.raises(ValueError, match=message):
        Problem(names)
