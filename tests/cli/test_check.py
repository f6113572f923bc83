"""``rnn-oracle check``: its output, its exit status, and its handling of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapters.conformance import NAMES, STACKS, TIMEOUT, commands
from adapters.conformance.checks import Plan
from adapters.conformance.cli import FILES
from adapters.conformance.judge import TRAINED
from adapters.conformance.report import Failure, Report, Result, Row
from adapters.conformance.run import Group
from adapters.layout import Layout
from reference import Case
from tests.progress import besides_progress

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--stacks", "2", "--dtype", "float32")

OLD = ("step", "sequence", "long", "trained")
ANY = ["float64", "float32", "bfloat16", "float16"]


def test_a_right_subject_passes_and_its_cases_are_counted(rnn_oracle: Run, tmp_path: Path) -> None:
    found = ("--json", str(tmp_path / "r.json"))
    status, out, _ = rnn_oracle("check", "own:right", *QUICK, "--only", *OLD, *found)
    assert status == 0
    assert "oracle  python" in out
    assert "own  own -" in out
    checks = json.loads((tmp_path / "r.json").read_text())["adapters"][0]["dtypes"]["float32"]["checks"]
    assert [check["name"] for check in checks] == list(OLD)
    assert [check["status"] for check in checks] == ["pass"] * 4
    # For large shapes, a stack has fewer cases than 76 for sequences, or than 4 for long sequences.
    assert [check["cases"] for check in checks] == [2 * 52, 2 * 76, 3, 8]
    assert f"{2 * 52 + 2 * 76 + 3 + 8}" in out.split("float32")[1]
    for check in checks:
        assert set(check["worst"]) == {"h", "dx", "dh0", "dWx", "dWh", "db"}
        assert all(0 <= ratio <= 1 for ratio in check["worst"].values())
        assert 0 < check["relative_bound"] < 1e-2
        assert check["failure"] is None


def test_a_precision_that_no_adapter_offers_is_reported(rnn_oracle: Run) -> None:
    status, out, _ = rnn_oracle("check", "own:right", "--dtype", "bfloat16", "float16")
    assert status == 1
    assert "unjudged  own: expected a precision that it offers, got bfloat16, float16" in out


def rows(out: str) -> list[list[str]]:
    """Return the rows of the table as words."""
    return [line.split() for line in out.splitlines() if line.startswith(" own.")]


def test_every_check_has_its_cell(rnn_oracle: Run) -> None:
    status, out, _ = rnn_oracle("check", "own:right", *QUICK, "--verbose")
    assert status == 0
    (cells,) = rows(out)
    assert cells[3 : 3 + len(NAMES)] == ["unsupported" if name in ("options", "layers") else "pass" for name in NAMES]
    assert "unsupported  options: no options (own.right in float32)" in out


def test_a_wrong_subject_fails_with_the_place_and_the_bound_and_what_it_looks_like(rnn_oracle: Run) -> None:
    status, out, _ = rnn_oracle("check", "own:wrong", *QUICK, "--only", "sequence", "shapes")
    assert status == 1
    account = out.split("FAIL in sequence\n")[1].splitlines()
    assert account[0].startswith("own.wrong float32 dWh[")
    assert "x its bound" in account[1]
    assert "elements exceed theirs (T=" in account[1]
    assert account[2].startswith("dWh is wrong; h, dx, dh0, dWx")
    assert account[3] == "dWh is wrong; h, dx, dh0, dWx are right (T=1, N=1, D=1, H=2, no bias)."
    assert account[4].startswith("It starts at dWh[")
    assert account[5] == "Everything returned equals the result of this fault:"
    assert account[6].startswith("  `dWh transposed`: ")
    # Only the first failure of a row is explained. The advice from one small case comes before the table.
    assert out.count("It starts at") == 2
    assert out.startswith("own.wrong float32, one case of tanh (T=3, N=2, D=4, H=5):\nfloat32 dWh[")
    assert out.index("`dWh transposed`") < out.index("oracle  python")


def test_an_expected_failure_is_an_error_once_it_is_fixed(rnn_oracle: Run) -> None:
    status, out, _ = rnn_oracle("check", "own:faulty", *QUICK, "--only", "sequence", "options", "--verbose")
    assert status == 0
    assert rows(out)[0][3] == "xfail"
    assert "xfail  sequence: dWh comes transposed (an issue of NumPy's) (own.faulty in float32)" in out
    status, out, _ = rnn_oracle("check", "own:fixed", *QUICK, "--only", "sequence", "options")
    assert status == 1
    assert rows(out)[0][3] == "xpass"
    assert "XPASS in sequence\nexpected a failure, got none: dWh comes transposed (an issue of NumPy's)" in out


def test_the_largest_errors_are_shown_by_quantity(rnn_oracle: Run, tmp_path: Path) -> None:
    asked = ("--by-quantity", "--markdown", str(tmp_path / "t.md"))
    _, out, _ = rnn_oracle("check", "own:right", *QUICK, "--only", "step", *asked)
    assert "adapter    precision     h    dx   dh0   dWx   dWh    db  jvp  hvp" in out
    assert rows(out)[1][-2:] == ["-", "-"]
    verdicts, ratios = (tmp_path / "t.md").read_text().split("\n\n")
    assert verdicts.splitlines()[0] == "| adapter | precision | cases | step | worst | relative bound | verdict |"
    assert ratios.splitlines()[0] == "| adapter | precision | h | dx | dh0 | dWx | dWh | db | jvp | hvp |"


def test_a_failure_is_saved_as_a_shrunk_case(rnn_oracle: Run, tmp_path: Path) -> None:
    found = tmp_path / "r.json"
    status, out, _ = rnn_oracle(
        "check", "own:wrong", *QUICK, "--only", *OLD, "--reproduce", str(tmp_path / "new"), "--json", str(found)
    )
    assert status == 1
    # With so few examples, some checks have only one unit, and a 1 x 1 matrix equals its transpose.
    path = tmp_path / "new" / "own.wrong-float32-sequence.npz"
    assert Case.load(path).sizes == {"T": 1, "N": 1, "D": 1, "H": 2}
    assert f"written: {path}" in out
    checks = json.loads(found.read_text())["adapters"][0]["dtypes"]["float32"]["checks"]
    assert checks[1]["failure"]["reproduction"] == [str(path.with_suffix(end)) for end in (".npz", ".py", ".md")]
    ran = subprocess.run([sys.executable, path.with_suffix(".py")], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout[:12]) == (1, "float32 dWh["), ran.stderr
    told = [check["failure"]["diagnosis"] for check in checks if check["failure"]]
    assert "`dWh transposed`" in told[0]
    assert not any(told[1:])


IN_STRIDES = """
import numpy as np
from reference.faults import compute

def my_rnn(case):
    found = compute(case)
    return found if case.xs.flags.c_contiguous else found.replacing(dWx=-found.dWx)
"""


def test_a_failure_in_strides_alone_is_reported_and_written(rnn_oracle: Run, tmp_path: Path) -> None:
    (tmp_path / "strided.py").write_text(IN_STRIDES)
    asked = ("--only", "step", "strides", "--reproduce", str(tmp_path / "new"))
    status, out, err = rnn_oracle("check", "strided:my_rnn", *QUICK, *asked)
    assert (status, besides_progress(err)) == (1, "")
    assert "\nFAIL in strides\nmy_rnn " in out
    report = tmp_path / "new" / "my_rnn-float32-strides.md"
    assert f"written: {report}" in out
    assert "passes by itself. The failure shows in this check alone:\n\n```\nmy_rnn " in report.read_text()


SLOW = """
import time
from reference.faults import compute

def slow(case):
    time.sleep(0.06)
    return compute(case)
"""


def test_a_slow_cell_is_hinted_at_before_the_table_and_passes(rnn_oracle: Run, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(SLOW)
    status, out, _ = rnn_oracle("check", "late:slow", *QUICK, "--only", "trained")
    assert status == 0
    assert out.startswith("slow  slow: a call on a case of T=3, N=2, D=4, H=5 takes 0.")


def test_a_crash_costs_its_own_row_and_no_other(rnn_oracle: Run) -> None:
    status, out, _ = rnn_oracle("check", "own:crash", "own:right", *QUICK)
    assert status == 1
    assert "own.crash float32: raised RuntimeError: the kernel died" in out
    assert [row[-1] for row in rows(out)] == ["fail", "pass"]


def test_text_that_several_checks_share_is_printed_once() -> None:
    alike = [Result(name, failure=Failure("a.b float32: the kernel died")) for name in ("step", "long", "invariants")]
    alike.insert(1, Result("extremes", failure=Failure("a.b float32: another")))
    shown = str(Report({}, [Row("a.b", "a", "1", "float32", alike)]))
    assert (
        "\nFAIL in step, long, invariants\na.b float32: the kernel died\n\nFAIL in extremes\na.b float32: another\n"
    ) in shown
    assert shown.count("the kernel died") == 1


@pytest.mark.parametrize("verbose", [False, True])
def test_the_first_failure_of_a_way_is_told_in_full_and_others_briefly(verbose: bool) -> None:
    long = [Result(name, failure=Failure(f"{name}: a\nb\nc", diagnosis=f"{name}: d")) for name in ("step", "long")]
    report = Report({}, [Row("a.b", "a", "1", dtype, long) for dtype in ("float64", "float32")])
    full, brief = ("", "step: a", "b", "c", "step: d"), ("", "step: a", "c", "step: d")
    shown = report.failures(verbose=verbose)
    told = [block.splitlines() for block in "\n".join(shown).split("FAIL in step")[1:]]
    assert told[0][:5] == list(full)
    assert told[1][:5] == list(full if verbose else (*brief, ""))


@pytest.mark.parametrize(("ratio", "words"), [(0.256, "0.26"), (999.0, "999.00"), (642305484873288.4, "6.4e+14")])
def test_a_large_ratio_leaves_the_table_narrow(ratio: float, words: str) -> None:
    row = Row("a.b", "a", "1", "float32", [Result("step", cases=1, worst={"h": ratio})])
    assert row.cells(["step"])[4] == words
    assert row.by_quantity()[2] == words


def test_the_table_comes_in_markdown_too(rnn_oracle: Run, tmp_path: Path) -> None:
    rnn_oracle("check", "own:right", *QUICK, "--only", *OLD, "--markdown", str(tmp_path / "table.md"))
    header, rule, row = (tmp_path / "table.md").read_text().splitlines()
    columns = ("adapter", "precision", "cases", *OLD, "worst", "relative bound", "verdict")
    assert header == f"| {' | '.join(columns)} |"
    assert rule.count("---") == row.count("|") - 1 == len(columns)
    assert row.startswith("| own.right | float32 | 267 | pass | pass | pass | pass | 0.")
    assert row.endswith("| pass |")


def test_the_page_equals_the_page_of_the_json(rnn_oracle: Run, tmp_path: Path) -> None:
    page, found, later = (tmp_path / name for name in ("r.html", "r.json", "later.html"))
    asked = ("--only", "sequence", "--html", str(page), "--json", str(found), "--reproduce", str(tmp_path / "new"))
    assert rnn_oracle("check", "own:wrong", "own:right", *QUICK, *asked)[0] == 1
    status, out, _ = rnn_oracle("report", str(found), "-o", str(later))
    assert status == 0
    assert " own.wrong " in out
    assert page.read_text("utf-8") == later.read_text("utf-8")
    assert "1 of 2 checks did not pass." in page.read_text("utf-8")
    wrong, right = json.loads(found.read_text())["adapters"]
    failure = wrong["dtypes"]["float32"]["checks"][0]["failure"]
    assert (failure["error_map"]["quantity"], failure["crashed"]) == ("dWh", False)
    row, column = failure["error_map"]["first"]
    assert failure["error_map"]["ratios"][row][column] > 1
    check = right["dtypes"]["float32"]["checks"][0]
    assert check["cases"] == 2 * 76


def test_what_is_skipped_is_not_judged(rnn_oracle: Run, tmp_path: Path) -> None:
    skipped = ("step", "extremes", "long", "10k-steps")
    status, _, _ = rnn_oracle("check", "own:right", *QUICK, "--skip", *skipped, "--json", str(tmp_path / "r.json"))
    assert status == 0
    checks = json.loads((tmp_path / "r.json").read_text())["adapters"][0]["dtypes"]["float32"]["checks"]
    assert [check["name"] for check in checks] == [name for name in NAMES if name not in skipped]


def test_a_run_without_checks_does_not_pass(rnn_oracle: Run) -> None:
    status, out, _ = rnn_oracle("check", "own:right", *QUICK, "--skip", *NAMES)
    assert (status, out.split("not judged")[0].count("own.right")) == (1, 1)


def test_unsupported_inputs_are_listed_and_are_no_pass(rnn_oracle: Run) -> None:
    status, out, _ = rnn_oracle("check", "own:short", *QUICK, "--only", "step", "--verbose")
    assert status == 1
    assert "unsupported  step: expected T <= 0, got T=1 (own.short in float32)" in out
    assert [row[-1] for row in rows(out)] == ["unsupported"]


def test_without_a_name_every_installed_framework_is_judged(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    groups_judged: list[Group] = []
    monkeypatch.setattr(commands, "judge_all", lambda groups, *others: groups_judged.extend(groups))
    assert rnn_oracle("check")[0] == 1
    assert rnn_oracle("check", "own:right", "numpy.right", "own:wrong")[0] == 1
    assert [(group.origin, group.names, group.is_own) for group in groups_judged] == [
        ("numpy", ["numpy"], False),
        ("own", ["own:right", "own:wrong"], True),
        ("numpy", ["numpy.right"], False),
    ]


def test_more_stacks_may_take_more_time_unless_a_timeout_is_given(
    rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr(commands, "judge_all", lambda groups, plan, *others: plans.append(plan))
    for words in (
        (),
        ("--stacks", "1"),
        ("--stacks", "80"),
        ("--stacks", "80", "--timeout", "7.5"),
        ("--timeout", "inf"),
    ):
        rnn_oracle("check", *words)
    assert [plan.timeout for plan in plans] == [TIMEOUT, TIMEOUT, 80 / STACKS * TIMEOUT, 7.5, float("inf")]


@pytest.mark.parametrize("text", ["0", "-1", "nan", "soon"])
def test_a_timeout_is_a_number_of_seconds(rnn_oracle: Run, text: str) -> None:
    status, _, err = rnn_oracle("check", f"--timeout={text}")
    assert status == 2
    assert f"argument --timeout: expected seconds above 0, or inf, got '{text}'" in err


def test_the_same_seed_asks_every_adapter_the_same(rnn_oracle: Run, tmp_path: Path) -> None:
    worst = []
    for seed in ("1", "1", "2"):
        rnn_oracle("check", "own:right", *QUICK, "--only", *OLD, "--seed", seed, "--json", str(tmp_path / "r.json"))
        checks = json.loads((tmp_path / "r.json").read_text())["adapters"][0]["dtypes"]["float32"]["checks"]
        worst.append([check["worst"] for check in checks])
    assert worst[0] == worst[1] != worst[2]


def test_a_run_without_cases_is_no_pass() -> None:
    assert Report({}).exit_status == 1
    row = Row("a.b", "a", "1", "float32", [Result("step")])
    assert row.status == "not judged"
    assert Report({}, [row]).exit_status == 1


def test_an_inconclusive_case_is_no_pass() -> None:
    row = Row("a.b", "a", "1", "float32", [Result("step", cases=9), Result("long", cases=9, inconclusive=1)])
    assert row.status == "inconclusive"
    assert Report({}, [row]).exit_status == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "caffe"], "adapters: expected a framework among ['numpy'], got 'caffe'"),
        (
            ["check", "own:other"],
            "check: expected an attribute of own among ['compute', 'right', 'wrong', 'crash', 'enviro",
        ),
        (["check", "--dtype", "float8"], "argument --dtype: invalid choice: 'float8'"),
        (["check", "--stacks", "0"], "argument --stacks: expected a whole number of at least 1, got '0'"),
        (["check", "--seed", "-1"], "argument --seed: expected a whole number of at least 0, got '-1'"),
        (["check", "--stacks", "x"], "argument --stacks: expected a whole number of at least 1, got 'x'"),
        (["check", "--params", "/no/such.npz"], "--params: expected a file, got /no/such.npz"),
        (
            ["check", "--json", "/no/such/folder/r.json"],
            "--json: expected a file in a folder that is there, got /no/such",
        ),
        (["check", "--html", "/no/such/r.html"], "--html: expected a file in a folder that is there, got /no/such"),
        (["check", "--html", ""], "--html: expected the name of a file, got ''"),
        (["tell"], "argument COMMAND: invalid choice: 'tell'"),
    ],
)
def test_bad_usage_gives_one_sentence_and_status_2(rnn_oracle: Run, arguments: list[str], message: str) -> None:
    status, _, err = rnn_oracle(*arguments)
    assert status == 2
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_the_version_is_that_of_the_project(rnn_oracle: Run) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert rnn_oracle("--version") == (0, f"rnn-oracle {project['version']}\n", "")


def trained() -> dict[str, Any]:
    with np.load(TRAINED["rnn"]) as archive:
        return {name: archive[name] for name in ("Wx", "Wh", "b")}


def state_dict() -> dict[str, Any]:
    weights = trained()
    names = {"weight_ih_l0": weights["Wx"].T, "weight_hh_l0": weights["Wh"].T, "bias_ih_l0": weights["b"]}
    return {name: np.ascontiguousarray(array) for name, array in names.items()} | {"bias_hh_l0": 0 * weights["b"]}


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_the_users_own_weights_are_judged(rnn_oracle: Run, tmp_path: Path, ending: str) -> None:
    path, found = tmp_path / f"model{ending}", tmp_path / "r.json"
    np.savez(path, **trained()) if ending == ".npz" else save_file(state_dict(), path)
    status, _, err = rnn_oracle("check", "own:right", *QUICK, "--params", str(path), "--json", str(found))
    assert (status, besides_progress(err)) == (0, "")
    checks = json.loads(found.read_text())["adapters"][0]["dtypes"]["float32"]["checks"]
    assert [check["name"] for check in checks] == ["step", "sequence", "extremes", "nonfinite", "long"]


EQUINOX = Layout("equinox", {"cell": "lstm i f g o", "weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias": "b"})
GIVEN = """
import numpy as np
from adapters import Adapter, gated
from reference.faults import compute

def given(case):
    if not np.array_equal(case.params.Wh, np.load("w.npz")["Wh"]):
        raise RuntimeError("other weights")
    return compute(case)

lstm = Adapter("given.lstm", given, "an LSTM of these weights", np.tanh, {"float32": 2.5}, **gated("lstm"))
"""


def test_gated_weights_are_judged_in_the_ways_of_their_cell(rnn_oracle: Run, tmp_path: Path) -> None:
    (tmp_path / "given.py").write_text(GIVEN)
    params = Case.random(D=3, H=4, cell="lstm", dtype="float32").params
    params.save(tmp_path / "w.npz")
    save_file({f"encoder.{name}": array for name, array in EQUINOX.to_framework(params).items()}, "w.safetensors")
    asked = (*QUICK, "--only", "step", "sequence", "--params", "w.safetensors")
    status, out, _ = rnn_oracle("check", "given:lstm", "own:right", *asked, "--layer", "encoder")
    # The twin: with drawn weights, this subject fails.
    assert rnn_oracle("check", "given:lstm", *asked[:-2])[0] == 1
    assert [line.split()[3:5] for line in out.splitlines() if line.startswith(" given.")] == [["pass", "pass"]]
    assert status == 1
    assert "unjudged  own: expected a way of lstm in float32, got none" in out


def test_a_path_of_a_layer_needs_a_file(rnn_oracle: Run) -> None:
    status, _, err = rnn_oracle("check", "own:right", "--layer", "encoder")
    assert (status, err) == (2, "rnn-oracle: --layer: expected a file with --params, got encoder alone\n")


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_truncated_file_is_an_error(rnn_oracle: Run, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model{ending}"
    np.savez(path, **trained()) if ending == ".npz" else save_file(state_dict(), path)
    path.write_bytes(path.read_bytes()[:-100])
    status, _, err = rnn_oracle("check", "own:right", "--params", str(path))
    assert status == 2
    assert err.startswith("rnn-oracle: ")
    assert f"expected a whole {ending}" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Wh": None}, ": expected one recurrent layer, got arrays ['Wx', 'b']\n"),
        ({"Wh": np.zeros((3, 3), np.float32)}, ": expected Wh of shape (64, 64), got (3, 3) (D=39, H=64)"),
        ({"b": np.zeros(3, np.float32)}, ": expected b of shape (64,), got (3,) (D=39, H=64)"),
        (
            {"Wx": np.zeros((39, 64), np.int64)},
            f": expected Wx of dtype {ANY}, got int64 (39, 64)",
        ),
        ({"b": np.full(64, np.nan, np.float32)}, "expected finite b, got nan at [0] (64,)"),
    ],
    ids=["missing", "shape of Wh", "shape of b", "integers", "nan"],
)
def test_wrong_arrays_are_an_error(rnn_oracle: Run, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    arrays = {name: array for name, array in (trained() | change).items() if array is not None}
    np.savez(tmp_path / "model.npz", **arrays)
    status, _, err = rnn_oracle("check", "own:right", "--params", str(tmp_path / "model.npz"))
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_an_unknown_file_extension_is_an_error(rnn_oracle: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.touch()
    status, _, err = rnn_oracle("check", "own:right", "--params", str(path))
    assert status == 2
    assert err == f"rnn-oracle: --params: expected a file ending in {FILES}, got {path}\n"


def test_without_any_framework_the_install_lines_are_reported(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.is_installed", lambda framework: False)
    status, _, err = rnn_oracle("check")
    assert status == 2
    assert "check: expected at least one framework, got none installed" in err


def test_list_shows_what_is_not_installed(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.missing", lambda framework: [framework])
    status, out, _ = rnn_oracle("list")
    assert status == 0
    assert "adapters: numpy is not installed; install it with: python -m pip install " in out
