"""Mistakes as people write them, in code that PyTorch or JAX differentiates: each has a name, or is known to have none.

``WRONG`` has what is expected for each. A step is a function of both frameworks; the rest is of one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation
from reference.explain import Diagnosis, explain_subject
from tests.named import plain

# lib: torch or jax.numpy; detach: Tensor.detach or jax.lax.stop_gradient.
Step = Callable[..., Any]
PARTS = ("Wx", "Wh", "b")


def right(lib: Any, detach: Any, t: int, x: Any, h: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    return lib.tanh(x @ Wx + h @ Wh + b)


def detached(lib: Any, detach: Any, t: int, x: Any, h: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    return lib.tanh(x @ Wx + detach(h) @ Wh + b)


def detached_every(period: int, *, first: bool) -> Step:
    def step(lib: Any, detach: Any, t: int, x: Any, h: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        h = detach(h) if t % period == 0 and (t or first) else h
        return lib.tanh(x @ Wx + h @ Wh + b)

    return step


def at_step(wanted: int) -> Step:
    def step(lib: Any, detach: Any, t: int, x: Any, h: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        return lib.tanh(x @ Wx + (detach(h) if t == wanted else h) @ Wh + b)

    return step


# name: the step, and the fault of the catalogue
STEPS: dict[str, tuple[Step, str]] = {
    "state detached at every step": (detached, "recurrent path detached"),
    "state detached at every fourth step": (detached_every(4, first=False), "BPTT truncated at 4"),
    "state detached at every seventh step": (detached_every(7, first=False), "BPTT truncated at 7"),
    "state and h0 detached at every second step": (
        detached_every(2, first=True),
        "BPTT truncated at 2, h0 included",
    ),
    "h0 detached": (at_step(0), "h0 detached"),
    "state detached after the first step": (at_step(1), "detached after the first step"),
    "Wh transposed": (lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx + h @ Wh.T + b), "Wh kept transposed"),
    "Wx reshaped": (
        lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx.T.reshape(Wx.shape) + h @ Wh + b),
        "Wx reshaped instead of transposed",
    ),
    "bias outside": (
        lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx + h @ Wh) + b,
        "bias added after the nonlinearity",
    ),
    "bias twice": (lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx + b + h @ Wh + b), "bias doubled"),
    "bias forgotten": (lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx + h @ Wh + 0 * b), "bias dropped"),
    "relu for tanh": (
        lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.maximum(x @ Wx + h @ Wh + b, 0 * h),
        "relu for tanh",
    ),
    "hard tanh": (lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.clip(x @ Wx + h @ Wh + b, -1, 1), "hard tanh"),
    "sigmoid for tanh": (
        lambda lib, d, t, x, h, h0, Wx, Wh, b: 1 / (1 + lib.exp(-(x @ Wx + h @ Wh + b))),
        "sigmoid for tanh",
    ),
    "no activation": (lambda lib, d, t, x, h, h0, Wx, Wh, b: x @ Wx + h @ Wh + b, "activation forgotten"),
    "tanh twice": (lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(lib.tanh(x @ Wx + h @ Wh + b)), "activation twice"),
    "residual": (lambda lib, d, t, x, h, h0, Wx, Wh, b: h + lib.tanh(x @ Wx + h @ Wh + b), "state added to the next"),
    "leaky": (
        lambda lib, d, t, x, h, h0, Wx, Wh, b: h / 2 + lib.tanh(x @ Wx + h @ Wh + b) / 2,
        "half of the state kept",
    ),
    "h0 ignored": (
        lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx + (h if t else 0 * h) @ Wh + b),
        "h0 ignored",
    ),
    "h0 at every step": (
        lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx + h0 @ Wh + b),
        "h0 used at every step",
    ),
    "rows rolled": (
        lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx + lib.roll(h, 1, 0) @ Wh + b),
        "state of another row",
    ),
}

# Changes of the inputs before the loop, or of the states after it.
INPUTS: dict[str, tuple[Step, str]] = {
    "time reversed": (lambda lib, xs: lib.flip(xs, (0,)), "time reversed"),
    "one step late": (lambda lib, xs: lib.concatenate([xs[:1], xs[:-1]]), "inputs one step late"),
    "batch first": (
        lambda lib, xs: xs.reshape(xs.shape[1], xs.shape[0], -1).swapaxes(0, 1),
        "batch first read as time first",
    ),
    "last input column unread": (
        lambda lib, xs: xs * lib.asarray([1.0] * (xs.shape[-1] - 1) + [0.0], dtype=xs.dtype),
        "last input column not read",
    ),
}
OUTPUTS: dict[str, tuple[Step, str]] = {
    "units rolled": (lambda lib, hs: lib.roll(hs, 1, -1), "hidden units permuted"),
    "flattened": (lambda lib, hs: hs.swapaxes(0, 1).reshape(hs.shape), "states flattened in the wrong order"),
}
# Mistakes in a backward that is written by hand: the forward of an operation, its backward, and the fault.
TANH = lambda lib, a: lib.tanh(a)  # noqa: E731
TIMES = lambda lib, h, Wh: h @ Wh  # noqa: E731
BACKWARDS: dict[str, tuple[Step, Step, str | None]] = {
    "1 - h for 1 - h**2": (TANH, lambda saved, h, dh: (dh * (1 - h),), "derivative 1 - h"),
    "f' assigned": (TANH, lambda saved, h, dh: (1 - h * h,), "derivative assigned"),
    "f' forgotten": (TANH, lambda saved, h, dh: (dh,), "derivative forgotten"),
    "f' of the sigmoid": (TANH, lambda saved, h, dh: (dh * h * (1 - h),), "derivative h - h**2"),
    "f' of the argument": (TANH, lambda saved, h, dh: (dh * (1 - saved[0] ** 2),), "derivative of a instead of h"),
    "Wh for Wh.T": (TIMES, lambda saved, v, A: (A @ saved[1], saved[0].T @ A), "Wh not transposed in backward"),
    "dWh transposed": (TIMES, lambda saved, v, A: (A @ saved[1].T, A.T @ saved[0]), "dWh transposed"),
    "no gradient of h": (TIMES, lambda saved, v, A: (0 * saved[0], saved[0].T @ A), "recurrent path detached"),
    "mean over the batch": (
        TIMES,
        lambda saved, v, A: (A @ saved[1].T, saved[0].T @ A / len(A)),
        None,  # of dWh alone
    ),
}
# Mistakes that no fault of the catalogue has: the account has no name, and is true all the same.
UNNAMED: dict[str, Step] = {
    "inputs scaled": lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(0.9 * (x @ Wx) + h @ Wh + b),
    "state squared": lambda lib, d, t, x, h, h0, Wx, Wh, b: lib.tanh(x @ Wx + (h * h) @ Wh + b),
}


def unrolled(lib: Any, detach: Any, step: Step, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    states = [h0]
    for t in range(len(xs)):
        states.append(step(lib, detach, t, xs[t], states[-1], h0, Wx, Wh, b))
    return lib.stack(states[1:])


def under_torch(step: Step = right, before: Step | None = None, after: Step | None = None) -> Callable[[Case], Any]:
    torch = pytest.importorskip("torch")

    def subject(case: Case) -> Evaluation:
        arrays = (case.xs, case.h0, *(getattr(case.params, name) for name in PARTS))
        if case.params.b is None:
            arrays = (*arrays[:-1], np.zeros(case.params.Wx.shape[-1], case.dtype))
        xs, *others = leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
        hs = unrolled(torch, torch.Tensor.detach, step, before(torch, xs) if before else xs, *others)
        hs = after(torch, hs) if after else hs
        found = torch.autograd.grad(hs, leaves, torch.tensor(case.upstream), materialize_grads=True)
        kept = found if case.params.b is not None else found[:-1]
        return Evaluation(*(array.detach().numpy() for array in (hs, *kept)))

    return subject


def under_jax(step: Step = right, before: Step | None = None, after: Step | None = None) -> Callable[[Case], Any]:
    jax = pytest.importorskip("jax")
    lib = jax.numpy

    def forward(xs: Any, *others: Any) -> Any:
        hs = unrolled(lib, jax.lax.stop_gradient, step, before(lib, xs) if before else xs, *others)
        return after(lib, hs) if after else hs

    @jax.jit  # type: ignore[untyped-decorator]
    def run(upstream: Any, *arrays: Any) -> Any:
        hs, pull_back = jax.vjp(forward, *arrays)
        return hs, *pull_back(upstream)

    def subject(case: Case) -> Evaluation:
        params = case.params
        b = np.zeros(params.Wx.shape[-1], case.dtype) if params.b is None else params.b
        with jax.enable_x64(case.dtype == "float64"):
            found = run(case.upstream, case.xs, case.h0, params.Wx, params.Wh, b)
        kept = found if params.b is not None else found[:-1]
        return Evaluation(*map(np.array, kept))

    return subject


def of_torch(forward: Step, backward: Step) -> Callable[..., Any]:
    torch = pytest.importorskip("torch")

    class Operation(torch.autograd.Function):  # type: ignore[name-defined]
        @staticmethod
        def forward(ctx: Any, *given: Any) -> Any:
            found = forward(torch, *given)
            ctx.save_for_backward(found, *given)
            return found

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            found, *given = ctx.saved_tensors
            return backward(given, found, gradient)

    return Operation.apply  # type: ignore[no-any-return]


def of_jax(forward: Step, backward: Step) -> Callable[..., Any]:
    jax = pytest.importorskip("jax")
    operation = jax.custom_vjp(lambda *given: forward(jax.numpy, *given))

    def saving(*given: Any) -> Any:
        found = forward(jax.numpy, *given)
        return found, (found, given)

    operation.defvjp(saving, lambda saved, gradient: backward(saved[1], saved[0], gradient))
    return operation  # type: ignore[no-any-return]


def by_hand(forward: Step, backward: Step) -> Step:
    """Return the step with an operation whose backward is written by hand."""

    def step(lib: Any, detach: Any, t: int, x: Any, h: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        operation = (of_torch if lib.__name__ == "torch" else of_jax)(forward, backward)
        if forward is TANH:
            return operation(x @ Wx + h @ Wh + b)
        return lib.tanh(x @ Wx + operation(h, Wh) + b)

    return step


FRAMEWORKS = {"torch": under_torch, "jax": under_jax}
WRONG: dict[str, tuple[dict[str, Step], str | None]] = {
    **{name: ({"step": step}, expected) for name, (step, expected) in STEPS.items()},
    **{name: ({"before": change}, expected) for name, (change, expected) in INPUTS.items()},
    **{name: ({"after": change}, expected) for name, (change, expected) in OUTPUTS.items()},
    **{name: ({"step": by_hand(*pair)}, expected) for name, (*pair, expected) in BACKWARDS.items()},
    **{name: ({"step": step}, None) for name, step in UNNAMED.items()},
}


def diagnosis(framework: str, parts: dict[str, Step], dtype: str = "float32", tries: int = 60) -> Diagnosis:
    """Return the diagnosis of code in a framework, from a case of ten steps."""
    case = plain(dtype, T=10)
    return explain_subject(FRAMEWORKS[framework](**parts), case, PRECISIONS[dtype].with_tanh(8.0), tries=tries)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named_alone(name: str, framework: str) -> None:
    parts, expected = WRONG[name]
    found = diagnosis(framework, parts, tries=60 if framework == "torch" else 5)
    assert found.names == ({expected} if expected else frozenset()), str(found)


@pytest.mark.parametrize("name", [name for name, (_, expected) in WRONG.items() if expected])
def test_a_mistake_is_named_in_float64(name: str) -> None:
    parts, expected = WRONG[name]
    assert diagnosis("torch", parts, "float64").names == {expected}


def few_inputs(lib: Any, detach: Any, t: int, x: Any, h: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    return lib.tanh(x @ Wx + (0 * h if x.shape[-1] <= h.shape[-1] else h) @ Wh + b)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_mistake_that_only_the_case_shows_is_named(framework: str) -> None:
    """The cases of moderate size have the probe, and so more inputs than units."""
    case = Case.random(3, 3, 2, 4, seed=1, dtype="float32")
    subject = FRAMEWORKS[framework](few_inputs)
    found = explain_subject(subject, case, PRECISIONS["float32"].with_tanh(8.0), tries=5)
    assert found.names == {"state forgotten where D <= H"}, str(found)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_weights_of_the_first_call_are_named(framework: str) -> None:
    run, kept = FRAMEWORKS[framework](), dict[Any, Any]()

    def subject(case: Case) -> Evaluation:
        first = kept.setdefault((case.params.Wx.shape, case.params.b is None), case.params.present())
        found: Evaluation = run(case.replacing(probe=None, **first))
        return found

    subject(plain("float32", seed=7))
    found = explain_subject(subject, plain("float32"), PRECISIONS["float32"].with_tanh(8.0), tries=5)
    assert found.names == {"weights of the first call kept"}, str(found)
    assert "\nIt is right when it is the first call of a shape: what came before matters.\n" in str(found)


def test_all_but_three_are_named() -> None:
    assert len(WRONG) >= 35
    assert [name for name, (_, expected) in WRONG.items() if expected is None] == ["mean over the batch", *UNNAMED]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_right_code_has_nothing_to_explain(framework: str) -> None:
    with pytest.raises(ValueError, match=r"^shrink_subject: expected a case that the subject fails, got none"):
        diagnosis(framework, {})
