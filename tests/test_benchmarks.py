"""The table of measured speeds is the one that the figures give, and the README leads to it."""

import copy
import json
import sys
from pathlib import Path

import pytest

from rnnzoo.exporting import FORMATS
from rnnzoo.registry import list_presets, load_preset

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    import run

    yield run
    for name in set(sys.modules) - before:  # names as short as theirs belong to nobody else's tests
        if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__).parent == FOLDER:
            del sys.modules[name]


@pytest.fixture
def results(run):
    return json.loads(run.RESULTS.read_text(encoding="utf-8"))


def test_the_table_is_current(run, results):
    assert run.TABLE.read_text(encoding="utf-8") == run.table(results), "run `python benchmarks/run.py --tables`"
    assert run.PLOT.is_file()


def test_every_comparison_was_measured(run, results):
    for part, (_, cases) in run.PARTS.items():
        measured = [case for case, _ in results[part]]
        assert measured == json.loads(json.dumps(cases(False))), part


def test_what_is_not_installed_is_said(run, results):
    for part in ("layer", "scaling"):
        for _, figures in results[part]:
            figures.pop("torch", None)
    for case, figures in results["epoch"] + results["prediction"]:
        if case.get("kind") in (None, "single"):
            figures.update(torch=None, onnx=None)
    assert run.table(results).count(run.MISSING) > 50


def test_below_the_bar_is_bold(run, results):
    slow = copy.deepcopy(results)
    for case, figures in slow["layer"]:
        if case["cores"] == 1:
            figures["keras"]["median"] = figures["rnnzoo"]["median"] / 2
    for case, figures in slow["memory"]:
        figures["peak"] = 2 if case["memory"] == "rnnzoo" else 1
    assert run.table(slow).count("**0.50** (bar") == sum(
        bar is not None for bars in run.layer.BARS.values() for bar in bars[:3]
    )
    assert run.table(slow).count("**2.00** (bar 1.1)") == len(run.layer.memory_cases(False)) // 2


def test_the_readme_links_it():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(benchmarks/RESULTS.md)" in readme and "python benchmarks/run.py" in readme


@pytest.fixture
def exports(run):
    import exports

    return exports


def test_the_table_of_exports_is_current(exports):
    results = json.loads(exports.RESULTS.read_text(encoding="utf-8"))
    assert exports.TABLE.read_text(encoding="utf-8") == exports.table(results), "run `python benchmarks/exports.py --tables`"
    stale = "run `python benchmarks/exports.py`"
    assert [case for case, _ in results["figures"]] == exports.cases(False), stale
    assert set(results["parity"]) == set(list_presets()), stale
    for name, found in results["parity"].items():
        assert found["weights_sha256"] == load_preset(name).metadata()["weights_sha256"], stale
        assert set(found["formats"]) == set(FORMATS)
        for format, figures in found["formats"].items():
            assert figures["largest"] <= (1e-4 if format == "litert" else 1e-5) and figures["different"] == 0


def test_an_export_that_is_wrong_or_slow_is_bold(exports):
    results = json.loads(exports.RESULTS.read_text(encoding="utf-8"))
    assert "**" not in exports.table(results).partition("## Every preset: one sample")[0]
    results["parity"]["addition"]["formats"]["onnx"]["largest"] = 2e-5
    for case, figures in results["figures"]:
        if case["kind"] == "size":
            figures["keras"]["median"] = figures["onnx"]["median"] * 2
            del figures["torch"]
    shown = exports.table(results)
    assert "| **2.0e-05** |" in shown and "| **2.0** |" in shown and "not installed" in shown


@pytest.mark.slow
def test_scores_go_on_with_runs_that_are_there(monkeypatch, tmp_path):
    """A complete run of the same recipe is taken as it is, one that was ended goes on, one of another recipe is replaced."""
    import rnnzoo
    from rnnzoo import training

    monkeypatch.syspath_prepend(str(FOLDER))
    import scores

    monkeypatch.setitem(sys.modules, "scores", scores)
    begin, begun = training.Workspace.begin, []
    monkeypatch.setattr(training.Workspace, "begin", lambda run, *how: begun.append(run.name) or begin(run, *how))
    preset = load_preset("digit-sum", ["training.epochs=2", "task_options.max_timesteps=2", "training.round_weights=false"])
    run = scores.trained(preset, 0, tmp_path / "0")
    assert scores.trained(preset, 0, tmp_path / "0").metadata == run.metadata and begun == ["0"]

    def ended(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rnnzoo.train(preset, seed=1, run_dir=tmp_path / "1", progress=ended)
    assert scores.trained(preset, 1, tmp_path / "1").metadata["seed"] == 1 and begun == ["0", "1"]
    assert scores.trained(preset, 2, tmp_path / "1").metadata["seed"] == 2 and begun == ["0", "1", "1"]


def test_histories_that_ship_are_short(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import scores

    monkeypatch.setitem(sys.modules, "scores", scores)
    short = "epoch,loss\n1,3\n2,2\n"
    assert scores.thinned(short) == short
    head, *rows = scores.thinned("epoch,loss\n" + "".join(f"{i},1\n" for i in range(1, 1202))).splitlines()
    assert head == "epoch,loss" and rows[0] == "1,1" and rows[-1] == "1201,1" and len(rows) == 401


def test_data_larger_than_memory_was_measured(monkeypatch):
    """At every size, within the memory that it was to take; the README leads to it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import large_data

    results = json.loads(large_data.RESULTS.read_text(encoding="utf-8"))
    table = large_data.TABLE.read_text(encoding="utf-8")
    assert table == large_data.table(results), "run `python benchmarks/large_data.py --tables`"
    measured = {(case["count"], case["way"]): found for case, found in results["figures"]}
    assert {count for count, _ in measured} == set(large_data.COUNTS)
    for way in ("stream", "shards"):
        peaks = [measured[count, way]["peak"] for count in large_data.COUNTS]
        assert max(peaks) < large_data.BAR and peaks[-1] < 1.5 * peaks[-2]
    assert "(benchmarks/LARGE_DATA.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("large_data", "measure"):
        sys.modules.pop(name, None)
