"""Streams that are closed, full or without a reader: what is trained is recorded, and what can be said is said."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jaxsweep as js
from jaxsweep.cli import main

pytestmark = pytest.mark.usefixtures("one_cache")

RUN = "run --data iris --trials 300 --set width=8 --set epochs=3 --set depth=1 --format json --out"


def ran(redirected: str, out: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Return a run whose streams the shell has redirected; what they are not is kept."""
    line = f"{sys.executable} -m jaxsweep {RUN} {out} {redirected}"
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    "redirected", ["2>/dev/full", "2>&-", "2> >(exec 0<&-; sleep 0.1)", "0<&- 2>&-"],
    ids=["full", "closed", "no reader", "nothing but stdout"],
)  # fmt: skip
def test_a_stderr_that_takes_nothing_ends_nothing(redirected: str, tmp_path: Path) -> None:
    done = ran(redirected, tmp_path / "run")
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["trials"]["recorded"] == 300
    assert len(js.load(tmp_path / "run").trials) == 300


def test_a_stdout_that_is_closed_is_said(tmp_path: Path) -> None:
    done = ran("1>&-", tmp_path / "run")
    assert done.returncode == 0
    assert done.stderr.startswith("jaxsweep: stdout is closed: results are not shown\n")
    assert len(js.load(tmp_path / "run").trials) == 300


def test_a_stdout_that_is_full_is_a_failure_of_which_all_is_recorded(tmp_path: Path) -> None:
    done = ran(">/dev/full", tmp_path / "run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "jaxsweep: failed: stdout: No space left on device"
    assert "Traceback" not in done.stderr
    assert len(js.load(tmp_path / "run").trials) == 300


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    done = ran("| head -c 1; exit ${PIPESTATUS[0]}", tmp_path / "run")
    assert (done.returncode, done.stdout) == (0, "{")
    assert len(js.load(tmp_path / "run").trials) == 300


def test_a_reader_of_a_table_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    assert ran("", tmp_path / "run").returncode == 0
    for command in (f"show {tmp_path / 'run'}", f"show {tmp_path / 'run'} --format csv", "hyperparameters"):
        line = f"{sys.executable} -m jaxsweep {command} | (exec 0<&-; sleep 3); exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, done.stderr.partition("Traceback")[0])


def test_predictions_go_through_devices_and_links(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = js.sweep("iris", configs=[{"width": 4, "epochs": 1}], progress=False)
    result.model().save(tmp_path / "m")
    table = tmp_path / "t.csv"
    table.write_text(",".join(result.data.feature_names) + "\n" + "1,2,3,4\n" * 5)
    predict = ["predict", str(tmp_path / "m"), str(table), "--out"]
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert main([*predict, str(tmp_path / "link")]) == 0
    assert (tmp_path / "link").is_symlink()
    assert len((tmp_path / "file").read_text().splitlines()) == 6
    assert main([*predict, "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()
    (tmp_path / "full").symlink_to("/dev/full")
    assert main([*predict, str(tmp_path / "full")]) == 2
    assert "full cannot be written (No space left on device): name a file that can" in capsys.readouterr().err
    assert Path("/dev/full").is_char_device()


def test_names_of_a_table_do_not_reach_the_terminal_as_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "[red]t.csv"
    rows = "".join(f"{k},{k % 3},{k % 2}\n" for k in range(60))
    table.write_text("\x1b[31mred,\x9b2Jclear,y\n" + rows, encoding="utf-8")
    line = ["run", "--data", str(table), "--target", "y", "--trials", "2", "--set", "epochs=1", "--set", "width=4"]
    assert main([*line, "--out", str(tmp_path / "r#1?%41")]) == 0
    printed = capsys.readouterr()
    assert not {"\x1b", "\x9b"} & {*printed.out, *printed.err}
    assert "[red]t" in printed.out
    assert "x1b[31mred" in printed.err
    assert main(["show", str(tmp_path / "r#1?%41")]) == 0
    assert main(["run", "--data", str(table), "--target", "\x1bz"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_labels_reach_a_terminal_as_text_and_a_file_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,y\n" + "".join(f"{k},{'cat' if k % 2 else chr(27) + '[2Jdog'}\n" for k in range(60)))
    result = js.sweep(js.read_table(table, "y"), js.Space(epochs=1, width=4), trials=1)
    result.model().save(tmp_path / "m")
    predict = ["predict", str(tmp_path / "m"), str(table)]
    assert main(predict) == 0
    assert "\x1b[2Jdog" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(predict) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"proba_\x1b[2Jdog" in printed.splitlines()[0]


def test_a_warning_of_python_is_a_line_like_others(tmp_path: Path) -> None:
    """Here of a folder of compiled programs that cannot be used, of which two places would say it."""
    done = ran("", tmp_path / "run", JAXSWEEP_CACHE="/dev/null/cache")
    assert done.returncode == 0
    (said,) = [line for line in done.stderr.splitlines() if "compiled programs are not kept" in line]
    assert said.startswith("jaxsweep: warning: compiled programs are not kept: /dev/null/cache/programs-")
    assert "warnings.warn" not in done.stderr
