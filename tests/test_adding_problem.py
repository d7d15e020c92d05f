"""The adding problem and the curriculum that it is learned with."""

import numpy as np
import pytest

import rnnzoo
from rnnzoo import recipes, tasks
from rnnzoo.building import create_task
from rnnzoo.registry import load_preset

SHORT = ["training.epochs=2", "training.curriculum.timesteps=[5, 12]", "task_options.training_examples=100"]


@pytest.fixture(scope="module")
def zoo():
    return rnnzoo.from_preset("adding-problem")


def test_what_is_drawn():
    """Hochreiter and Schmidhuber's sequences: one marked number in each half, and their sum."""
    task = tasks.create("adding_problem", training_examples=500)
    examples = task.train()
    lengths = np.array([len(frames) for frames in examples.inputs])
    assert lengths.min() >= 2 and lengths.max() <= 400 and lengths.std() > 90 and 0.2 < (lengths <= 20).mean() < 0.4
    for frames, answer in zip(examples.inputs, examples.answers, strict=True):
        first, second = np.flatnonzero(frames[:, 1])
        assert first < len(frames) // 2 <= second
        assert answer == pytest.approx(frames[first, 0] + frames[second, 0], rel=1e-6)
        assert frames[:, 0].min() >= 0 and frames[:, 0].max() < 1
    answers = np.array(examples.answers)
    assert ((answers - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.2)
    assert {len(frames) for frames in task.tests()["length_150"]().inputs} == {150}
    stages = [task.up_to(20, stage) for stage in (0, 1)]
    assert not np.array_equal(stages[0].inputs[0], stages[1].inputs[0])


def test_the_bars(zoo):
    metrics = zoo.preset.metadata()["metrics"]
    for length in (100, 150, 200, 300, 400, 1000):
        assert metrics[f"length_{length}"]["mean_squared_error"] <= 1e-3


def test_numbers_in_every_form(zoo):
    text = "0.3:0 0.5:1 0.2:0 0.4:1"
    rows = [[0.3, 0], [0.5, 1], [0.2, 0], [0.4, 1]]
    padded = np.full((1, 6, 2), -1.0)
    padded[0, :4] = rows
    answers = [zoo.predict([text]), zoo.predict([rows]), zoo.predict(np.array([rows])), zoo.predict(padded)]
    assert answers == [answers[0]] * 4 and answers[0] == [pytest.approx(0.9, abs=0.04)]
    longer = "0.1:0 " * 50 + "0.25:1 0.5:1"
    assert zoo.predict([longer, text]) == pytest.approx([zoo.predict([longer])[0], answers[0][0]], abs=1e-5)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("0.3:0 0.5:1", "1 markers are 1; expected NUMBER:MARKER at each timestep"),
        ("0.3:1 0.5:1 0.1:1", "3 markers are 1"),
        ("0.3:1 1.5:1", "the number 1.5 at timestep 2"),
        ("0.3:1 0.5:0.5 0.5:1", "the marker 0.5 at timestep 2"),
        ("0.3 0.5", "timestep 1 of the numbers: 1 number"),
        ("", "there are no numbers"),
    ],
)
def test_numbers_that_are_refused(zoo, raw, said):
    with pytest.raises(rnnzoo.InputError, match=said) as error:
        zoo.predict([raw])
    assert "\n" not in str(error.value)


# The curriculum


def test_stages_come_one_after_the_other(monkeypatch):
    seen, rates = [], []
    prepare = recipes.prepare

    def spy(preset, model, task, examples, optimizer=None):
        seen.append(max(len(raw) for raw in examples.inputs))
        epochs = prepare(preset, model, task, examples, optimizer)
        run = epochs.run
        epochs.run = lambda *given: (rates.append(float(epochs.optimizer.learning_rate)), run(*given))[1]
        return epochs

    monkeypatch.setattr(recipes, "prepare", spy)
    preset = load_preset("adding-problem", SHORT)
    trained = recipes.fit(preset, create_task(preset))
    assert seen == [5, 12]
    assert [row["stage"] for row in trained.history] == ["training, up to 5"] * 2 + ["training, up to 12"] * 2
    assert [row["epoch"] for row in trained.history] == [1, 2, 1, 2]
    assert trained.examples == 200
    # A cosine over all four epochs.
    np.testing.assert_allclose(rates, 0.002 * (1 + np.cos(np.pi * np.arange(4) / 4)) / 2, rtol=1e-6)


def test_a_curriculum_over_what_a_task_lists():
    """Of a task that draws nothing, the examples that are short enough."""
    overrides = ["training.epochs=1", "training.round_weights=false", "training.curriculum.timesteps=[2, 4]"]
    preset = load_preset("digit-sum", overrides)
    trained = recipes.fit(preset, create_task(preset))
    assert trained.examples == sum(len(create_task(preset).up_to(t, 0).inputs) for t in (2, 4))
    assert len(create_task(preset).up_to(2, 0).inputs) < 110


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["training.curriculum.timesteps=[1]"], "1 timesteps; expected from 2 to 100,000"),
        (["training.curriculum.timesteps=[]"], "training.curriculum.timesteps: tuple should have at least 1 item"),
        (["training.warmup_epochs=1.0"], "training.warmup_epochs: a curriculum"),
        (["training.curriculum.timestep=[2]"], "unknown key training.curriculum.timestep"),
        (["task_options.max_timesteps=1"], "max_timesteps=1: expected a whole number from 2 to 100,000"),
    ],
)
def test_a_curriculum_that_is_refused(overrides, said):
    with pytest.raises(rnnzoo.InputError, match=said):
        preset = load_preset("adding-problem", [*SHORT, *overrides])
        recipes.fit(preset, create_task(preset))
