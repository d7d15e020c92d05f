"""Sweeps: what they vary, which trials they run, what becomes of those that are killed, and what they leave."""

import csv
import json
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo import epochs
from rnnzoo.cli.main import cli
from rnnzoo.errors import InputError, RunInterrupted, TrainingError
from rnnzoo.registry import load_preset
from rnnzoo.sweeping import _processes, _report, parse_space
from rnnzoo.sweeping._space import Choices, Range
from rnnzoo.sweeping._study import Study

pytest.importorskip("optuna", reason="the extra `sweep` is absent")
sqlalchemy = pytest.importorskip("sqlalchemy", reason="the extra `sweep` is absent")

# A trial without a model, for what is not about models: it says what a real one would, and its value is its rate. In the
# folder `plan` lies what is to befall it, and it notes there that it was begun.
PROGRAM = """
import json, os, pathlib, signal, sys, threading, time
job = json.loads(sys.stdin.readline())
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
values = dict(one.split("=", 1) for one in job["overrides"])
plan, key = pathlib.Path(PLAN), "-".join(sorted(job["overrides"]))
(plan / f"{time.time_ns()}-{os.getpid()}.begun").write_text(key)
say = lambda **line: print(json.dumps(line), flush=True)
rate = float(values.get("training.learning_rate", 0)) + float(values.get("model.units", 0))
if (plan / "diverge").exists() and rate > 2:
    say(diverged="the loss of epoch 1, step 1 is nan")
    sys.exit()
if (plan / "refuse").exists():
    say(refused=["InputError", (plan / "refuse").read_text()])
    sys.exit()
if (plan / "fail").exists() and rate > float((plan / "fail").read_text()):
    say(failed="it does not go")
    sys.exit()
for epoch in range(1, 6):
    say(epoch=epoch, of=5, value=rate)
    if epoch == 3:
        dying = plan / "die"
        if dying.exists() and int(dying.read_text()) > 0:
            dying.write_text(str(int(dying.read_text()) - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        while (plan / "hold").exists():
            time.sleep(0.02)
say(done={"value": rate, "metrics": {"examples": 10, "exact_match": rate}, "epochs": 5, "parameters": 7, "seconds": 0.1})
time.sleep(60)
"""
GRID = ["model.units=1,2,3", "training.batch_size=16,64"]
DRAW, IMPORTANCES, PROGRAM_OF_A_TRIAL = _report.draw, Study.importances, _processes.PROGRAM
RATES = ["training.learning_rate=log:1e-4..1e-1", "model.layers=1..3"]


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A folder that says what befalls trials, which have no model; nothing is drawn, and no disk is waited for."""
    folder = tmp_path / "plan"
    folder.mkdir()
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("PLAN", repr(str(folder))))
    monkeypatch.setattr(_processes, "PROGRAM", program)
    monkeypatch.setattr(_report, "draw", lambda found, key, parameter, path: path.write_bytes(b""))
    monkeypatch.setattr(Study, "importances", lambda self: None)
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", no_sync)
    yield folder
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", no_sync)


def no_sync(connection, record):
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


def begun(plan):
    """What was begun, as often as it was."""
    return [path.read_text() for path in sorted(plan.glob("*.begun"))]


def rows_of(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def command(plan, *arguments):
    """`rnnzoo sweep` as a process of its own, whose trials have no model."""
    code = f"""
        import sys
        from pathlib import Path
        from rnnzoo.sweeping import _processes, _report, _sweep
        from rnnzoo.sweeping._study import Study
        _processes.PROGRAM, _sweep.LOOK = Path({str(_processes.PROGRAM)!r}), 0.1
        _report.draw, Study.importances = lambda found, key, parameter, path: path.write_bytes(b""), lambda self: None
        from rnnzoo.cli.main import cli
        cli(["sweep", "digit-sum", *sys.argv[1:]])
    """
    arguments = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def alive(pid):
    """Whether a process is there; one that ended and nobody waited for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids(plan):
    return [int(path.stem.split("-")[1]) for path in plan.glob("*.begun")]


# What varies


def test_settings():
    space = parse_space([*GRID, "training.learning_rate=log:1e-4..0.1", "model.layers=1..4", "training.epochs = 5"])
    assert space.fixed == ("training.epochs=5",)
    assert space.varied == {
        "model.units": Choices(("1", "2", "3")),
        "training.batch_size": Choices(("16", "64")),
        "training.learning_rate": Range(1e-4, 0.1, True),
        "model.layers": Range(1, 4, False),
    }
    assert space.size is None
    assert parse_space(GRID).size == 6 and len({tuple(cell.values()) for cell in parse_space(GRID).grid()}) == 6
    assert parse_space(["a.b=1..4"]).grid() == [{"a.b": n} for n in range(1, 5)]
    assert parse_space(["a.b=-1.5..2"]).varied["a.b"] == Range(-1.5, 2.0, False)
    assert parse_space(["a.b=log:8..512"]).varied["a.b"].whole
    assert parse_space(["a.b=[1, 2],[3]", 'a.c="x,y",z', "a.d=1,01"]).varied == {
        "a.b": Choices(("[1, 2]", "[3]")),
        "a.c": Choices(('"x,y"', "z")),
        "a.d": Choices(("1", "01")),
    }


def test_what_is_varied_reaches_the_preset():
    space = parse_space([*RATES, "training.optimizer=adam,sgd", "training.clip_norm=1.5"], load_preset("digit-sum"))
    values = {"training.learning_rate": 1e-05, "model.layers": 2, "training.optimizer": "sgd"}
    preset = rnnzoo.load_preset("digit-sum", space.overrides(values))
    assert preset.training.learning_rate == 1e-05 and preset.training.clip_norm == 1.5
    assert (preset.model["layers"], preset.training.optimizer) == (2, "sgd")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "nothing varies"),
        (["--set", "model.units=5"], "nothing varies"),
        (["--set", "model.units"], "expected KEY=VALUE"),
        (["--set", "model.units=1,x"], "valid integer"),
        (["--set", "model.unit=1,2"], "did you mean 'units'"),
        (["--set", "model.units=1,,2"], "a choice is empty"),
        (["--set", "model.units=1,2,"], "a choice is empty"),
        (["--set", "model.units=1,1"], "the choice 1 is given twice"),
        (["--set", "model.units=9..1"], "the range ends at 1"),
        (["--set", "model.units=1..", "--trials", "2"], "not a range"),
        (["--set", "model.units=0.5..3", "--trials", "2"], "valid integer"),
        (["--set", "training.batch_size=0..9", "--trials", "2"], "greater than or equal to 1"),
        (["--set", "training.learning_rate=log:0..1"], "begins above 0"),
        (["--set", "training.learning_rate=log:1,2"], "not a range"),
        (["--set", "training.learning_rate=0.1..nan"], "not a range"),
        (["--set", "training.learning_rate=nan..1"], "not a range"),
        (["--set", "training.learning_rate=-inf..1"], "not a range"),
        (["--set", "model.units=1,2", "--metric", "nope"], "unknown metric 'nope'; there are exact_match, loss"),
        (["--set", "training.learning_rate=0.1..0.2"], "give --trials"),
        (["--set", "training.learning_rate=0.1..0.2", "--grid"], "a grid needs choices"),
        (["--set", "model.units=1..99999"], "99,999 combinations"),
        (["--set", "model.units=1,2", "--set", "model.units=3"], "given twice"),
        (["--set", "model.units=1,2", "--trials", "3"], "there are 2 combinations"),
        (["--set", "model.units=1,2", "--grid", "--trials", "1"], "each a trial"),
        (["--set", "model.units=1,2", "--jobs", "0"], "--jobs"),
        (["--set", "model.units=1,2", "--data", "none.csv"], "none.csv"),
        (["--set", "model.units=1,2", "--valid", "0.1"], "--valid goes with --data"),
        (["--set", "model.units=1,2", "--study", "x"], "--study goes with --storage"),
        (["--set", "model.units=1,2", "--storage", "postgresql://u:secret@h/d"], "give -o as well"),
        (["--set", "model.units=1,2", "--storage", "sqlite:///x.db", "-o", "x"], "expected postgresql://"),
        (["--set", "model.units=1,2", "--storage", "postgresql://u:secret@h/d", "-o", "x", "--force"], "does not go with"),
        (["--set", "model.units=1,2", "-o", "full"], "no sweep"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("full").mkdir()
    Path("full", "mine.txt").write_text("mine")
    result = CliRunner().invoke(cli, ["sweep", "digit-sum", *arguments])
    assert result.exit_code == 2 and reason in result.stderr and "secret" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "mine.txt"]


# Which trials there are


def test_a_grid_is_each_combination_once(plan, tmp_path):
    standings = []
    found = rnnzoo.sweep("digit-sum", GRID, jobs=3, output=tmp_path / "s", progress=standings.append)
    assert len(begun(plan)) == len(set(begun(plan))) == len(found.trials) == 6
    assert all(row["state"] == "complete" for row in found.trials)
    assert found.best["values"]["model.units"] == "3" and found.metric == "exact_match" and not found.lower
    assert standings[-1].finished == standings[-1].total == 6 and standings[0].finished < 6
    # Called again, it has nothing left to do, wherever its folder was moved.
    (tmp_path / "s").rename(tmp_path / "moved")
    again = rnnzoo.sweep("digit-sum", GRID, jobs=3, output=tmp_path / "moved")
    assert again.trials == found.trials and len(begun(plan)) == 6
    assert not any(map(alive, pids(plan)))


def study(tmp_path, settings, trials, seed=0, pruner="none"):
    """The study of a sweep that nobody runs."""
    about = {"seed": seed, "pruner": pruner, "lower": False}
    address = f"sqlite:///{tmp_path / f'{seed}-{time.time_ns()}.db'}"
    return Study(address, "s", about, parse_space(settings), trials, False, 60)


def test_what_is_drawn_follows_from_the_seed(plan, tmp_path):
    def drawn(seed, ended):
        there = study(tmp_path, RATES, 11, seed)
        for number in range(11):
            trial = there.take()
            if number == ended:  # as one that is killed and goes on
                about, address = there.about, there._address
                there.close()
                there = Study(address, "s", about, there.space, 11, False, 60)
                trial = there.take()
            there.complete(trial, trial.params["training.learning_rate"], {})
        rows = there.rows()
        assert there.take() is None and there.finished == len(rows) == 11
        there.close()
        return [row["values"] for row in rows]

    first = drawn(0, None)
    assert first != drawn(1, None)
    rates = [values["training.learning_rate"] for values in first]
    assert all(1e-4 <= rate <= 1e-1 for rate in rates) and len(set(rates)) == 11
    assert sum(rate < 1e-2 for rate in rates) >= 3, "each order of magnitude is as likely at first"
    assert {values["model.layers"] for values in first} == {1, 2, 3}
    # The one that ran when the sweep was killed runs again, with the same values.
    assert sorted(map(str, drawn(0, 10))) == sorted(map(str, first))


@pytest.mark.parametrize("pruner", ["median", pytest.param("halving", marks=pytest.mark.slow)])
def test_trials_that_are_worse_than_others_are_given_up(pruner, plan, tmp_path):
    there = study(tmp_path, ["training.learning_rate=0.1..1"], 20, pruner=pruner)
    for _ in range(20):
        trial = there.take()
        rate = trial.params["training.learning_rate"]
        if all(there.report(trial, epoch, rate) for epoch in range(1, 9)):
            there.complete(trial, rate, {})
        else:
            there.prune(trial, {"epochs": 1})
    rows = there.rows()
    there.close()
    pruned = [row for row in rows if row["state"] == "pruned"]
    assert 2 <= len(pruned) < len(rows) == 20 and all(row["epoch"] < 8 for row in pruned)
    best = max(rows, key=lambda row: row["value"])
    assert best["state"] == "complete"
    for row in pruned * (pruner == "median"):
        others = [other["value"] for other in rows[: row["number"]] if other["state"] == "complete"]
        assert len(others) >= 4 and row["value"] < statistics.median(others)


def test_a_trial_that_is_given_up_is_ended(plan, tmp_path):
    """Of what it says epoch by epoch, the last is its value; and less can be better."""
    settings = ["training.learning_rate=0.1,0.2,0.3,0.4,0.9,0.8"]
    found = rnnzoo.sweep("digit-sum", settings, output=tmp_path / "s", metric="loss", pruner="median")
    states = [row["state"] for row in found.trials]
    assert found.lower and states == ["complete"] * 4 + ["pruned"] * 2
    assert [row["value"] for row in found.trials] == [0.1, 0.2, 0.3, 0.4, 0.8, 0.9]
    assert all(row["epochs"] == 2 for row in found.trials if row["state"] == "pruned")
    assert not any(map(alive, pids(plan)))


def test_more_trials_go_on(plan, tmp_path):
    first = rnnzoo.sweep("digit-sum", RATES, trials=3, output=tmp_path / "s", pruner="none")
    more = rnnzoo.sweep("digit-sum", RATES, trials=5, output=tmp_path / "s", pruner="none")
    kept = {row["number"]: row["values"] for row in more.trials}
    assert len(kept) == 5 and all(kept[row["number"]] == row["values"] for row in first.trials)
    with pytest.raises(InputError, match="has 5 trials already"):
        rnnzoo.sweep("digit-sum", RATES, trials=3, output=tmp_path / "s", pruner="none")
    for other in ({"seed": 2}, {"metric": "loss"}, {"pruner": "median"}):
        with pytest.raises(InputError, match="was begun with another"):
            rnnzoo.sweep("digit-sum", RATES, trials=5, output=tmp_path / "s", **{"pruner": "none", **other})
    with pytest.raises(InputError, match="was begun with other settings;"):
        rnnzoo.sweep("digit-sum", RATES[:1], trials=5, output=tmp_path / "s", pruner="none")
    anew = rnnzoo.sweep("digit-sum", RATES[:1], trials=2, output=tmp_path / "s", force=True)
    assert len(anew.trials) == 2


def test_what_nothing_came_of_is_forgotten(plan, tmp_path):
    """A trial that is refused would be so each time: that ends the sweep, and another one may take its folder."""
    (plan / "refuse").write_text("mine.csv, line 3: no digits")
    with pytest.raises(InputError, match=r"line 3: no digits$"):
        rnnzoo.sweep("digit-sum", GRID, jobs=2, output=tmp_path / "s")
    assert not (tmp_path / "s").exists()
    (plan / "refuse").unlink()
    found = rnnzoo.sweep("digit-sum", GRID[:1], output=tmp_path / "s")
    assert len(found.trials) == 3 and not any(row["retried"] for row in found.trials)


def test_trials_that_fail_or_diverge_are_told_with_their_reasons(plan, tmp_path):
    (plan / "diverge").touch()
    (plan / "fail").write_text("1")
    found = rnnzoo.sweep("digit-sum", GRID, output=tmp_path / "s")
    states = {row["values"]["model.units"]: (row["state"], row["why"]) for row in found.trials}
    assert states == {
        "1": ("complete", None),
        "2": ("failed", "it does not go"),
        "3": ("diverged", "the loss of epoch 1, step 1 is nan"),
    }
    assert [row["why"] for row in rows_of(tmp_path / "s")][-1] == "it does not go"
    (plan / "fail").write_text("0")
    with pytest.raises(TrainingError, match="the first 3 trials failed, and none came to its end: it does not go"):
        rnnzoo.sweep("digit-sum", GRID, output=tmp_path / "none")


# What becomes of those that are killed


def test_a_killed_trial_is_begun_again(plan, tmp_path):
    (plan / "die").write_text("2")
    found = rnnzoo.sweep("digit-sum", GRID, output=tmp_path / "s")
    assert len(begun(plan)) == 8 and len(set(begun(plan))) == len(found.trials) == 6
    assert sorted(row["retried"] for row in found.trials) in ([0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 2])
    assert all(row["state"] == "complete" for row in found.trials)


def test_one_that_is_killed_whenever_it_is_run_is_given_up(plan, tmp_path):
    (plan / "die").write_text("3")
    why = "its process was ended 3 times, at last by signal 9; is there too little memory"
    with pytest.raises(TrainingError, match=why):
        rnnzoo.sweep("digit-sum", RATES, trials=1, output=tmp_path / "s")
    assert len(begun(plan)) == 3


def test_a_killed_sweep_goes_on(plan, tmp_path):
    """Its trials do not outlive it, and none is lost or counted twice."""
    arguments = ["--set", GRID[0], "--set", GRID[1], "--jobs", "2", "-o", tmp_path / "s"]
    (plan / "hold").touch()
    killed = command(plan, *arguments)
    wait_for(lambda: len(begun(plan)) == 2)
    with pytest.raises(InputError, match="another process runs it"):
        rnnzoo.sweep("digit-sum", GRID, output=tmp_path / "s")
    killed.kill()
    killed.communicate()
    wait_for(lambda: not any(map(alive, pids(plan))), 10)
    (plan / "hold").unlink()
    result = CliRunner().invoke(cli, ["sweep", "digit-sum", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path / "s")
    assert len(rows) == len({(row["model.units"], row["training.batch_size"]) for row in rows}) == 6
    assert all(row["state"] == "complete" for row in rows) and len(begun(plan)) == 8
    assert result.stderr.splitlines()[-1].startswith("6/6: trial ")
    assert f"rnnzoo train {tmp_path / 's' / 'best'}" in result.stdout


@pytest.mark.slow
def test_an_interrupted_sweep_says_how_it_goes_on(plan, tmp_path):
    (plan / "hold").touch()
    running = command(plan, "--set", GRID[0], "--jobs", "2", "-o", tmp_path / "s")
    wait_for(lambda: len(begun(plan)) == 2)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGTERM and not out
    assert err == "Stopped: interrupted after 0 of 3 trials; the same command goes on\n"
    assert not any(map(alive, pids(plan)))
    (plan / "hold").unlink()
    assert len(rnnzoo.sweep("digit-sum", GRID[:1], output=tmp_path / "s").trials) == 3


def test_an_interrupt_in_python(plan, tmp_path):
    (plan / "hold").touch()

    def stop(standing):
        if any(row["epoch"] for row in standing.rows):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(RunInterrupted, match="after 0 of 3 trials"):
        rnnzoo.sweep("digit-sum", GRID[:1], output=tmp_path / "s", progress=stop)
    assert not any(map(alive, pids(plan)))


# On several machines


@pytest.fixture(scope="module")
def server():
    """The address of a PostgreSQL server of its own, on loopback."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or list(filter(None, [shutil.which("initdb")]))
    if not found:
        pytest.skip("there is no PostgreSQL server: neither /usr/lib/postgresql/*/bin/initdb nor initdb on the path")
    programs, user = Path(found[-1]).parent, {}
    if os.getuid() == 0:  # it refuses to run as root
        import pwd

        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("a PostgreSQL server does not run as root, and there is no user postgres")
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not among pytest's own folders, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        if user:
            shutil.chown(folder, "postgres")
        data, quiet = (
            Path(folder) / "data",
            {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **user},
        )
        subprocess.run([programs / "initdb", "-D", data, "-U", "zoo", "-A", "trust", "-N"], check=True, **quiet)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        running = subprocess.Popen([programs / "postgres", "-D", data, "-p", str(port), *options], **quiet)
        try:
            wait_for(lambda: _answers(port))
            yield f"postgresql://zoo:secret@127.0.0.1:{port}/postgres"
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(30)


def _answers(port):
    import psycopg2

    try:
        psycopg2.connect(host="127.0.0.1", port=port, user="zoo", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


def test_machines_share_a_sweep_and_one_is_killed(server, plan, tmp_path):
    """Two commands at once make one study; what the one that is killed was training, the other one trains."""
    grid = ["--set", GRID[0], "--set", GRID[1]]
    shared = [*grid, "--storage", server, "--study", "shared", "--grace", "2"]
    (plan / "hold").touch()
    machines = [command(plan, *shared, "-o", tmp_path / name) for name in "ab"]
    wait_for(lambda: len(begun(plan)) == 2)
    assert len(set(begun(plan))) == 2
    machines[0].kill()
    machines[0].communicate()
    wait_for(lambda: sum(map(alive, pids(plan))) == 1, 10)
    (plan / "hold").unlink()
    _, err = machines[1].communicate(timeout=60)
    assert machines[1].returncode == 0, err
    assert len(begun(plan)) == 7 and len(set(begun(plan))) == 6
    rows = rows_of(tmp_path / "b")
    assert len(rows) == 6 and all(row["state"] == "complete" for row in rows)
    assert sorted(int(row["retried"]) for row in rows) == [0] * 5 + [1]
    # The one that was killed, called again, finds all finished. Another sweep of that name is refused.
    options = {"storage": server, "study": "shared", "grace": 2}
    assert len(rnnzoo.sweep("digit-sum", GRID, output=tmp_path / "a", **options).trials) == 6
    assert (tmp_path / "a" / "results.csv").read_text() == (tmp_path / "b" / "results.csv").read_text()
    assert len(begun(plan)) == 7
    with pytest.raises(InputError, match="begun with another seed"):
        rnnzoo.sweep("digit-sum", GRID, output=tmp_path / "d", seed=3, **options)
    assert not (tmp_path / "d").exists()


def test_one_that_was_only_slow_counts_once(server, plan):
    """Of two machines that train the same trial, since one was taken for dead, the other one's result counts."""
    about, space = {"seed": 0, "pruner": "none", "lower": False}, parse_space(RATES)
    address = sqlalchemy.engine.make_url(server.replace("postgresql", "postgresql+psycopg2"))
    slow, quick = (Study(address, "slow", about, space, 1, False, 1) for _ in range(2))
    first = slow.take()
    assert quick.take() is None and slow.report(first, 1, 0.1)
    time.sleep(1.5)
    second = quick.take()
    assert second.params == first.params and second.number != first.number
    assert not slow.report(first, 2, 0.2)
    slow.complete(first, 0.3, {})
    quick.complete(second, 0.4, {})
    assert [(row["value"], row["retried"]) for row in slow.rows()] == [(0.4, 1)] and slow.finished == 1
    assert slow.take() is quick.take() is None
    slow.close()
    quick.close()


@pytest.mark.slow
def test_the_number_asked_for_is_the_number_finished(server, plan, tmp_path):
    """Of what is drawn, too: three machines take from one queue as fast as they can, trials and a machine are killed."""
    shared = ["--set", RATES[0], "--trials", "40", "--jobs", "2", "--pruner", "none", "--grace", "2", "--storage", server]
    (plan / "die").write_text("3")
    machines = [command(plan, *shared, "-o", tmp_path / "rates") for _ in range(3)]
    wait_for(lambda: len(begun(plan)) > 12, 60)
    machines[0].kill()
    machines[0].communicate()
    for machine in machines[1:]:
        _, err = machine.communicate(timeout=120)
        assert machine.returncode == 0, err
    rows = rows_of(tmp_path / "rates")
    assert len(rows) == 40 and len({row["training.learning_rate"] for row in rows}) == 40
    assert all(row["state"] == "complete" for row in rows)
    assert 42 <= len(begun(plan)) <= 45 and len(set(begun(plan))) == 40


def test_a_server_that_is_not_there_is_one_line(plan, tmp_path):
    address = "postgresql://zoo:secret@127.0.0.1:1/postgres"
    arguments = ["sweep", "digit-sum", "--set", GRID[0], "--storage", address, "-o", str(tmp_path / "s")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1 and "refused" in result.stderr and "secret" not in result.stderr
    assert result.stderr.count("\n") == 1 and not (tmp_path / "s").exists()


# What it leaves


def test_the_tables_the_plots_and_the_winner(plan, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="the extra `plot` is absent")
    monkeypatch.setattr(_report, "draw", DRAW)
    monkeypatch.setattr(Study, "importances", IMPORTANCES)
    settings = [
        "training.learning_rate=log:1e-4..1e-1",
        "model.layers=1..3",
        "training.optimizer=adam,sgd",
        "training.epochs=9",
    ]
    found = rnnzoo.sweep("digit-sum", settings, trials=11, output=tmp_path / "s")
    rows = rows_of(found.path)
    assert list(rows[0])[:5] == ["trial", "training.learning_rate", "model.layers", "training.optimizer", "exact_match"]
    assert len(rows) == 11 and int(rows[0]["trial"]) == found.best["number"]
    assert float(rows[0]["exact_match"]) == found.best["value"] == found.best["values"]["training.learning_rate"]
    best = rnnzoo.load_preset(found.preset)
    assert best.training.learning_rate == found.best["value"] and best.training.epochs == 9 and best.name == "digit-sum"
    text = (found.path / "results.md").read_text()
    assert f"rnnzoo train {found.preset}" in text and text.count("\n| ") >= 12
    assert next(iter(found.importances)) == "training.learning_rate" and 0.99 < sum(found.importances.values()) < 1.01
    for key in ("training.learning_rate", "model.layers", "training.optimizer"):
        assert f"plots/{key}.png" in text
        assert (found.path / "plots" / f"{key}.png").read_bytes().startswith(b"\x89PNG")
    assert not (found.path / "logs").exists()


def test_the_winner_has_the_data_that_it_is_best_on(plan, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("digits,sum\n" + "".join(f"{n},{sum(map(int, str(n)))}\n" for n in range(20)))
    options = {"data": path, "valid": 0.3, "output": tmp_path / "s"}
    found = rnnzoo.sweep("digit-sum", GRID[:1], **options)
    source = rnnzoo.load_preset(found.preset).own_data
    assert source.path.read_bytes() == path.read_bytes() and source.valid == 0.3 and source.path.parent == found.preset
    path.write_text("digits,sum\n1,1\n")
    with pytest.raises(InputError, match="was begun with another data"):
        rnnzoo.sweep("digit-sum", GRID[:1], **options)
    # A sweep of a preset that was trained on such a file is on that file.
    assert rnnzoo.sweep(found.preset, GRID[1:], output=tmp_path / "t").best["values"] == {"training.batch_size": "16"}
    assert (tmp_path / "t" / "best" / "data.csv").is_file()


def test_a_damaged_study_is_one_line(tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(TrainingError, match=r"study\.db: file is not a database; restore it, or begin anew with --force"):
        rnnzoo.sweep("digit-sum", GRID, output=tmp_path)
    with pytest.raises(InputError, match="cannot have"):
        rnnzoo.sweep("digit-sum", GRID, output=tmp_path / "what?")


def test_without_matplotlib_there_are_no_plots(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(_report, "draw", DRAW)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    lines = []
    found = rnnzoo.sweep("digit-sum", GRID[:1], output=tmp_path / "s", notice=lines.append)
    assert lines == ["no plots: drawing needs matplotlib: pip install 'rnnzoo[plot]'"]
    assert "plots/" not in (found.path / "results.md").read_text() and not (found.path / "plots").exists()
    said = CliRunner().invoke(cli, ["sweep", "digit-sum", "--set", GRID[0], "-o", str(tmp_path / "s")]).stdout
    assert f"Sweep: {tmp_path / 's'} (results.md, results.csv)\n" in said


def test_without_optuna_one_line_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(rnnzoo.MissingExtraError, match=r"rnnzoo\[sweep\]"):
        rnnzoo.sweep("digit-sum", GRID, output=tmp_path / "s")
    assert not (tmp_path / "s").exists()


# A trial


@pytest.fixture
def run_trial(monkeypatch):
    """What a trial says, in this process; XLA's compiling is not in question."""
    monkeypatch.setattr(epochs, "knows_xla", lambda model: False)
    return _run_trial


def _run_trial(name, overrides, metric=None, **options):
    from rnnzoo.sweeping._trial import main

    preset, said = load_preset(name), []
    job = {"name": preset.name, "folder": str(preset.folder), "content": preset.content(), "overrides": overrides}
    main({"metric": metric or preset.metric, "lower": False, "threads": 0, "data": None, **job, **options}, said.append)
    return said


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("digit-sum", ["task_options.max_timesteps=2"]),
        pytest.param(
            "adding-problem",
            ["training.curriculum.timesteps=[5, 12]", "task_options.training_examples=300", "model.units=4"],
            marks=pytest.mark.slow,
        ),
        pytest.param("digit-sum-seq2seq", ["task_options.max_timesteps=2", "model.units=4"], marks=pytest.mark.slow),
    ],
)
def test_a_trial_reads_no_test(name, overrides, monkeypatch, run_trial):
    """Neither a preset's own, nor with a curriculum, nor where another preset is trained first."""
    from rnnzoo.tasks._task import Task

    def refuse(self):
        raise AssertionError("a test was read")

    for task in (Task, *_subclasses(Task)):
        for method in ("tests", "first_test"):
            if method in vars(task):
                monkeypatch.setattr(task, method, refuse)
    pretraining = [
        'training.pretrain.set=["task_options.end_token=true", "training.epochs=1", "training.round_weights=false"]'
    ]
    said = run_trial(name, ["training.epochs=2", *overrides, *pretraining * (name == "digit-sum-seq2seq")])
    assert list(said[-1]) == ["done"], said[-1]
    done = said[-1]["done"]
    stages = 2 if name == "adding-problem" else 1
    assert done["epochs"] == 2 * stages == len(said) - 1 and done["value"] == done["metrics"][load_preset(name).metric]
    assert [line["epoch"] for line in said[:-1]] == list(range(1, 2 * stages + 1))


def _subclasses(cls):
    return [one for sub in cls.__subclasses__() for one in (sub, *_subclasses(sub))]


def test_what_is_compared_was_not_learned_from():
    from rnnzoo.building import new_task

    for name in ("digit-sum", "number-spelling"):
        task = new_task(load_preset(name))
        learned, compared = task.choices()
        tests = set(task.first_test().inputs)
        assert not set(learned.inputs) & set(compared.inputs) and not set(compared.inputs) & tests
        again = new_task(load_preset(name)).choices()[1]
        assert again.inputs == compared.inputs and len(set(compared.inputs)) == len(compared.inputs) >= 100
    # Of displays the same one can mean two digits, so that examples are drawn and not displays.
    learned, compared = new_task(load_preset("seven-segment", ["task_options.training_displays=2000"])).choices()
    assert len(compared.inputs) == 400 and len(set(learned.inputs)) > 100
    with pytest.raises(InputError, match="1 example to learn from, and none to compare by"):
        new_task(load_preset("backprop-by-hand")).choices()


def test_videos_are_compared_whole():
    from rnnzoo.building import new_task
    from rnnzoo.tasks.gesture_phases import GesturePhases

    learned, compared = new_task(load_preset("gesture-phases")).choices()
    assert len(compared.inputs) == 1 and len(learned.inputs) > 50
    (video,) = GesturePhases(validation=("a2",)).validation().inputs
    assert video.tobytes() == compared.inputs[0].tobytes()


def test_a_trial_on_data_of_ones_own(tmp_path, run_trial):
    """What is held out of it is not read: it is as if those rows were not there."""
    path = tmp_path / "mine.csv"
    path.write_text("digits,sum\n" + "".join(f"{n},{sum(map(int, str(n)))}\n" for n in range(400)))
    said = run_trial("digit-sum", ["training.epochs=2"], data=[str(path), 0.2, False, None])
    assert said[-1]["done"]["metrics"]["examples"] == 64  # a fifth of the four fifths that are not held out


def test_a_trial_says_what_is_wrong(run_trial):
    assert run_trial("digit-sum", ["training.epochs=1"], metric="exact_mach") == [
        {"refused": ["InputError", "unknown metric 'exact_mach' (did you mean 'exact_match'?)"]}
    ]
    (said,) = run_trial("digit-sum", ["training.epochs=1", "training.optimizer=adm"])
    assert said["failed"].startswith("training.optimizer: unknown optimizer 'adm'")
    said = run_trial("digit-sum", ["training.epochs=3", "training.learning_rate=1e38", "training.optimizer=sgd"])
    assert "is nan" in said[-1]["diverged"] or "is inf" in said[-1]["diverged"]


def test_the_program_of_a_trial():
    """It says one thing a line, and ends when whoever started it is gone; TensorFlow is not imported for what is wrong."""
    preset = load_preset("digit-sum")
    job = {"root": str(Path(rnnzoo.__file__).parent.parent), "name": preset.name, "folder": str(preset.folder)}
    job |= {"content": preset.content(), "overrides": ["model.units=x"], "threads": 0, "data": None}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(PROGRAM_OF_A_TRIAL)], **pipes) as process:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["failed"].startswith("--set: model.units: should be a valid integer")
        assert process.wait(10) == 0 and not process.stderr.read()
    with subprocess.Popen([sys.executable, str(PROGRAM_OF_A_TRIAL)], **pipes) as process:
        job["overrides"] = ["training.epochs=100000"]
        out, _ = process.communicate(json.dumps(job) + "\n", timeout=30)  # and closes its input
        assert not out and process.returncode == 1


@pytest.mark.slow
def test_a_sweep_of_models(tmp_path):
    """One trial, in a process of its own."""
    settings = ["model.units=1,2", "training.epochs=3", "task_options.max_timesteps=2"]
    found = rnnzoo.sweep("digit-sum", settings, trials=1, jobs=2, output=tmp_path / "s")
    metrics = found.best["metrics"]
    assert metrics["examples"] == 18 and 0 <= metrics["exact_match"] == found.best["value"] <= 1 and metrics["loss"] > 0
    assert found.best["epochs"] == 3 and found.best["parameters"] in (13, 27)
    assert rnnzoo.load_preset(found.preset).model["units"] == int(found.best["values"]["model.units"])


@pytest.mark.slow
def test_machines_share_a_sweep_of_models(server, tmp_path):
    """As a user would: two commands, real trials, one command killed while it trains."""
    settings = ["--set", "model.units=1,2,3", "--set", "training.epochs=5", "--set", "task_options.max_timesteps=2"]
    arguments = ["-m", "rnnzoo.cli.main", "sweep", "digit-sum", *settings, "--storage", server, "--grace", "5", "--json"]

    def start(name):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, *arguments, "--study", "real", "-o", str(tmp_path / name)], **pipes)

    machines = [start("a"), start("b")]
    wait_for(lambda: list((tmp_path / "a" / "logs").glob("*.log")), 60)
    machines[0].kill()
    machines[0].communicate()
    out, err = machines[1].communicate(timeout=200)
    assert machines[1].returncode == 0, err
    rows = json.loads(out)["trials"]
    assert sorted(row["values"]["model.units"] for row in rows) == ["1", "2", "3"]
    assert all(row["state"] == "complete" for row in rows) and sum(row["retried"] for row in rows) == 1


def test_the_table_while_it_runs():
    """What runs and the best so far, as many as the terminal has room for."""
    from rich.console import Console

    from rnnzoo.cli.sweep import _drawn

    row = {"values": {"model.units": "8"}, "why": None, "of": 20, "epoch": 3}
    rows = [{**row, "number": n, "state": "complete", "value": n / 100, "epochs": 20} for n in range(90)]
    rows += [
        {**row, "number": 90, "state": "running", "value": 0.123},
        {**row, "number": 91, "state": "waiting", "value": None},
    ]
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(_drawn(rnnzoo.sweeping.Standing("exact_match", False, 92, 90, rows), 24))
    console.file.close()
    lines = console.export_text().splitlines()
    assert lines[0].strip() == "90 of 92 trials finished (90 complete, 1 running, 1 waiting)"
    assert lines[1].split() == ["trial", "values", "exact", "match", "state", "epoch", "then"] and len(lines) <= 24
    assert lines[3].split() == ["90", "model.units=8", "running", "3/20", "0.123"]
    assert lines[4].split() == ["89", "model.units=8", "0.89", "complete", "20"]
