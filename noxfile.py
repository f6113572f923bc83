"""One session for each framework, in its own environment with pinned versions. `nox -l` lists the sessions."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
# Installing does not compile modules. Without Python's cache, each process would compile every module that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

PROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = PROJECT["project"]["optional-dependencies"]
BACKENDS = sorted(EXTRAS)
# from a tag to its frameworks
TAGS = PROJECT["tool"]["rnn-oracle"]["tags"]
WITH_PYTORCH = {name for name, needed in EXTRAS.items() if any(each.startswith("torch>") for each in needed)}
PARALLEL = ("--numprocesses", "auto", "--dist", "loadgroup")
# There is one process for each core. More threads would compete for the cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# All processes, and later runs, share the programs that XLA has compiled.
KEEP_COMPILED = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
# Adapters that take minutes, because they compile for each shape or run one operation at a time.
SLOW = ("torch.compile", "torch.LSTM.compile", "torch.GRU.compile", "jax.eager")
# Checks with drawn cases.
DRAWN = ("step", "sequence", "extremes", "nonfinite")
# Frameworks that step in Python. They run the checks with thousands of steps in the session "long".
STEPPED = ("torch", "autograd", "keras-torch", "sonnet", "keras-tensorflow", "tensorflow")
LONG = ("long", "10k-steps")
# Frameworks without half precisions.
WIDE = ("paddle",)
CORE = ",".join(TAGS["core"])
# Number of frameworks that run in parallel: one for each core, or fewer if sessions share the cores.
JOBS = str(max(1, int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", os.cpu_count() or 1))))
# Folder of the results, and number of stacks for each check in a session.
RESULTS, STACKS = Path("results"), "2"
DTYPES = ["float64", "float32", "bfloat16", "float16"]
# The precisions to judge. The default is short, because compilers compile for each.
JUDGED = os.environ.get("RNN_ORACLE_DTYPES", "float32 float16").split()
CONSTRAINTS = "--constraint=tests/constraints.txt"


def runs(version: str) -> bool:
    """Return whether this Python is installed. The command may be only the shim of a version manager."""
    command = shutil.which(f"python{version}")
    return command is not None and subprocess.run([command, "--version"], capture_output=True).returncode == 0


CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = sorted({CURRENT, *filter(runs, ("3.11", "3.12", "3.13", "3.14"))})


def install(session: nox.Session, *groups: str, extra: str = "") -> None:
    """Install the project, an extra and dependency groups, at the pinned versions."""
    required = [requirement for group in groups for requirement in nox.project.dependency_groups(PROJECT, group)]
    # --no-compile: a run imports few of the thousands of modules of a framework, and Python compiles them then.
    arguments = (CONSTRAINTS, "--no-compile", "--editable", f".[{extra}]" if extra else ".", *required)
    if WITH_PYTORCH.isdisjoint(extra.split(",")):
        session.install(*arguments)
    else:
        # The index of PyTorch without CUDA may be in the settings of pip, which uv does not read.
        session.install(CONSTRAINTS, "pip")
        session.run_install("python", "-m", "pip", "install", "--quiet", *arguments)


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
    """Test the oracle by independent evidence and, with the current Python, everything that needs no framework.

    This includes the command line, the package in new environments, and the suite itself: every fault of the catalogue
    must be caught, shrunk and named.
    """
    install(session, "test")
    paths = ("tests", "--ignore=tests/adapters") if session.python == CURRENT else ("tests/reference",)
    session.run("pytest", *PARALLEL, *paths, "--network", *session.posargs)


def judge(session: nox.Session, *asked: str, into: str, env: dict[str, str], dtypes: list[str] = JUDGED) -> None:
    """Judge adapters as a user does, and write the results into ``results/`` for ``rnn-oracle report``."""
    RESULTS.mkdir(exist_ok=True)
    found = ("--stacks", STACKS, "--dtype", *dtypes, "--json", str(RESULTS / f"{into}.json"))
    session.run("rnn-oracle", "check", "--all", *asked, "--jobs", JOBS, *found, env=env)


def compiled(session: nox.Session) -> dict[str, str]:
    """Return the environment variables of a session: one thread, and a folder for what XLA compiles."""
    return ONE_THREAD | KEEP_COMPILED | {"JAX_COMPILATION_CACHE_DIR": session.create_tmp()}


def backend(session: nox.Session, name: str) -> None:
    """Judge the adapters of one framework, then run their tests and the other tests that need the framework."""
    install(session, "test", extra=name)
    environment = compiled(session)
    judge(session, name, *(("--skip", *LONG) if name in STEPPED else ()), into=name, env=environment)
    test(session, name, env=environment)


def test(session: nox.Session, name: str, env: dict[str, str]) -> None:
    """Run the tests of one framework: of the core in the precisions in which it was not judged."""
    core = name in TAGS["core"]
    own = sorted(map(str, Path("tests").glob(f"[!a]*/test_{name.replace('-', '_')}_*.py")))
    dtypes = [dtype for dtype in DTYPES if dtype not in JUDGED] if core else JUDGED
    # ``check`` has tested the facts of the tests with this marker.
    asked = ("-m", "not slow" if core else "not slow and not judged", "--backend", name, "--network")
    tested = env | {"RNN_ORACLE_DTYPES": " ".join(dtypes or DTYPES)}
    # The longest tests come first, so that no worker waits at the end.
    session.run("pytest", *PARALLEL, *own, "tests/adapters", *asked, *session.posargs, env=tested)


for name in BACKENDS:
    own_tags = [tag for tag, names in TAGS.items() if name in names]
    backend_session = lambda session, name=name: backend(session, name)  # noqa: E731
    backend_session.__doc__ = f"Test and judge the adapters of {name} in an environment without other frameworks."
    nox.session(name=name, tags=["frameworks", *own_tags], default="core" in own_tags)(backend_session)


@nox.session(default=False)
def others(session: nox.Session) -> None:
    """Test and judge all frameworks but PyTorch and JAX in one environment, which can hold them together.

    All checks run in the first precision. A step and a sequence do in the others, because compilers compile for each.
    """
    names = [name for name in BACKENDS if name not in TAGS["core"]]
    install(session, "test", extra=",".join(names))
    session.run("python", "-m", "pip", "check")
    environment = compiled(session)
    stepped, (first, *rest) = [name for name in names if name in STEPPED], JUDGED
    judge(session, *(name for name in names if name not in STEPPED), into="others", env=environment, dtypes=[first])
    judge(session, *stepped, "--skip", *LONG, into="others-stepped", env=environment, dtypes=[first])
    if rest:
        asked = *(name for name in names if name not in WIDE), "--only", "step", "sequence"
        judge(session, *asked, into="others-rest", env=environment, dtypes=rest)
    for name in names:
        test(session, name, env=environment)


@nox.session(default=False)
@nox.parametrize("name", STEPPED)
def long(session: nox.Session, name: str) -> None:
    """Judge frameworks that step in Python over 1,000 and 10,000 steps; PyTorch's session also runs the slow tests."""
    install(session, "test", extra=CORE if name in TAGS["core"] else name)
    judge(session, name, "--only", *LONG, into=f"{name}-long", env=ONE_THREAD)
    if name in TAGS["core"]:
        backends = [word for one in TAGS["core"] for word in ("--backend", one)]
        options = ("tests/adapters", "tests/examples", "-m", "slow", *backends, "--network", *session.posargs)
        session.run("pytest", *PARALLEL, *options, env=ONE_THREAD)


@nox.session(default=False)
def benchmark(session: nox.Session) -> None:
    """Compare the time of the oracle with that of frameworks, and try other methods on its faults; print tables."""
    install(session, "benchmark", extra=CORE)
    session.run("python", "-m", "tests.benchmarks.speed")
    session.run("python", "tests/benchmarks/methods.py", *session.posargs)


@nox.session(default=False, tags=["slow"])
def slow(session: nox.Session) -> None:
    """Judge the adapters that take minutes."""
    install(session, extra=CORE)
    options = ("--stacks", STACKS, "--dtype", "float32", "bfloat16", "--jobs", str(os.cpu_count()))
    session.run("rnn-oracle", "check", *SLOW, *options, *session.posargs, env=ONE_THREAD)


# From a name to its subjects and the extra that they need. Every other name is a framework.
SUBJECTS = {"exact": (("tests.conformance.exact:ADAPTERS",), ""), "slow": (SLOW, CORE)}


@nox.session(default=False)
@nox.parametrize("name", [*SUBJECTS, "plain", *BACKENDS])
def alarms(session: nox.Session, name: str) -> None:
    """Look for false alarms in over 200,000 cases of each adapter and precision; `-- --stacks 115` takes a tenth.

    "exact" is the oracle itself, rounded once; "plain" is NumPy code of unusual arithmetic. Both need no framework.
    """
    if name == "plain":
        install(session, "test")
        session.run("python", "-m", "tests.reference.alarms", *session.posargs, env=ONE_THREAD)
        return
    subject, extra = SUBJECTS.get(name, ((name,), name))
    install(session, extra=extra)
    options = ("--only", *DRAWN, "--stacks", "1150", "--jobs", str(os.cpu_count()), *session.posargs)
    session.run("rnn-oracle", "check", "--all", *subject, *options, env=ONE_THREAD)


@nox.session(default=False)
def page(session: nox.Session) -> None:
    """Judge every framework in every precision; write results/page.html, and the table of adapters/README.md."""
    install(session, extra=",".join(BACKENDS))
    written = ("--output", str(RESULTS / "page.html"), "--summary", str(RESULTS / "table.md"))
    try:
        judge(session, *BACKENDS, *SLOW, into="page", env=compiled(session), dtypes=DTYPES)
    finally:  # a failure is on the page
        session.run("rnn-oracle", "report", str(RESULTS / "page.json"), *written, *session.posargs)


@nox.session(default=False)
def report(session: nox.Session) -> None:
    """Print the table of the results of all sessions."""
    install(session)
    session.run("rnn-oracle", "report", *map(str, sorted(RESULTS.glob("*.json"))), *session.posargs)
