"""Sessions: one a backend, each in an environment of its own with pinned versions. `nox -l` lists them."""

import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"

PROJECT = nox.project.load_toml("pyproject.toml")
BACKENDS = sorted(PROJECT["project"]["optional-dependencies"])
PARALLEL = ("--numprocesses", "auto")
# A framework's threads, times as many processes as there are cores, wait for one another.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# What XLA compiled for one process serves the others, and the next run.
KEEP_COMPILED = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
# Ways of running a framework that take minutes: compiled anew for each shape, or one operation at a time.
SLOW = ("torch.compile", "jax.eager")
CONSTRAINTS = "--constraint=tests/constraints.txt"


def runs(version: str) -> bool:
    """Tell whether this Python is installed; a version manager's shim may be there without it."""
    command = shutil.which(f"python{version}")
    return command is not None and subprocess.run([command, "--version"], capture_output=True).returncode == 0


CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = sorted({CURRENT, *filter(runs, ("3.11", "3.12", "3.13", "3.14"))})


def install(session: nox.Session, *groups: str, extra: str = "") -> None:
    """Install the project, with an extra, and dependency groups, at the pinned versions."""
    wanted = [requirement for group in groups for requirement in nox.project.dependency_groups(PROJECT, group)]
    session.install(CONSTRAINTS, "--editable", f".[{extra}]" if extra else ".", *wanted)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    session.install(CONSTRAINTS, *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict."""
    install(session, "types")
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHONS)
def reference(session: nox.Session) -> None:
    """Test the oracle by independent evidence, and the command line, without any framework."""
    install(session, "test")
    elsewhere = ("--ignore=tests/adapters", "--ignore=tests/faults")
    session.run("pytest", *PARALLEL, "tests", *elsewhere, *session.posargs)


def backend(session: nox.Session, name: str) -> None:
    """Test the adapters of one framework, its example, and what else needs it, and fail if they did not run."""
    install(session, "test", extra=name)
    others = sorted(map(str, Path("tests").glob(f"[!a]*/test_{name}_*.py")))
    cached = KEEP_COMPILED | {"JAX_COMPILATION_CACHE_DIR": session.create_tmp()}
    asked = ("tests/adapters", *others, "--backend", name, "--network", *session.posargs)
    session.run("pytest", *PARALLEL, *asked, env=ONE_THREAD | cached)


for name in BACKENDS:
    backend_session = lambda session, name=name: backend(session, name)  # noqa: E731
    backend_session.__doc__ = f"Test the adapters of {name} in an environment with nothing else."
    nox.session(backend_session, name=name)


@nox.session
def examples(session: nox.Session) -> None:
    """Install the package into empty environments, as a wheel and from the clone, and run the examples there."""
    install(session, "test")
    session.run("pytest", "tests/examples", "--network", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Judge the suite itself: every fault of the catalogue has to be caught, made small, and named."""
    install(session, "test")
    session.run("pytest", *PARALLEL, "tests/faults", *session.posargs)
    session.run("rnn-oracle", "faults")


@nox.session(default=False)
def benchmark(session: nox.Session) -> None:
    """Time the oracle beside what it judges, and put its faults before other methods; prints ratios and tables."""
    install(session, extra=",".join(BACKENDS))
    session.run("python", "tests/benchmarks/speed.py")
    session.run("python", "tests/benchmarks/methods.py", *session.posargs)


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """Judge the ways of running a framework that take minutes."""
    install(session, extra=",".join(BACKENDS))
    session.run("rnn-oracle", "check", *SLOW, "--examples", "2", env=ONE_THREAD)


@nox.session(default=False)
@nox.parametrize("name", BACKENDS)
def alarms(session: nox.Session, name: str) -> None:
    """Look for false alarms: 204,000 cases of every way and precision, or as `-- --examples N` says, 204 N."""
    install(session, extra=name)
    asked = ("--only", "step", "sequence", "edges", "--examples", "1000", *session.posargs)
    session.run("rnn-oracle", "check", name, *asked, env=ONE_THREAD)


@nox.session(default=False)
def report(session: nox.Session) -> None:
    """Judge every framework, as a user would, and print the table."""
    install(session, extra=",".join(BACKENDS))
    session.run("rnn-oracle", "check", *BACKENDS, *session.posargs)
