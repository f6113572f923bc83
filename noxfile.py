"""Sessions: one a backend, each in an environment of its own with pinned versions. `nox -l` lists them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
# Nothing is compiled when installed: where Python kept nothing either, each process would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

PROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = PROJECT["project"]["optional-dependencies"]
BACKENDS = sorted(EXTRAS)
# Tag: the backends that have it.
TAGS = PROJECT["tool"]["rnn-oracle"]["tags"]
WITH_PYTORCH = {name for name, needed in EXTRAS.items() if any(each.startswith("torch>") for each in needed)}
PARALLEL = ("--numprocesses", "auto", "--dist", "loadgroup")
# A framework's threads, times as many processes as there are cores, wait for one another.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# What XLA compiled for one process serves the others, and the next run.
KEEP_COMPILED = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
# Ways of running a framework that take minutes: compiled anew for each shape, or one operation at a time.
SLOW = ("torch.compile", "jax.eager")
# The checks whose cases are drawn.
DRAWN = ("step", "sequence", "extremes", "nonfinite")
# Who goes from step to step in Python, and the checks of thousands of them, which have sessions of their own then.
STEPPED = ("torch", "autograd", "keras-torch", "sonnet", "keras-tensorflow", "tensorflow")
LONG = ("long", "10k-steps")
CORE = ",".join(TAGS["core"])
# Processes that judge: as many as there are cores, but where those are shared.
JOBS = str(max(1, int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", os.cpu_count() or 1))))
# Where verdicts go, and on how many stacks of cases a check they rest in a session.
RESULTS, STACKS = Path("results"), "2"
# Precisions; those in which sessions judge if it is said, and if it is not: a compiler works anew for each.
DTYPES = ["float64", "float32", "bfloat16", "float16"]
SAID, PAIR = os.environ.get("RNN_ORACLE_DTYPES", "").split(), ["float32", "float16"]
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
    # Of a framework's thousands of modules few are imported, and Python compiles those then.
    asked = (CONSTRAINTS, "--no-compile", "--editable", f".[{extra}]" if extra else ".", *wanted)
    if WITH_PYTORCH.isdisjoint(extra.split(",")):
        session.install(*asked)
    else:
        # Where a build of PyTorch without CUDA is may be among pip's settings, which uv does not read.
        session.install(CONSTRAINTS, "pip")
        session.run_install("python", "-m", "pip", "install", "--quiet", *asked)


@nox.session(tags=["core"])
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    session.install(CONSTRAINTS, *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session(tags=["core"])
def types(session: nox.Session) -> None:
    """Check types with mypy --strict."""
    install(session, "types")
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHONS, tags=["core"])
def reference(session: nox.Session) -> None:
    """Test the oracle by independent evidence; with the current Python also all else that needs no framework.

    That is the command line, the package in new environments, and the suite itself: every fault of the catalogue has to
    be caught, made small, and named.
    """
    install(session, "test")
    asked = ("tests", "--ignore=tests/adapters") if session.python == CURRENT else ("tests/reference",)
    session.run("pytest", *PARALLEL, *asked, "--network", *session.posargs)


def judged(name: str) -> list[str]:
    """Return in which precisions a framework is judged; of one that goes back and is not of the core, it is one."""
    return SAID or (PAIR if name in (*TAGS["core"], *TAGS["forward-only"]) else PAIR[:1])


def tested(name: str) -> list[str]:
    """Return in which precisions a framework is tested: of the core those in which it is not judged."""
    rest = [dtype for dtype in DTYPES if dtype not in judged(name)]
    return rest or DTYPES if name in TAGS["core"] else PAIR


def judge(session: nox.Session, name: str, *asked: str, into: str, env: dict[str, str]) -> None:
    """Judge as a user would; the verdicts go into ``results/``, for ``rnn-oracle report``."""
    RESULTS.mkdir(exist_ok=True)
    found = ("--stacks", STACKS, "--dtype", *judged(name), "--json", str(RESULTS / f"{into}.json"))
    session.run("rnn-oracle", "check", name, *asked, "--jobs", JOBS, *found, env=env)


def backend(session: nox.Session, name: str) -> None:
    """Judge the adapters of one framework, and test them, its example, and what else needs it."""
    install(session, "test", extra=name)
    own = sorted(map(str, Path("tests").glob(f"[!a]*/test_{name.replace('-', '_')}_*.py")))
    environment = ONE_THREAD | KEEP_COMPILED | {"JAX_COMPILATION_CACHE_DIR": session.create_tmp()}
    judge(session, name, *(("--skip", *LONG) if name in STEPPED else ()), into=name, env=environment)
    # The longest first, so that no worker waits for another at the end.
    asked = (*own, "tests/adapters", "-m", "not slow", "--backend", name, "--network", *session.posargs)
    session.run("pytest", *PARALLEL, *asked, env=environment | {"RNN_ORACLE_DTYPES": " ".join(tested(name))})


for name in BACKENDS:
    of = [tag for tag, names in TAGS.items() if name in names]
    backend_session = lambda session, name=name: backend(session, name)  # noqa: E731
    backend_session.__doc__ = f"Test and judge the adapters of {name} in an environment with nothing else."
    tags = ["frameworks", *(of if "core" in of else ["others", *of])]
    nox.session(name=name, tags=tags, default="core" in of)(backend_session)


@nox.session(default=False)
@nox.parametrize("name", STEPPED)
def long(session: nox.Session, name: str) -> None:
    """Judge over 1,000 and 10,000 steps who goes from one to the next in Python; PyTorch's runs all slow tests, too."""
    install(session, "test", extra=CORE if name in TAGS["core"] else name)
    judge(session, name, "--only", *LONG, into=f"{name}-long", env=ONE_THREAD)
    if name in TAGS["core"]:
        of = [word for one in TAGS["core"] for word in ("--backend", one)]
        asked = ("tests/adapters", "tests/examples", "-m", "slow", *of, "--network", *session.posargs)
        session.run("pytest", *PARALLEL, *asked, env=ONE_THREAD)


@nox.session(default=False)
def benchmark(session: nox.Session) -> None:
    """Time the oracle beside what it judges, and put its faults before other methods; prints ratios and tables."""
    install(session, "benchmark", extra=CORE)
    session.run("python", "-m", "tests.benchmarks.speed")
    session.run("python", "tests/benchmarks/methods.py", *session.posargs)


@nox.session(default=False, tags=["slow"])
def slow(session: nox.Session) -> None:
    """Judge the ways of running a framework that take minutes."""
    install(session, extra=CORE)
    asked = ("--stacks", STACKS, "--dtype", "float32", "bfloat16", "--jobs", str(os.cpu_count()))
    session.run("rnn-oracle", "check", *SLOW, *asked, *session.posargs, env=ONE_THREAD)


# Name: who is judged, and the extra that it needs; any other name is that of a framework.
SOUGHT = {"exact": (("tests.conformance.exact:ADAPTERS",), ""), "slow": (SLOW, CORE)}


@nox.session(default=False)
@nox.parametrize("name", [*SOUGHT, *BACKENDS])
def alarms(session: nox.Session, name: str) -> None:
    """Look for false alarms: over 200,000 cases of every way and precision; `-- --stacks 115` puts a tenth.

    "exact" is the oracle itself, which needs no framework, takes minutes, and is asked first.
    """
    subject, extra = SOUGHT.get(name, ((name,), name))
    install(session, extra=extra)
    asked = ("--only", *DRAWN, "--stacks", "1150", "--jobs", str(os.cpu_count()), *session.posargs)
    session.run("rnn-oracle", "check", *subject, *asked, env=ONE_THREAD)


@nox.session(default=False)
def report(session: nox.Session) -> None:
    """Print the table of what the sessions of the frameworks found."""
    install(session)
    session.run("rnn-oracle", "report", *map(str, sorted(RESULTS.glob("*.json"))), *session.posargs)
