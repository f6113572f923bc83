"""The section "Add a framework" of adapters/README.md, followed step by step in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The framework of the README's example. Like many, it keeps its weights transposed.
TINYRNN = """
import numpy as np

__version__ = "1.0"


class Layer:
    def __init__(self, w_in, w_rec, bias, activation):
        self.w_in, self.w_rec, self.bias, self.activation = w_in, w_rec, bias, activation

    def forward(self, xs, h):
        if not len(xs):
            raise ValueError("an empty sequence")
        self.xs, self.hs = xs, [h]
        for x in xs:
            a = x @ self.w_in.T + self.hs[-1] @ self.w_rec.T + (0 if self.bias is None else self.bias)
            self.hs.append(np.tanh(a) if self.activation == "tanh" else np.maximum(a, 0))
        return np.array(self.hs[1:])

    def backward(self, upstream):
        carried, adjoints = np.zeros_like(self.hs[0]), []
        for h, dh in zip(self.hs[:0:-1], upstream[::-1]):
            slope = 1 - h * h if self.activation == "tanh" else (h > 0).astype(h.dtype)
            adjoints.append((dh + carried) * slope)
            carried = adjoints[-1] @ self.w_rec
        A = np.array(adjoints[::-1])
        dw_in, dw_rec = (np.einsum("tnh,tnd->hd", A, given) for given in (self.xs, np.array(self.hs[:-1])))
        return [A @ self.w_in, carried, dw_in, dw_rec, *([] if self.bias is None else [A.sum(axis=(0, 1))])]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, install tinyrnn beside it, and follow the README."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("adapters", "reference", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "noxfile.py", "README.md"):
        shutil.copy(ROOT / name, copy)
    (copy / "site").mkdir()
    (copy / "site" / "tinyrnn.py").write_text(TINYRNN)
    written = re.findall(
        r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", (ROOT / "adapters" / "README.md").read_text("utf-8"), re.DOTALL
    )
    (adapter, code), (settings, extra) = written
    (copy / adapter).write_text(code)
    text = (copy / settings).read_text("utf-8")
    (copy / settings).write_text(
        text.replace("[project.optional-dependencies]\n", f"[project.optional-dependencies]\n{extra}")
    )
    return copy


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, where tinyrnn is installed."""
    path = os.pathsep.join([str(project), str(project / "site")])
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=project, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)


MAIN = "import sys; from adapters.conformance.cli import main; sys.exit(main(sys.argv[1:]))"


ADVICE = "import adapters; from adapters.conformance.advice import advise; print(advise(*adapters.load('tinyrnn')))"


def test_the_file_of_a_framework_is_no_longer_than_120_lines(project: Path) -> None:
    files = [file for file in (project / "adapters").glob("[!_]*.py") if file.stem != "layout"]
    assert len(files) > 10
    for file in files:
        assert len(file.read_text("utf-8").splitlines()) <= 120, file.name


def test_it_is_listed_and_right_in_one_small_case(project: Path) -> None:
    assert "tinyrnn.Layer" in run(project, "-c", MAIN, "list").stdout
    ran = run(project, "-c", ADVICE)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n", "")


def test_it_is_judged_and_its_unsupported_inputs_are_reported(project: Path) -> None:
    ran = run(
        project, "-c", MAIN, "check", "tinyrnn", "--stacks", "1", "--only", "step", "shapes", "strides", "--verbose"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "unsupported  shapes: T=0 is unsupported, ValueError: an empty sequence (tinyrnn.Layer in" in ran.stdout
    assert len(re.findall(r"tinyrnn.Layer +float\d\d .* pass *$", ran.stdout, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        (
            "layer.backward(upstream)\n",
            "layer.backward(upstream)\n    gradients[1] = gradients[1].T\n",
            "dWh transposed",
        ),
        ('weights["w_rec"],', 'weights["w_rec"].T,', "Wh transposed"),
        ('"w_rec": "Wh.T"', '"w_rec": "Wh"', "Wh kept transposed"),
    ],
    ids=["a gradient", "the weights", "the table"],
)
def test_a_wrong_transpose_is_named(project: Path, right: str, wrong: str, fault: str) -> None:
    file = project / "adapters" / "tinyrnn.py"
    text = file.read_text("utf-8")
    assert text.count(right) == 1
    file.write_text(text.replace(right, wrong))
    ran = run(project, "-c", MAIN, "check", "tinyrnn", "--stacks", "2", "--only", "sequence", "--dtype", "float32")
    file.write_text(text)
    assert ran.returncode == 1
    assert f"`{fault}`" in ran.stdout, ran.stdout


def test_it_has_tests_and_a_session(project: Path) -> None:
    tests = ("tests/adapters/test_oracle.py", "tests/adapters/test_tanh.py", "tests/adapters/test_reproduce.py")
    asked = ("--backend", "tinyrnn", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    pytest.importorskip("flint", reason="tanh is held to certified enclosures")
    ran = run(project, "-m", "pytest", *tests, *asked)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
    pytest.importorskip("nox")
    assert re.search(r"- tinyrnn \[frameworks", run(project, "-m", "nox", "-l").stdout)
