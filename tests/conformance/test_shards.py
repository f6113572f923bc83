"""``--shard I/N``: the parts of a run are disjoint, and together they are all of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import Adapter, ExpectedFailure
from adapters.conformance.checks import CHECKS, Asked, run
from adapters.conformance.choices import NAMES
from adapters.conformance.cli import main, shard
from adapters.conformance.report import Result
from reference import Case, Evaluation
from reference.faults import compute

BY_NAME = {check.name: check for check in CHECKS}


def digest(case: Case) -> str:
    """Return what tells a case from every other."""
    arrays = [array for array in case.fields().values() if isinstance(array, np.ndarray)]
    told = hashlib.sha256(repr(case).encode())
    for array in arrays:
        told.update(array.tobytes())
    return told.hexdigest()


@cache
def judged(name: str, examples: int, part: tuple[int, int], seed: int = 0) -> tuple[set[str], Result]:
    """Return the digests of the cases that a shard of a check asks for, and what came of them."""
    seen: set[str] = set()

    def recording(case: Case) -> Evaluation:
        seen.add(digest(case))
        return compute(case)

    adapter = Adapter("mine", recording, "records", np.tanh, {"float32": 2.5}, takes_stacks=True)
    result = Result(name)
    run(BY_NAME[name], Asked(adapter, "float32", examples, seed, shard=part), result)
    return seen, result


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("name", ["step", "sequence", "edges", "nan", "trained", "shapes"])
def test_shards_judge_the_cases_of_the_whole_run_each_once(name: str, parts: int) -> None:
    whole, all_of_it = judged(name, 12, (1, 1))
    shards = [judged(name, 12, (part, parts)) for part in range(1, parts + 1)]
    counts = Counter(case for seen, _ in shards for case in seen)
    assert set(counts) == whole
    assert set(counts.values()) == {1}
    assert sum(result.cases for _, result in shards) == all_of_it.cases > 0
    assert sum(result.examples for _, result in shards) == all_of_it.examples == BY_NAME[name].count(12)


@pytest.mark.parametrize("examples", [1, 4])
@pytest.mark.parametrize("name", ["step", "sequence", "edges", "nan", "trained"])
def test_another_seed_has_other_cases(name: str, examples: int) -> None:
    # Also where there is one example of a shape, with which Hypothesis begins.
    seen = [judged(name, examples, (1, 1), seed=seed)[0] for seed in range(4)]
    assert len(set.union(*seen)) == sum(map(len, seen))


def test_a_shard_that_fails_makes_its_case_as_small_as_a_whole_run_does() -> None:
    def wrong(case: Case) -> Evaluation:
        answer = compute(case)
        answer.dWh[...] *= 2
        return answer

    sizes = []
    for part in ((1, 1), (2, 3)):
        result = Result("sequence")
        adapter = Adapter("mine", wrong, "wrong", np.tanh, {"float32": 2.5}, takes_stacks=True)
        run(BY_NAME["sequence"], Asked(adapter, "float32", 8, 0, shard=part), result)
        assert result.counterexample is not None
        sizes.append(result.counterexample.sizes)
    assert sizes[0] == sizes[1]


def test_a_shard_does_not_call_an_expected_failure_stale() -> None:
    known = {"step": ExpectedFailure("one case in a thousand", "our list")}
    adapter = Adapter("mine", compute, "right", np.tanh, {"float32": 2.5}, takes_stacks=True, expected_failures=known)
    found = []
    for part in ((1, 1), (1, 2)):
        run(BY_NAME["step"], Asked(adapter, "float32", 4, 0, shard=part), result := Result("step"))
        found.append(result.status)
    assert found == ["stale", "pass"]


MINE = "from reference.faults import compute as mine\n"


def cases_of(path: Path, *arguments: str) -> dict[str, Any]:
    """Return how many cases each check of a run of the command line had."""
    found = str(path / "r.json")
    own = ("--adapter", "mycell:mine", "--dtype", "float32", "--examples", "4", "--json", found)
    assert main(["check", *own, *arguments]) == 0
    (checks,) = [kind["checks"] for kind in json.loads(Path(found).read_text())["adapters"][0]["dtypes"].values()]
    return {check["name"]: check["cases"] for check in checks}


def test_the_command_line_takes_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mycell.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    whole = cases_of(tmp_path)
    assert list(whole) == list(NAMES)
    first, second = (cases_of(tmp_path, "--shard", f"{part}/2") for part in (1, 2))
    # Checks of one example are not in the second, rather than there and empty.
    assert "endless" not in second
    assert {name: first.get(name, 0) + second.get(name, 0) for name in whole} == whole


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/", "/2", "a/b", "-1/2", "1/0"])
def test_what_is_no_shard_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", f"--shard={text}"])
    assert f"argument --shard: expected I/N with 1 <= I <= N, got '{text}'" in capsys.readouterr().err
    assert shard("2/3") == (2, 3)


def test_a_shard_of_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mycell.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["check", "--adapter", "mycell:mine", "--only", "step", "--examples", "4", "--shard", "5/9"]) == 2
    assert capsys.readouterr().err == "rnn-oracle: --shard: expected one of at most 4, the examples of a check, got 5\n"
