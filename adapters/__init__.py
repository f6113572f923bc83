"""The subjects: one file a framework, each imported only when asked for by name.

A file ``adapters/<framework>.py`` holds everything that is particular to a framework (layout, transposes, its two
biases, its idiom for gradients) and offers ``ADAPTERS``, a tuple of ``Adapter``, and ``environment()``, the versions
and precision flags that a reader of results must know; ``LAYOUTS`` tells, as a plain dict that can be read without the
framework, where it keeps its parameters. The extra of the same name in pyproject.toml installs it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, Self

from adapters._layout import laid_out as laid_out
from adapters._port import port as port
from reference import PRECISIONS, Case, Evaluation, Precision
from reference.archive import spell
from reference.verdict import GRADIENTS, QUANTITIES


class Unsupported(NotImplementedError):
    """An adapter says by name what its framework cannot do; never a silent skip."""


class UnexpectedlySupported(AssertionError):
    """A framework took what its adapter says it refuses."""


@dataclass(frozen=True)
class Idiom:
    """How a user of the framework would write it: code that needs NumPy (as np) and the framework alone.

    A reproduction script consists of it, so that a bug report shows the very code that was judged.
    """

    imports: str
    parts: tuple[Callable[..., Any] | str, ...]  # in order; the last is as ``on_arrays`` takes it

    @property
    def compute(self) -> Callable[..., Any]:
        """The function that returns hs, dxs, dh0, dWx, dWh and, with a bias, db."""
        function = self.parts[-1]
        if isinstance(function, str):
            raise TypeError(f"Idiom: expected a function as the last part, got {function!r}")
        return function

    @property
    def source(self) -> str:
        """The parts as Python source."""
        parts = [part if isinstance(part, str) else inspect.getsource(part).rstrip() for part in self.parts]
        return "\n\n\n".join(parts)


@dataclass(frozen=True)
class ExpectedFailure:
    """A failure that is known: it is expected, and an error once it fails no more."""

    reason: str  # what is wrong, and since which version
    reference: str  # where it is written down


@dataclass(frozen=True)
class Adapter:
    """One way in which a framework computes a recurrent cell or layer.

    Calling it evaluates a case or a stack, whichever of the two ``run`` takes.
    """

    name: str  # "torch.RNN"
    run: Callable[[Case], Evaluation]  # of one case, or of a stack where takes_stacks
    describe: str  # one line: what of the framework is called
    tanh: Callable[[Any], Any]  # the framework's tanh of a NumPy array, so that its accuracy can be measured
    tanh_ulps: Mapping[str, float]  # dtype: largest error of that tanh, in ulp; the keys are the dtypes on offer
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    offers: tuple[str, ...] = GRADIENTS  # quantities, as of a verdict; with "jvp h" it wants a direction
    accumulators: Mapping[str, str] = field(default_factory=dict)  # dtype: format of its sums, if not the model's
    max_T: int | None = None  # longest sequence on offer; None: any
    unsupported: tuple[str, ...] = ()  # what the framework unsupported: "T=0", or a layout of ``conformance.memory``
    finite: tuple[str, ...] = ()  # dtypes in which it is asked for no NaN or infinity: a finding says why
    takes_stacks: bool = False
    vectorized: bool = False  # whether one case more of a stack costs next to nothing: it is given larger ones
    recomputes: tuple[str, ...] = ()  # what it computes once more where it is used, as of ``Precision``
    slow: bool = False  # judged only when asked for by its own name
    idiom: Idiom | None = None  # None: the subject cannot be written down by itself
    options: Mapping[str, Callable[[Case], Evaluation]] = field(default_factory=dict)  # as of ``conformance.checks``
    expected_failures: Mapping[str, ExpectedFailure] = field(
        default_factory=dict
    )  # "check" or "check dtype": a failure that is expected

    @classmethod
    def of_arrays(
        cls,
        name: str,
        idiom: Idiom,
        describe: str,
        tanh: Callable[[Any], Any],
        ulps: Mapping[str, float],
        options: Mapping[str, Callable[..., Any]] = types.MappingProxyType({}),
        **fields: Any,
    ) -> Self:
        """Return an adapter that runs its idiom, and the functions of its options, on the arrays of a case."""
        takes = fields.get("offers", GRADIENTS), fields.get("nonlinearities", cls.nonlinearities)
        variants = {option: on_arrays(compute, *takes) for option, compute in options.items()}
        run = on_arrays(idiom.compute, *takes)
        return cls(name, run, describe, tanh, ulps, idiom=idiom, options=variants, **fields)

    @property
    def framework(self) -> str:
        """Name of the framework, of its file, and of its extra."""
        return self.name.partition(".")[0]

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Names of the dtypes on offer."""
        return tuple(self.tanh_ulps)

    @property
    def takes_direction(self) -> bool:
        """Whether it differentiates along a direction."""
        return "jvp h" in self.offers

    def precision(self, dtype: str) -> Precision:
        """Return the model of this adapter's arithmetic.

        Raises:
            Unsupported: the dtype is not on offer.
        """
        if dtype not in self.tanh_ulps:
            raise Unsupported(f"{self.name}: expected dtype in {list(self.tanh_ulps)}, got {dtype!r}")
        model = PRECISIONS[dtype].with_tanh(self.tanh_ulps[dtype]).recomputing(*self.recomputes)
        return model.with_accumulator(self.accumulators[dtype]) if dtype in self.accumulators else model

    def __call__(self, case: Case) -> Evaluation:
        """Evaluate one case or a stack.

        Args:
            case: any case; xs (T, N, D) or (K, T, N, D).

        Returns:
            The evaluation in the case's dtype, stacked like the case.

        Raises:
            Unsupported: the case asks for what is not on offer.
            UnexpectedlySupported: the framework was to refuse the case, and took it.
        """
        self.precision(case.dtype)
        self.expect_nonlinearity(case.nonlinearity)
        if self.max_T is not None and case.sizes["T"] > self.max_T:
            raise Unsupported(f"{self.name}: expected T <= {self.max_T}, got T={case.sizes['T']}")
        if case.dtype in self.finite and not case.finite:
            raise Unsupported(f"{self.name}: expected finite numbers in {case.dtype}, got others (FINDINGS.md has why)")
        if self.takes_direction and case.direction is None:
            raise Unsupported(f"{self.name}: expected a case with a direction, got one without ({spell(case.sizes)})")
        empty = [
            f"{name}=0" for name, size in case.unprobed().sizes.items() if not size and f"{name}=0" in self.unsupported
        ]
        if empty:
            self.expect_unsupported(", ".join(empty), lambda: self._run(case))
        return self._run(case)

    def expect_nonlinearity(self, nonlinearity: str) -> None:
        """Raise Unsupported unless a nonlinearity is on offer."""
        if nonlinearity not in self.nonlinearities:
            raise Unsupported(f"{self.name}: expected one of {list(self.nonlinearities)}, got {nonlinearity!r}")

    def _run(self, case: Case) -> Evaluation:
        if self.takes_stacks == (case.K is not None):
            return self.run(case)
        if self.takes_stacks:
            return self.run(case.map(lambda array: array[None]))[0]
        return Evaluation.stack([self.run(case[k]) for k in range(case.K or 0)])

    def expect_unsupported(self, what: str, run: Callable[[], Any]) -> NoReturn:
        """Run what the framework refuses, and raise Unsupported with its own words.

        Raises:
            Unsupported: always, but for
            UnexpectedlySupported: the framework took it.
        """
        try:
            run()
        except Exception as error:
            # Without the colours that some have in them.
            words = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().splitlines() or [""]
            raise Unsupported(f"{self.name}: {what} is refused, {type(error).__name__}: {words[0]}") from error
        raise UnexpectedlySupported(f"{self.name}: expected {what} to be refused, got a result")


def on_arrays(
    compute: Callable[..., Any], offers: Sequence[str], nonlinearities: Sequence[str]
) -> Callable[[Case], Evaluation]:
    """Return what runs a function of arrays on a case.

    Args:
        compute: takes xs, h0, Wx, Wh, b, upstream, nonlinearity and, where "jvp h" is on offer, xs_dot, h0_dot, Wx_dot,
            Wh_dot, b_dot; returns what is on offer, in that order, without db where there is no bias.
        offers: names of quantities.
        nonlinearities: those on offer; another is refused, where the function might not look at it.
    """
    fields = [name for name, quantity in QUANTITIES.items() if quantity in offers]

    def run(case: Case) -> Evaluation:
        if case.nonlinearity not in nonlinearities:
            raise Unsupported(f"expected one of {list(nonlinearities)}, got {case.nonlinearity!r}")
        wanted = [name for name in fields if case.params.b is not None or not name.startswith("db")]
        weights = case.params.fields().values()
        moves = case.direction.fields().values() if case.direction is not None and "jvp h" in offers else ()
        results = compute(case.xs, case.h0, *weights, case.upstream, case.nonlinearity, *moves)
        return Evaluation(**({"hs": None} | dict(zip(wanted, results, strict=True))))

    return run


def frameworks() -> list[str]:
    """Return the names of all frameworks with a file here, installed or not; ``_name.py`` is what several share."""
    return sorted(name for _, name, is_package in pkgutil.iter_modules(__path__) if not (is_package or name[0] == "_"))


@cache
def packages(file: Path) -> frozenset[str]:
    """Return the names of the packages that a file here imports when it is imported, but those of Python and ours."""
    found: set[str] = set()
    for statement in ast.parse(file.read_bytes()).body:
        modules = [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
        modules += [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
        for module in modules:
            if module.startswith("adapters._"):
                found |= packages(file.with_name(f"{module.removeprefix('adapters.')}.py"))
            found.add(module.partition(".")[0])
    return frozenset(found - sys.stdlib_module_names - {"adapters", "reference"})


def missing(framework: str) -> list[str]:
    """Return, without importing any, the packages of a framework that are not there."""
    file = importlib.util.find_spec(f"adapters.{framework}")
    needed = packages(Path(file.origin)) if file and file.origin else {framework}
    return sorted(name for name in needed if importlib.util.find_spec(name) is None)


def is_installed(framework: str) -> bool:
    """Tell, without importing it, whether a framework is there."""
    return not missing(framework)


def install_line(framework: str) -> str:
    """Return the command that installs a framework, from the extra of its name."""
    # Here, since nobody else waits for them.
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    # Names of extras have a hyphen where those of modules have an underscore.
    extra = {"extra": framework.replace("_", "-")}
    lines = map(Requirement, requires("rnn-oracle") or [])
    wanted = [f'"{str(line).partition(";")[0]}"' for line in lines if line.marker and line.marker.evaluate(extra)]
    return f"python -m pip install {' '.join(wanted) or framework}"


def expect_installed(framework: str) -> None:
    """Raise unless a framework has a file here and is installed; it is not imported.

    Raises:
        ValueError: there is no such file.
        ModuleNotFoundError: the framework is not installed; the message has the line that installs it.
    """
    if framework not in frameworks():
        raise ValueError(f"adapters: expected a framework among {frameworks()}, got {framework!r}")
    if absent := missing(framework):
        raise ModuleNotFoundError(absence(framework), name=absent[0])


def absence(framework: str) -> str:
    """Say of a framework that is not installed what is missing, and how to install it."""
    absent = missing(framework)
    what = framework if absent == [framework] else f"{framework} ({', '.join(absent)})"
    return f"adapters: {what} is not installed; install it with: {install_line(framework)}"


def load_framework(framework: str) -> ModuleType:
    """Import the file of a framework.

    Raises:
        ValueError, ModuleNotFoundError: as ``expect_installed`` does.
    """
    expect_installed(framework)
    return importlib.import_module(f"adapters.{framework}")


def load(name: str) -> tuple[Adapter, ...]:
    """Return the adapters of a name: all of "torch" but those that are slow, or the one called "torch.RNN".

    A framework may be called by the name of its extra, too, which has a hyphen for an underscore.

    Raises:
        ValueError: there is no such framework or adapter.
        ModuleNotFoundError: the framework is not installed.
    """
    name = name.replace("-", "_")
    framework, _, variant = name.partition(".")
    offered: tuple[Adapter, ...] = load_framework(framework).ADAPTERS
    found = tuple(adapter for adapter in offered if adapter.name == name or not (variant or adapter.slow))
    if not found:
        raise ValueError(f"adapters: expected one of {[adapter.name for adapter in offered]}, got {name!r}")
    return found
