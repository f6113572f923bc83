"""Signals: an interrupt prints the results until then, also during an import, and SIGTERM leaves no folder behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.progress import besides_progress

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "adapters" / "conformance" / "rnn_oracle.py"
WAITING = "import time\nopen('waiting', 'w').close()\ntime.sleep(1000)\n"
RIGHT = "from reference.faults import compute as right\n"
COMMANDS = {
    "check": ("check", "own:right", "waiting:x", "--only", "step", "--stacks", "1", "--jobs", "1"),
    "explain": ("explain", "case.npz", "waiting:x"),
}


def interrupted(folder: Path, number: int, *words: str) -> tuple[int, str, str]:
    """Send a signal to a command that imports a module; return status, output and errors once no process is left."""
    (folder / "waiting.py").write_text(WAITING)
    (folder / "own.py").write_text(RIGHT)
    (folder / "tmp").mkdir()
    shutil.copy(SCRIPT, folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "rnn_oracle", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and not (folder / "waiting").exists():
        time.sleep(0.1)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate(timeout=60)
    for _ in range(600):  # the tracker of resources ends a little later
        if not is_alive(process.pid):
            break
        time.sleep(0.1)
    assert not is_alive(process.pid)
    return process.returncode, out, err


def is_alive(group: int) -> bool:
    """Return whether a process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupt_during_an_import_prints_the_results_until_then(tmp_path: Path) -> None:
    status, out, err = interrupted(tmp_path, signal.SIGINT, *COMMANDS["check"])
    assert (status, besides_progress(err)) == (130, "")
    assert " float32 " in out
    assert "\nnot begun  waiting\n" in out
    assert not any((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_sigterm_leaves_no_folder_behind(tmp_path: Path, command: str) -> None:
    from reference import Case

    Case.random(dtype="float32").save(tmp_path / "case.npz")
    status, out, err = interrupted(tmp_path, signal.SIGTERM, *COMMANDS[command])
    assert status == 128 + signal.SIGTERM
    assert besides_progress(err) == ("" if command == "check" else "rnn-oracle: interrupted\n")
    assert (" float32 " in out) == (command == "check")
    assert not any((tmp_path / "tmp").iterdir())


def test_an_interrupt_of_explain_ends_with_130(tmp_path: Path) -> None:
    from reference import Case

    Case.random(dtype="float32").save(tmp_path / "case.npz")
    status, out, err = interrupted(tmp_path, signal.SIGINT, *COMMANDS["explain"])
    assert (status, out, err) == (130, "", "rnn-oracle: interrupted\n")


CAUGHT = """
try:
    open("waiting", "w").close()
    import time
    time.sleep(1000)
except BaseException:
    raise ImportError("half a module") from None
"""


@pytest.mark.parametrize("module", [WAITING, CAUGHT], ids=["raised", "caught"])
def test_an_interrupt_while_the_command_is_imported_ends_with_130(tmp_path: Path, module: str) -> None:
    (tmp_path / "numpy.py").write_text(module)
    assert interrupted(tmp_path, signal.SIGINT, "list") == (130, "", "rnn-oracle: interrupted\n")


def ran(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code beside the module of the command."""
    shutil.copy(SCRIPT, folder)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def test_an_interrupt_while_the_command_ends_is_no_traceback(tmp_path: Path) -> None:
    code = "import sys, rnn_oracle, adapters.conformance.cli as cli\ndef main(): raise KeyboardInterrupt\n"
    found = ran(tmp_path, code + "cli.main = main\nsys.exit(rnn_oracle.main())")
    assert (found.returncode, found.stderr) == (130, "")


def test_in_the_background_of_a_shell_an_interrupt_stays_ignored(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(2, signal.SIG_IGN); import rnn_oracle; sys.argv[1:] = ['--version']; "
    code += "import adapters.conformance.cli as cli; cli.main = lambda: signal.getsignal(2) is signal.SIG_IGN; "
    assert ran(tmp_path, code + "sys.exit(rnn_oracle.main())").returncode == 1
