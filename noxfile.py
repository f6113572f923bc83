"""Sessions: one a backend, each in an environment of its own with pinned versions. `nox -l` lists them."""

import shutil
import subprocess
import sys

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False

PROJECT = nox.project.load_toml("pyproject.toml")
BACKENDS = sorted(PROJECT["project"]["optional-dependencies"])
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
    """Check types with mypy --strict, frameworks included."""
    install(session, "types", extra=",".join(BACKENDS))
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHONS)
def reference(session: nox.Session) -> None:
    """Test the oracle by independent evidence, without any framework."""
    install(session, "test")
    session.run("pytest", "tests/reference", "tests/faults", "tests/cli", *session.posargs)


def backend(session: nox.Session, name: str) -> None:
    """Test the adapters of one framework, and fail if they did not run."""
    install(session, "test", extra=name)
    session.run("pytest", "tests/adapters", "--backend", name, *session.posargs)


for name in BACKENDS:
    backend_session = lambda session, name=name: backend(session, name)  # noqa: E731
    backend_session.__doc__ = f"Test the adapters of {name} in an environment with nothing else."
    nox.session(backend_session, name=name)


@nox.session
def report(session: nox.Session) -> None:
    """Judge every framework, as a user would, and print the table."""
    install(session, extra=",".join(BACKENDS))
    session.run("rnn-oracle", "check", *BACKENDS, *session.posargs)
