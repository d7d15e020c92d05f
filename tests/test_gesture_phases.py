"""Gesture phases: the videos, the features of a movement, CSV files of frames, and windows of them."""

import collections
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo import tasks, userdata
from rnnzoo.building import create_task
from rnnzoo.cli.main import cli
from rnnzoo.evaluating import read_split
from rnnzoo.recipes import fit
from rnnzoo.registry import Source
from rnnzoo.running import _tensors
from rnnzoo.tasks._movement import COLUMNS, LIMIT, MIRRORED, OFFSETS, PADDING, SCALES, SIGNS, parse_recording, synthetic
from rnnzoo.tasks.gesture_phases import PHASES, VIDEOS

HEADER = ",".join([*COLUMNS, "timestamp", "phase"])


@pytest.fixture(scope="module")
def task():
    return tasks.create("gesture_phases")


def csv_of(frames, phases=None):
    """A CSV file like those of the data set, as text."""
    phases = phases or ["Rest"] * len(frames)
    rows = [",".join([*map(str, row), "5702026", phase]) for row, phase in zip(frames.tolist(), phases, strict=True)]
    return "\n".join([HEADER, *rows, ""])


# The videos


def test_the_videos(task):
    """9,901 frames, one more than the description says of b3; a word in Portuguese, in Latin-1, is translated."""
    lengths = {name: len(task._videos([name]).answers[0]) for name in VIDEOS}
    assert lengths == {"a1": 1747, "a2": 1264, "a3": 1834, "b1": 1073, "b3": 1424, "c1": 1111, "c3": 1448}
    counts = collections.Counter(phase for name in VIDEOS for phase in task._videos([name]).answers[0])
    assert set(counts) == set(PHASES) and counts["Preparation"] == 2097 and counts["Hold"] == 998
    assert collections.Counter(task._videos(["b1"]).answers[0])["Preparation"] == 412


def test_the_split(task):
    assert [len(one) for one in task.first_test().inputs] == [1424, 1448] and task.validation() is None
    whole = task._videos(["a1", "a2", "a3", "b1", "c1"])
    assert len(task.train().inputs) == sum(math.ceil((len(one) - 96) / 24) + 1 for one in whole.inputs)
    fold = tasks.create("gesture_phases", held_out=("b3", "c3"), validation=("a2",))
    assert [len(one) for one in fold.validation().inputs] == [1264]
    seen = {frame.tobytes() for one in fold.train().inputs for frame in one}
    assert not seen & {frame.tobytes() for one in fold.validation().inputs for frame in one}
    assert not seen & {frame.tobytes() for one in task.first_test().inputs for frame in one}


def test_videos_that_are_none():
    for options, said in (
        ({"held_out": ("b2",)}, r"task_options\.held_out: no video 'b2'; there are a1, a2"),
        ({"validation": ("b3",)}, "expected a video or more in held_out, others in validation"),
        ({"held_out": ()}, "expected a video or more in held_out"),
        ({"held_out": tuple(VIDEOS)}, "and some in neither"),
        ({"window": 0}, "window=0"),
    ):
        with pytest.raises(rnnzoo.InputError, match=said):
            tasks.create("gesture_phases", **options)


def test_each_person_can_be_left_out():
    task = tasks.create("gesture_phases", held_out=("b1", "b3"))
    assert [len(one) for one in task.first_test().inputs] == [1073, 1424]
    assert task.learned_from == ["a1", "a2", "a3", "c1", "c3"]


def test_windows(task):
    frames = np.arange(250 * 18, dtype=np.float32).reshape(250, 18)
    phases = [str(t) for t in range(250)]
    cut = task.cut(task.train()._replace(inputs=[frames, frames[:50]], answers=[phases, phases[:50]]))
    starts = [int(answer[0]) for answer in cut.answers]
    assert starts == [0, 24, 48, 72, 96, 120, 144, 154, 0] and [len(one) for one in cut.inputs] == [96] * 8 + [50]
    for one, answer in zip(cut.inputs, cut.answers, strict=True):
        np.testing.assert_array_equal(one, frames[int(answer[0]) : int(answer[-1]) + 1])


# The features


def features_of(frames):
    """The features, number by number, from what is said of them."""
    points = [[frame[3 * i : 3 * i + 3].tolist() for i in range(6)] for frame in frames.astype(float)]
    last, moving = len(points) - 1, (0, 1, 2, 4, 5)
    scale = sum(math.dist(frame[2][:2], frame[3][:2]) for frame in points) / len(points)
    places = [[[(frame[i][a] - frame[3][a]) / (scale, scale, 0.5)[a] for a in range(3)] for i in moving] for frame in points]

    def mean(t, i, a):
        t = min(max(t, 0), last)
        return sum(places[min(max(t + k, 0), last)][i][a] for k in range(-2, 3)) / 5

    rows = []
    for t in range(len(points)):
        velocities = [[(mean(t + 1, i, a) - mean(t - 1, i, a)) / 2 for a in range(3)] for i in range(5)]
        speeds = [math.log(math.hypot(*velocity) + 0.001) for velocity in velocities]
        row = [*(n for place in places[t] for n in place), *(n for velocity in velocities for n in velocity), *speeds]
        rows.append([min(max((n - o) / s, -LIMIT), LIMIT) for n, o, s in zip(row, OFFSETS, SCALES, strict=True)])
    return np.array(rows)


@pytest.mark.parametrize("frames", [1, 2, 4, 40])
def test_the_features(frames, task):
    movement = synthetic(frames)
    made = task.input.front(task.input.tensor([movement]))[0].numpy()
    assert made.shape == (frames, 35) and made.dtype == np.float32
    np.testing.assert_allclose(made, features_of(movement), rtol=0, atol=0.51 / 4096)


def test_the_features_of_a_batch_are_those_alone(task, rng):
    """Bit for bit, in the graph and in NumPy: what is padded is not seen."""
    movements = [synthetic(frames) for frames in (1, 64, 3, 300)]
    movements += [rng.normal(size=(50, 18)).astype(np.float32), np.zeros((7, 18), np.float32)]
    movements += [np.full((3, 18), 3e38, np.float32), rng.normal(size=(4, 18)).astype(np.float32) * np.float32(1e38)]
    batch = task.input.front(task.input.tensor(movements)).numpy()
    np.testing.assert_array_equal(batch, _tensors.front(json.loads(json.dumps(task.input.describe())), movements))
    assert np.isfinite(batch).all() and batch.shape == (8, 300, 35)
    for row, movement in zip(batch, movements, strict=True):
        alone = task.input.front(task.input.tensor([movement]))[0].numpy()
        np.testing.assert_array_equal(row[: len(alone)], alone)
        assert (row[len(alone) :] == PADDING).all() and not (alone == PADDING).any()


def test_what_changes_no_feature(task):
    """Where someone sits and the units of the picture change nothing, and a mirrored movement has mirrored features."""
    movement = synthetic(60).astype(float)
    mirrored = movement.reshape(-1, 6, 3)[:, [1, 0, 2, 3, 5, 4]] * [-1, 1, 1]
    movements = [movement, movement * np.tile([0.1, 0.1, 1], 6) + np.tile([0.3, -0.2, 1], 6), mirrored.reshape(-1, 18)]
    first, moved, flipped = task.input.front(task.input.tensor([one.astype(np.float32) for one in movements])).numpy()
    np.testing.assert_allclose(moved, first, atol=0.01)
    np.testing.assert_allclose(flipped, first[:, MIRRORED] * SIGNS, atol=0.01)
    assert np.abs(flipped - first).max() > 1


def test_the_examples_are_varied(task, rng):
    inputs = task.input.front(task.input.tensor([synthetic(frames) for frames in [30] * 40 + [10]])).numpy()
    before = inputs.copy()
    varied, targets, weights = task.augment(inputs, "targets", "weights", rng)
    assert (targets, weights) == ("targets", "weights") and varied.dtype == np.float32
    np.testing.assert_array_equal(inputs, before)
    np.testing.assert_array_equal(varied[-1, 10:], inputs[-1, 10:])  # padding
    off = [np.abs(varied[:, :10] - one[:, :10]).max(axis=(1, 2)) for one in (inputs, inputs[..., MIRRORED] * SIGNS)]
    as_is = off[0] < off[1]
    assert np.max(np.minimum(*off)) < 1.2 and 8 < as_is.sum() < 33
    assert np.std((varied - inputs)[as_is][:, :10]) == pytest.approx(0.2, rel=0.1)


def test_the_share_of_frames_is_shown(task):
    targets, weights = task.answer.targets([["Rest", "Stroke", "Hold", "Hold"], ["Stroke"]])
    outputs = np.eye(5, dtype=np.float32)[[[0, 2, 3, 1], [2, 0, 0, 0]]]
    np.testing.assert_array_equal(task.answer.correct(targets, tf.constant(outputs), weights), [0.75, 1])
    np.testing.assert_array_equal(task.answer.correct(targets, tf.constant(outputs), 0 * weights), [0, 0])
    assert task.answer.shown(["Rest", "Rest", "Hold", "Rest"]) == "Rest x2, Hold x1, Rest x1"
    assert task.answer.shown(["Rest"]) == "Rest x1"


def test_scores_count_frames(task):
    examples = task.first_test()._replace(inputs=[None] * 2, answers=[["Rest", "Hold", "Hold"], ["Stroke"]])
    scores = task.score(examples, [["Rest", "Hold", "Rest"], ["Rest"]])
    assert scores == {"accuracy": 0.5, "macro_f1": pytest.approx((2 / 4 + 2 / 3 + 0) / 3)}


# Raw input and files


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("0.5:1", "timestep 1 of the frames: 2 numbers; expected a CSV file with the columns lhx to rwz, or frames of 18"),
        ([[0.5] * 18, [0.5] * 17], "timestep 2 of the frames: 17 numbers"),
        ([[0.5] * 17 + [math.nan]], r"'nan' \(number 18 of timestep 1\) is no number"),
        ([[0.5] * 18, [PADDING] * 18], "timestep 2 is of nothing but -100, which is padding"),
        ("", "there are no numbers"),
        ("synthetic:0", "'synthetic:0'; expected synthetic: and a whole number from 1 to 10,000"),
        ("synthetic:1x", "expected synthetic: and"),
        ("absent.csv", r"absent\.csv: no such file"),
    ],
)
def test_bad_input(raw, said, task):
    with pytest.raises(rnnzoo.InputError, match=said) as error:
        task.input.check(raw)
    assert "\n" not in str(error.value)


FRAME = ",".join(["0.5"] * 18)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: no column 'lhx'; expected the columns lhx, lhy"),
        (HEADER.replace("rwz,", "") + "\n", "line 1: no column 'rwz'"),
        (HEADER + "\n\n", "a header and no frames"),
        (f"{HEADER}\n{FRAME},1,Rest\n{FRAME},1\n", "line 3: 19 fields; expected 20, as the header has"),
        (f"{HEADER}\n\n{FRAME},1,Rest\nx{FRAME},1,Rest\n", "line 4, column 'lhx': 'x0.5' is no number of 32 bits"),
        (f"{HEADER}\n{FRAME[:-3]}inf,1,Rest\n", "line 2, column 'rwz': 'inf' is no number"),
        (f'{HEADER}\n"{FRAME}', "line 2: unexpected end of data"),
    ],
)
def test_bad_files(content, said, task, tmp_path):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(rnnzoo.InputError, match=f"a.csv: {said}"):
        task.input.check(str(tmp_path / "a.csv"))


def test_files_are_read_by_their_header(task, tmp_path):
    """With a byte order mark, in any order, and in Latin-1 as that data set has one line."""
    movement = synthetic(9)
    order = [*range(17, -1, -1)]
    lines = [",".join(["Phase", *(COLUMNS[i].upper() for i in order)])]
    lines += [",".join(["Preparação", *(str(row[i]) for i in order)]) for row in movement]
    for encoding in ("utf-8-sig", "latin-1"):
        (tmp_path / "a.csv").write_text("\r\n".join(lines) + "\r\n\r\n", encoding=encoding)
        np.testing.assert_array_equal(task.input.check(tmp_path / "a.csv"), movement)
        found = userdata.read(Source(tmp_path / "a.csv"), task).examples
        np.testing.assert_array_equal(found.inputs[0], movement)
        assert found.answers == [["Preparation"] * 9]
    assert parse_recording("\n".join([",".join(COLUMNS), FRAME]).encode()).phases is None


def test_a_column_that_is_missing_is_named(task, tmp_path):
    """Of a file alone, too, which is no recording where it has none of the columns."""
    path = tmp_path / "a.csv"
    path.write_text(csv_of(synthetic(3), ["Rest"] * 3).replace("lhx", "lhq"))
    with pytest.raises(rnnzoo.InputError, match=r"a\.csv: line 1: no column 'lhx'; expected the columns lhx, lhy"):
        userdata.read(Source(path), task)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_will_do(separator, task, tmp_path):
    path, movement = tmp_path / "a.csv", synthetic(3)
    path.write_text(csv_of(movement, ["Rest"] * 3).replace(",", separator))
    found = userdata.read(Source(path), task).examples
    np.testing.assert_array_equal(found.inputs[0], movement)
    assert found.answers == [["Rest"] * 3]


def test_a_file_is_answered(tmp_path, zoo):
    (tmp_path / "movement.csv").write_text(csv_of(synthetic(70)))
    name = str(tmp_path / "movement.csv")
    zoo = zoo("gesture-phases")
    (answer,) = zoo.predict([name])
    assert answer == zoo.predict([synthetic(70)])[0] and len(answer) == 70
    done = CliRunner().invoke(cli, ["predict", "gesture-phases", name])
    assert done.exit_code == 0 and zoo.task.answer.shown(answer) in " ".join(done.output.split())
    (tmp_path / "movement.csv").write_text(csv_of(synthetic(70)).replace("lhx", "x"))
    done = CliRunner().invoke(cli, ["predict", "gesture-phases", name])
    assert done.exit_code == 2 and "movement.csv: line 1: no column 'lhx'" in done.output


@pytest.fixture
def folder(tmp_path):
    """Five sequences of one's own, one of them without phases."""
    path = tmp_path / "mine"
    path.mkdir()
    for i, frames in enumerate((40, 120, 64, 1, 30)):
        phases = [PHASES[t // 7 % 5] for t in range(frames)]
        (path / f"{i}.csv").write_text(csv_of(synthetic(frames), phases).replace(",phase", ",other" if i == 4 else ",phase"))
    (path / "notes.txt").write_text("mine")
    return path


def test_a_folder_of_files(folder, task):
    with pytest.raises(rnnzoo.InputError, match=r"4\.csv: line 1: no column 'phase'; expected one, a phase a frame"):
        userdata.read(Source(folder), task)
    read = userdata.read(Source(folder, skip_bad=True), task)
    assert [len(answer) for answer in read.examples.answers] == [40, 120, 64, 1] and len(read.skipped) == 1
    assert read.examples.answers[2][:8] == ["Rest"] * 7 + ["Preparation"]
    (folder / "4.csv").write_text(csv_of(synthetic(2), ["Rest", "Pause"]))
    with pytest.raises(rnnzoo.InputError, match=r"4\.csv: line 3, column 'phase': 'Pause' is no label; expected one of 'R"):
        userdata.read(Source(folder), task)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(rnnzoo.InputError, match=r"mine: no \.csv file in it; expected one a sequence"):
        userdata.read(Source(folder), task)


@pytest.mark.slow
def test_training_on_a_folder(folder):
    """Whole sequences are held out, and windows of the others are learned from."""
    (folder / "4.csv").unlink()
    small = ["model.units=3", "model.layers=1", "training.epochs=2", "task_options.window=20"]
    preset = rnnzoo.load_preset("gesture-phases", small)
    task = create_task(preset)
    learned, held_out = read_split(Source(folder), task)
    lengths = sorted(len(answer) for answer in learned.answers + held_out.answers)
    assert lengths == [1, 40, 64, 120] and len(held_out.inputs) == 1
    trained = fit(preset, task, own=(learned, held_out))
    assert trained.examples == len(task.cut(learned).inputs) > 3 and len(trained.history) == 2
    assert 0 <= trained.history[0]["accuracy"] <= 1 and math.isfinite(trained.history[1]["loss"])
    scores = rnnzoo.evaluate(rnnzoo.Predictor(trained.model, preset, task), data=folder)
    assert set(scores["data"]) == {"examples", "accuracy", "macro_f1"} and scores["data"]["examples"] == 4
