"""Training from scratch, as a user would: what the recipes reach, and how long they take."""

import subprocess
import sys
import time

import pytest

import rnnzoo
from rnnzoo.cards import reaches
from rnnzoo.registry import list_presets, load_preset

pytestmark = pytest.mark.slow
SEED = 7  # none of the seeds that the cards report


@pytest.mark.parametrize("name", list_presets())
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


def test_train_digit_sum_takes_under_a_minute(tmp_path):
    begin = time.monotonic()
    command = [sys.executable, "-m", "rnnzoo.cli.main", "train", "digit-sum", "-o", "run"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    assert time.monotonic() - begin < 60
    assert rnnzoo.from_preset(tmp_path / "run").predict(["99999999999"]) == [99]
