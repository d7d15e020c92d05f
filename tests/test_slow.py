"""Training from scratch, as a user would: what the recipes reach, and how long they take."""

import subprocess
import sys
import time

import pytest

import rnnzoo
from rnnzoo.building import create_task
from rnnzoo.cards import reaches
from rnnzoo.predicting import Predictor
from rnnzoo.registry import list_presets, load_preset

pytestmark = pytest.mark.slow
SEED = 7  # none of the seeds that the cards report


# Those whose training takes longer are trained on for an epoch or two alone.
MOST_SECONDS, EPOCHS = 180, 2
LONG = [name for name in list_presets() if load_preset(name).metadata()["training_seconds"] > MOST_SECONDS]


@pytest.mark.parametrize("name", [name for name in list_presets() if name not in LONG])
def test_training_reaches_what_is_expected(name, tmp_path):
    """With a seed that nobody has looked at, in at most six minutes."""
    begin = time.monotonic()
    run = rnnzoo.train(name, seed=SEED, run_dir=tmp_path / name)
    assert time.monotonic() - begin < 360
    for key, value in load_preset(name).expected.items():
        for metric, bar in (value if isinstance(value, dict) else {key: value}).items():
            found = run.metrics[key if isinstance(value, dict) else next(iter(run.metrics))][metric]
            assert reaches(metric, found, bar), run.metrics
    assert run.metadata["rounded"] == load_preset(name).training.round_weights


@pytest.mark.parametrize("name", LONG)
def test_long_trainings_begin_to_learn(name, tmp_path):
    """They are better than an untrained model by far, and not yet as good as the weights that ship."""
    preset, short = load_preset(name), [f"training.epochs={EPOCHS}"]
    if preset.training.average:  # over so few steps, the first weights would be most of it
        short.append("training.average=0.9")
    run = rnnzoo.train(name, seed=SEED, run_dir=tmp_path / name, overrides=short)
    untrained = rnnzoo.evaluate(Predictor(rnnzoo.build(preset, seed=SEED), preset, create_task(preset)))
    first, metric = next(iter(run.metrics)), preset.metric
    worst, found, best = (one[first][metric] for one in (untrained, run.metrics, preset.metadata()["metrics"]))
    share = (found - worst) / (best - worst)
    assert 0.3 < share <= 1, (worst, found, best)


def test_train_digit_sum_takes_under_a_minute(tmp_path):
    begin = time.monotonic()
    command = [sys.executable, "-m", "rnnzoo.cli.main", "train", "digit-sum", "-o", "run"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    assert time.monotonic() - begin < 60
    assert rnnzoo.from_preset(tmp_path / "run").predict(["99999999999"]) == [99]
