"""The subjects: one file a framework, each imported only when asked for by name.

A file ``adapters/<framework>.py`` has everything that is particular to a framework. It defines ``ADAPTERS``, a tuple of
``Adapter``, and ``environment()``, the versions and precision flags that a reader of results needs. ``LAYOUTS`` is a
plain dict that can be read without the framework: where it keeps its parameters. The extra of the same name in
pyproject.toml installs it.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import Any, NoReturn

from adapters._source import frameworks as frameworks
from adapters._source import packages as packages
from adapters._source import source
from adapters._way import Way as Way
from adapters.layout import port as port
from reference import PRECISIONS, Case, Evaluation, Precision
from reference.archive import spell
from reference.certify import LONGEST_DIRECTION
from reference.verdict import DERIVATIVES, GRADIENTS

# Fields of an adapter that differentiates along a direction. The certificate encloses these derivatives from the inputs
# alone: beyond those steps, and in half precisions beyond one, its bound is too wide to decide.
JVP: dict[str, Any] = {"offers": ("h", "jvp h"), "max_T": LONGEST_DIRECTION}
TWICE: dict[str, Any] = {"offers": (*GRADIENTS, *DERIVATIVES), "max_T": LONGEST_DIRECTION}
ENCLOSED = ("float64", "float32")


class Unsupported(NotImplementedError):
    """An adapter or its framework does not support a case; the message names it."""


class UnexpectedlySupported(AssertionError):
    """A framework returned a result for an input that its adapter declares unsupported."""


@dataclass(frozen=True)
class ExpectedFailure:
    """A failure that is expected, and an error once it is gone."""

    reason: str  # what is wrong, and since which version
    reference: str  # where it is written down


@dataclass(frozen=True)
class Adapter:
    """One way in which a framework computes a recurrent cell or layer.

    Calling it evaluates a case or a stack, whichever of the two ``run`` takes.
    """

    name: str  # "torch.RNN"
    run: Callable[[Case], Evaluation]  # of one case, or of a stack where takes_stacks
    describe: str  # one line: which cell or layer of the framework it calls, and how
    tanh: Callable[[Any], Any]  # the framework's tanh of a NumPy array, whose accuracy a test measures
    tanh_ulps: Mapping[str, float]  # dtype: largest error of that tanh, in ulp
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    offers: tuple[str, ...] = GRADIENTS  # quantities, as of a verdict; "jvp h" needs cases with a direction
    accumulators: Mapping[str, str] = field(default_factory=dict)  # dtype: format of its sums, if not the model's
    max_T: int | None = None  # longest sequence it is given; None: any
    unsupported: tuple[str, ...] = ()  # "T=0", or a layout of memory: the framework raises an error
    finite: tuple[str, ...] = ()  # dtypes in which it is given no NaN or infinity: a finding says why
    takes_stacks: bool = False
    recomputes: tuple[str, ...] = ()  # as of ``Precision``
    slow: bool = False  # judged only when asked for by its own name
    options: Mapping[str, Callable[[Case], Evaluation]] = field(default_factory=dict)  # name: the same as ``run``
    expected_failures: Mapping[str, ExpectedFailure] = field(default_factory=dict)  # "check" or "check dtype"

    @property
    def framework(self) -> str:
        """Name of the framework, of its file, and of its extra."""
        return self.name.partition(".")[0]

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Names of the dtypes on offer; along a direction only those in which that can be judged."""
        return tuple(dtype for dtype in self.tanh_ulps if dtype in ENCLOSED or not self.takes_direction)

    @property
    def takes_direction(self) -> bool:
        """Whether it differentiates along a direction."""
        return "jvp h" in self.offers

    def precision(self, dtype: str) -> Precision:
        """Return the model of this adapter's arithmetic.

        Raises:
            Unsupported: the dtype is not on offer.
        """
        if dtype not in self.dtypes:
            raise Unsupported(f"{self.name}: expected dtype in {list(self.dtypes)}, got {dtype!r}")
        model = PRECISIONS[dtype].with_tanh(self.tanh_ulps[dtype]).recomputing(*self.recomputes)
        return model.with_accumulator(self.accumulators.get(dtype, model.accumulator.name))

    def script(self) -> str | None:
        """Return the adapter as Python text that needs NumPy and the framework alone.

        The text defines ``compute``, which takes the arrays of a single case and its nonlinearity and returns a dict
        from quantity ("h", "dx", ...) to NumPy array.

        Returns:
            The text; None if the adapter needs a direction, or is no ``Way`` of a framework with a file here.
        """
        if self.takes_direction or not isinstance(self.run, Way):
            return None
        return self.run.script(self.framework, takes_stacks=self.takes_stacks)

    def __call__(self, case: Case) -> Evaluation:
        """Evaluate one case or a stack.

        Args:
            case: any case; xs (T, N, D) or (K, T, N, D).

        Returns:
            The evaluation in the case's dtype, stacked like the case.

        Raises:
            Unsupported: the adapter or its framework does not support the case.
            UnexpectedlySupported: the adapter declares that the framework raises an error, and it did not.
        """
        self.precision(case.dtype)
        self.expect_nonlinearity(case.nonlinearity)
        if self.max_T is not None and case.sizes["T"] > self.max_T:
            raise Unsupported(f"{self.name}: expected T <= {self.max_T}, got T={case.sizes['T']}")
        if case.dtype in self.finite and not case.finite:
            raise Unsupported(f"{self.name}: expected finite numbers in {case.dtype}, got others (FINDINGS.md has why)")
        if self.takes_direction and case.direction is None:
            raise Unsupported(f"{self.name}: expected a case with a direction, got one without ({spell(case.sizes)})")
        is_ready = self.takes_direction or case.direction is None
        run = partial(self._run, case if is_ready else replace(case, direction=None))
        sizes = [f"{name}={size}" for name, size in case.unprobed().sizes.items()]
        if declared := ", ".join(size for size in sizes if size in self.unsupported):
            self.expect_unsupported(declared, run)
        return run()

    def expect_nonlinearity(self, nonlinearity: str) -> None:
        """Raise Unsupported unless a nonlinearity is on offer."""
        if nonlinearity not in self.nonlinearities:
            raise Unsupported(f"{self.name}: expected one of {list(self.nonlinearities)}, got {nonlinearity!r}")

    def taken(self, case: Case) -> Case:
        """Return a single case as ``run`` takes it: a stack of one where it takes stacks."""
        return case.map(lambda array: array[None]) if self.takes_stacks else case

    def _run(self, case: Case) -> Evaluation:
        if self.takes_stacks == (case.K is not None):
            return self.run(case)
        if self.takes_stacks:
            return self.run(self.taken(case))[0]
        return Evaluation.stack([self.run(case[k]) for k in range(case.K or 0)])

    def expect_unsupported(self, what: str, run: Callable[[], Any]) -> NoReturn:
        """Run what the framework does not support, and raise Unsupported with the framework's own error.

        Raises:
            Unsupported: the framework raised an error.
            UnexpectedlySupported: it returned a result.
        """
        try:
            run()
        except Exception as error:
            # Some messages come with the colours of a terminal.
            words = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().splitlines() or [""]
            raise Unsupported(f"{self.name}: {what} is unsupported, {type(error).__name__}: {words[0]}") from error
        raise UnexpectedlySupported(f"{self.name}: expected an error for {what}, got a result")


def facts(**named: str) -> Callable[[], dict[str, str]]:
    """Return the ``environment()`` of a framework whose version and flags are the same in each process."""
    return named.copy


def missing(framework: str) -> list[str]:
    """Return, without importing any, the packages of a framework that are not there."""
    needed = packages(file) if (file := source(framework)) else {framework}
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
        what = framework if absent == [framework] else f"{framework} ({', '.join(absent)})"
        message = f"adapters: {what} is not installed; install it with: {install_line(framework)}"
        raise ModuleNotFoundError(message, name=absent[0])


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
