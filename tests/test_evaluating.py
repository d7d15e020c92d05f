"""What is held out of a user's own data."""

import pytest

import rnnzoo
from rnnzoo.errors import InputError
from rnnzoo.evaluating import split_own
from rnnzoo.tasks._task import Examples


@pytest.mark.parametrize("inputs", [["1"], ["1"] * 50, ["1", "2"], ["1", "2", "2", "1"]])
def test_too_few_distinct_inputs_are_refused(inputs):
    """Nothing could be held out of them, and a score on the training part would pass for one on the held-out part."""
    count = len(set(inputs))
    with pytest.raises(InputError, match=f"{count} distinct inputs?; at least 3 are needed to hold 0.2 of them out"):
        split_own(Examples(inputs, [0] * len(inputs)))


def test_three_distinct_inputs_are_enough():
    training, held_out = split_own(Examples(["1", "2", "3", "1"], [1, 2, 3, 1]))
    assert len(set(held_out.inputs)) == 1 and len(training.inputs) + len(held_out.inputs) == 4
    assert not set(training.inputs) & set(held_out.inputs)


def test_training_on_too_few_names_the_file(tmp_path):
    path, run = tmp_path / "few.csv", tmp_path / "run"
    path.write_text("12,3\n21,3\n12,3\n")
    with pytest.raises(InputError, match=f"{path}: the data has 2 distinct inputs; at least 3 are needed"):
        rnnzoo.train("digit-sum", data=path, run_dir=run)
    assert not run.exists()
