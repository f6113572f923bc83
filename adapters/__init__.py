"""The adapters: one file per framework, imported only when its name is given.

The file ``adapters/<framework>.py`` contains all code that is specific to a framework. It defines ``ADAPTERS``, a tuple
of ``Adapter``, and ``environment()``, which returns the versions and precision flags that a reader of results needs.
``LAYOUTS`` is a plain dict of the places of the framework's parameters; it is read without importing the framework. The
extra of the same name in pyproject.toml installs the framework.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from types import ModuleType
from typing import Any, NoReturn

from adapters._errors import UnexpectedlySupported as UnexpectedlySupported
from adapters._errors import Unsupported as Unsupported
from adapters._layers import LayersWay as LayersWay
from adapters._offers import ENCLOSED
from adapters._offers import JVP as JVP
from adapters._offers import TWICE as TWICE
from adapters._offers import gated as gated
from adapters._source import frameworks as frameworks
from adapters._source import packages as packages
from adapters._source import source
from adapters._way import Way as Way
from adapters.layout import port as port
from reference import PRECISIONS, Case, Evaluation, LayersCase, LayersEvaluation, Precision
from reference.archive import spell
from reference.case import without
from reference.verdict import GRADIENTS


@dataclass(frozen=True)
class ExpectedFailure:
    """A failure that is expected. If the check passes, this is an error."""

    reason: str  # description of the fault, and the first version that has it
    reference: str  # link or file that describes the fault


@dataclass(frozen=True)
class Adapter:
    """One way in which a framework computes a recurrent cell or layer.

    Calling an adapter evaluates a case or a stack. ``run`` may take only one of the two.
    """

    name: str  # "torch.RNN"
    run: Callable[[Case], Evaluation]  # evaluates one case, or a stack if takes_stacks
    describe: str  # one line: the cell or layer that is called, and the way it is differentiated
    tanh: Callable[[Any], Any]  # the framework's tanh of a NumPy array; a test measures its accuracy
    tanh_ulps: Mapping[str, float]  # dtype: largest error of that tanh, in ulp
    sigmoid: Callable[[Any], Any] | None = None  # likewise its sigmoid, of a gated cell
    sigmoid_ulps: Mapping[str, float] = field(default_factory=dict)  # largest error of that, if not the model's
    sigmoid_absolute: Mapping[str, float] = field(default_factory=dict)  # beside it, in units of u
    cell: str = "rnn"  # as of ``Case``
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    offers: tuple[str, ...] = GRADIENTS  # quantities, as of a verdict; "jvp h" needs cases with a direction
    accumulators: Mapping[str, str] = field(default_factory=dict)  # dtype: format of sums, if not the default
    max_T: int | None = None  # largest T of the cases; None for no limit
    unsupported: tuple[str, ...] = ()  # "T=0", or a layout of memory, for which the framework raises an error
    finite: tuple[str, ...] = ()  # dtypes in which cases have no NaN or infinity; a finding states the reason
    takes_stacks: bool = False
    recomputes: tuple[str, ...] = ()  # as of ``Precision``
    main: bool = True  # False if the name of the framework does not stand for it, but "torch.*" does
    slow: bool = False  # True if the adapter runs only when its own name is given
    # Name: another form of ``run``. "unbatched" is given one row.
    options: Mapping[str, Callable[[Case], Evaluation]] = field(default_factory=dict)
    expected_failures: Mapping[str, ExpectedFailure] = field(default_factory=dict)  # "check" or "check dtype"
    lacks: tuple[str, ...] = ()  # what its cases are without, as of ``reference.case.without``: "bn", "h0"
    layers: Callable[[LayersCase], LayersEvaluation] | None = None  # the same in several layers, if there is such a way
    origin: str = ""  # where Python finds a subject of one's own: "mymodule:MyLSTM", "mymodule:MINE[1]"

    @property
    def framework(self) -> str:
        """Name of the framework, equal to the name of its file and, with hyphens, of its extra."""
        return self.name.partition(".")[0]

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Names of the supported dtypes; along a direction, only those in which derivatives can be judged."""
        return tuple(dtype for dtype in self.tanh_ulps if dtype in ENCLOSED or not self.takes_direction)

    def judged(self, named: Sequence[str] | None) -> list[str]:
        """Return the dtypes in which the adapter is judged: those of ``named``, by default float64 and float32.

        Without a request, an adapter of half precisions alone is judged in these.
        """
        return [dtype for dtype in self.dtypes if dtype in (named or ENCLOSED)] or [*(() if named else self.dtypes)]

    @property
    def takes_direction(self) -> bool:
        """Whether the adapter differentiates along a direction."""
        return "jvp h" in self.offers

    def precision(self, dtype: str) -> Precision:
        """Return the model of this adapter's arithmetic.

        Raises:
            Unsupported: the adapter does not support the dtype.
        """
        if dtype not in self.dtypes:
            raise Unsupported(f"{self.name}: expected dtype in {list(self.dtypes)}, got {dtype!r}")
        model = PRECISIONS[dtype].with_tanh(self.tanh_ulps[dtype]).recomputing(*self.recomputes)
        if self.cell != "rnn":
            ulps = self.sigmoid_ulps.get(dtype, model.sigmoid_ulps)
            model = model.with_sigmoid(ulps, self.sigmoid_absolute.get(dtype, model.sigmoid_absolute))
        return model.with_accumulator(self.accumulators.get(dtype, model.accumulator.name))

    def script(self) -> str | None:
        """Return the adapter as Python text that needs only NumPy and the framework.

        The text defines ``compute``. It takes the arrays and the nonlinearity of a single case, and returns a dict from
        quantity ("h", "dx", ...) to NumPy array.

        Returns:
            The text; None if the adapter needs a direction, or is not a ``Way`` of a framework with a file here.
        """
        way = getattr(self.run, "__wrapped__", self.run)  # a guarded function wraps it
        if self.takes_direction or not isinstance(way, Way):
            return None
        return way.script(self.framework, takes_stacks=self.takes_stacks)

    def __call__(self, case: Case) -> Evaluation:
        """Evaluate one case or a stack.

        Args:
            case: any case; xs (T, N, D) or (K, T, N, D).

        Returns:
            The evaluation in the case's dtype, stacked like the case.

        Raises:
            Unsupported: the adapter or its framework does not support the case.
            UnexpectedlySupported: the adapter declares the case unsupported, but the framework returned a result.
        """
        self.precision(case.dtype)
        if case.cell != self.cell:
            raise Unsupported(f"{self.name}: expected the cell {self.cell!r}, got {case.cell!r}")
        self.expect_nonlinearity(case.nonlinearity)
        if self.max_T is not None and case.sizes["T"] > self.max_T:
            raise Unsupported(f"{self.name}: expected T <= {self.max_T}, got T={case.sizes['T']}")
        if case.dtype in self.finite and not case.finite:
            raise Unsupported(f"{self.name}: expected finite numbers in {case.dtype}, got others (FINDINGS.md has why)")
        if given := [name for name in case.params.present() if name in self.lacks]:
            raise Unsupported(f"{self.name}: expected a case without {given[0]}, got one with it ({case.spelled})")
        if self.takes_direction and case.direction is None:
            raise Unsupported(f"{self.name}: expected a case with a direction, got one without ({spell(case.sizes)})")
        is_ready = self.takes_direction or case.direction is None
        run = partial(self._run, case if is_ready else replace(case, direction=None))
        sizes = [f"{name}={size}" for name, size in case.unprobed().sizes.items()]
        if declared := ", ".join(size for size in sizes if size in self.unsupported):
            self.expect_unsupported(declared, run)
        return run()

    def expect_nonlinearity(self, nonlinearity: str) -> None:
        """Raise Unsupported unless the adapter supports a nonlinearity."""
        if nonlinearity not in self.nonlinearities:
            raise Unsupported(f"{self.name}: expected one of {list(self.nonlinearities)}, got {nonlinearity!r}")

    def suited(self, case: Any) -> Any:
        """Return a case, of one layer or of several, without what the subject lacks."""
        return without(case, self.lacks)

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
        """Run an unsupported input, and raise Unsupported with the framework's own error.

        Raises:
            Unsupported: the framework raised an error.
            UnexpectedlySupported: the framework returned a result.
        """
        try:
            run()
        except Exception as error:
            own = error.__cause__ if isinstance(error, Unsupported) and error.__cause__ else error
            # Some messages come with the colours of a terminal.
            words = re.sub(r"\x1b\[[\d;]*m", "", str(own)).strip().splitlines() or [""]
            raise Unsupported(f"{self.name}: {what} is unsupported, {type(own).__name__}: {words[0]}") from error
        raise UnexpectedlySupported(f"{self.name}: expected an error for {what}, got a result")


def facts(**named: str) -> Callable[[], dict[str, str]]:
    """Return the function ``environment`` of a framework whose versions and flags are the same in every process."""
    return named.copy


def missing(framework: str) -> list[str]:
    """Return the packages of a framework that are not installed, without importing any."""
    needed = packages(file) if (file := source(framework)) else {framework}
    return sorted(name for name in needed if importlib.util.find_spec(name) is None)


def is_installed(framework: str) -> bool:
    """Return whether a framework is installed, without importing it."""
    return not missing(framework)


def install_line(framework: str) -> str:
    """Return the command that installs a framework, from the extra of the same name."""
    # Imported here, because only this function needs them.
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    # The name of an extra has hyphens instead of the underscores of the module.
    extra = {"extra": framework.replace("_", "-")}
    lines = map(Requirement, requires("rnn-oracle") or [])
    needed = [f'"{str(line).partition(";")[0]}"' for line in lines if line.marker and line.marker.evaluate(extra)]
    return f"python -m pip install {' '.join(needed) or framework}"


def expect_installed(framework: str) -> None:
    """Raise an error unless a framework has a file here and is installed. The framework is not imported.

    Raises:
        ValueError: there is no such file.
        ModuleNotFoundError: the framework is not installed; the message has the command that installs it.
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
        ValueError, ModuleNotFoundError: as in ``expect_installed``.
    """
    expect_installed(framework)
    return importlib.import_module(f"adapters.{framework}")


def load(name: str) -> tuple[Adapter, ...]:
    """Return the adapters of a name: "torch" for the main ones, "torch.*" for all but slow ones, "torch.RNN" for one.

    A pattern with ``*`` may be longer, as "jax.lstm.*".

    The name of the extra, with hyphens instead of underscores, is accepted too.

    Raises:
        ValueError: there is no such framework or adapter.
        ModuleNotFoundError: the framework is not installed.
    """
    name = name.replace("-", "_")
    framework, _, variant = name.partition(".")
    offered: tuple[Adapter, ...] = load_framework(framework).ADAPTERS
    if "*" in name:
        found = tuple(one for one in offered if fnmatchcase(one.name, name) and not one.slow)
    else:
        found = tuple(one for one in offered if one.name == name or (one.main and not (variant or one.slow)))
    if not found:
        raise ValueError(f"adapters: expected one of {[adapter.name for adapter in offered]}, got {name!r}")
    return found
