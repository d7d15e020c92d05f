"""MNIST: the split, the pictures, the classifier beside the scores, folders of pictures, and pictures end to end."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo import data, tasks
from rnnzoo.cli.main import cli
from rnnzoo.registry import Source, list_presets
from rnnzoo.tasks._images import normalized
from rnnzoo.tasks._mnist import FILES, nearest_mean
from rnnzoo.tasks._scores import accuracy
from rnnzoo.tasks._task import Examples
from rnnzoo.userdata import read

PRESETS = list_presets("mnist*")


@pytest.fixture(scope="module")
def task():
    made = tasks.create("mnist")
    made.train()  # skips where the data are absent
    return made


def test_the_split(task):
    train, validation, held_out = task.train(), task.validation(), task.first_test()
    assert [len(part.inputs) for part in (train, validation, held_out)] == [55_000, 5_000, 10_000]
    content = data.read(data.DataFile("image_mnist/train-images-idx3-ubyte.gz", "", *FILES["train-images-idx3-ubyte"][::-1]))
    official = np.frombuffer(content, np.uint8, offset=16).reshape(60_000, 28, 28)
    np.testing.assert_array_equal(np.stack(train.inputs + validation.inputs), official)
    sides = [{picture.tobytes() for picture in part.inputs} for part in (train, validation, held_out)]
    assert len(set().union(*sides)) == sum(map(len, sides)) == 70_000
    assert np.bincount(held_out.answers).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(train.answers + validation.answers)[1] == 6742


def test_the_answers_belong_to_the_pictures(task):
    """Of each digit the mean picture is darker in the middle of a 0 than of a 1: labels are in the pictures' order."""
    held_out = task.first_test()
    images, digits = np.stack(held_out.inputs), np.array(held_out.answers)
    middle = [images[digits == digit, 12:16, 13:15].mean() for digit in (0, 1)]
    assert middle[0] < 40 and middle[1] > 180


def test_three_ways_in_and_one_picture(task):
    for name, shape in (("mnist", (784,)), ("mnist_rows", (28, 28)), ("mnist_pixels", (784, 1))):
        other = tasks.create(name)
        picture = other.train().inputs[7]
        assert picture is not None and (picture == task.train().inputs[7]).all()
        np.testing.assert_allclose(
            other.input.front(other.input.tensor([picture]))[0], picture.reshape(shape) / 255, rtol=1e-6
        )


def test_nearest_mean(rng):
    pictures = rng.integers(0, 256, (200, 3, 3)).astype(np.uint8)
    digits = [*range(10)] * 20
    means = [np.mean([p for p, d in zip(pictures, digits, strict=True) if d == digit], axis=0) for digit in range(10)]
    expected = [int(np.argmin([((one - mean) ** 2).sum() for mean in means])) for one in pictures[:50].astype(float)]
    assert nearest_mean(Examples(list(pictures), digits), list(pictures[:50])) == expected


def test_references(task):
    assert task.references() == {"nearest_mean_accuracy": pytest.approx(0.82, abs=0.005)}


def test_pictures_are_moved_by_a_pixel(task):
    inputs = task.input.front(task.input.tensor(task.train().inputs[:50])).numpy()
    targets, weights = task.answer.targets(task.train().answers[:50])
    moved, *rest = task.augment(inputs, targets, weights, np.random.default_rng(0))
    assert moved.shape == inputs.shape and rest[0] is targets and rest[1] is weights
    for one, other in zip(inputs.reshape(-1, 28, 28), moved.reshape(-1, 28, 28), strict=True):
        ways = [np.roll(one, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        assert any((way == other).all() for way in ways)  # no digit touches the border, so nothing is rolled around
    assert (moved != inputs).any()


# Pictures in files


@pytest.fixture
def folder(tmp_path):
    """Six pictures each of three classes in a folder a class, and what systems leave there."""
    Image = pytest.importorskip("PIL.Image", reason="the extra `images` is absent")
    kind = tasks.create("mnist").input
    for digit in (1, 3, 7):
        (tmp_path / "own" / str(digit)).mkdir(parents=True)
        for i in range(6):
            picture = np.roll(kind.check(f"drawn:{digit}"), (i % 3, i // 3), (0, 1))
            Image.fromarray(picture).save(tmp_path / "own" / str(digit) / f"{i}.{'png' if i else 'bmp'}")
        (tmp_path / "own" / str(digit) / ".hidden").write_text("x")
    (tmp_path / "own" / "Thumbs.db").write_text("x")
    return tmp_path / "own"


def test_a_folder_a_class(folder):
    task = tasks.create("mnist_rows")
    found = read(Source(folder), task)
    assert found.examples.answers == [1] * 6 + [3] * 6 + [7] * 6 and not found.skipped
    np.testing.assert_array_equal(found.examples.inputs[12], task.input.check("drawn:7"))


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        ("3/bad.png", b"x", "bad.png: no picture of a known kind"),
        ("x/0.png", None, "0.png: 'x' is no answer; expected one of 0, 1,"),
        ("loose.png", None, "loose.png: expected a folder for each digit, with pictures in it"),
    ],
)
def test_what_does_not_belong_in_a_folder(place, content, message, folder):
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((folder / "1" / "1.png").read_bytes() if content is None else content)
    task = tasks.create("mnist")
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        read(Source(folder), task)
    assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)
    found = read(Source(folder, skip_bad=True), task)
    assert len(found.examples.inputs) == 18 and len(found.skipped) == 1


def test_an_empty_folder_and_a_task_without_pictures(tmp_path):
    with pytest.raises(rnnzoo.InputError, match="no pictures; expected a folder for each digit"):
        read(Source(tmp_path), tasks.create("mnist"))
    with pytest.raises(rnnzoo.InputError):
        read(Source(tmp_path), tasks.create("digit_sum"))


def test_pictures_in_a_table(folder, tmp_path):
    """By their paths, or as numbers."""
    kind = tasks.create("mnist").input
    numbers = json.dumps(kind.check("drawn:3").tolist())
    (tmp_path / "own.csv").write_text(f'image,digit\n{folder}/7/1.png,7\n"{numbers}",3\ndrawn:0,0\n')
    found = read(Source(tmp_path / "own.csv"), tasks.create("mnist")).examples
    assert found.answers == [7, 3, 0]
    np.testing.assert_array_equal(found.inputs[1], kind.check("drawn:3"))
    (tmp_path / "own.jsonl").write_text(f'{{"image": {numbers}, "digit": 3}}\n')
    found = read(Source(tmp_path / "own.jsonl"), tasks.create("mnist")).examples
    np.testing.assert_array_equal(found.inputs[0], kind.check("drawn:3"))


def call(*arguments, stdin=None):
    done = CliRunner().invoke(cli, [str(one) for one in arguments], input=stdin)
    return done.exit_code, done.output


@pytest.mark.skipif("mnist" not in PRESETS, reason="there is no such preset")
def test_training_on_a_folder(folder, tmp_path):
    run = tmp_path / "run"
    small = ["--set", "training.epochs=1", "--set", "model.units=4", "--set", "model.layers=1"]
    code, output = call("train", "mnist", "--data", folder, "-o", run, *small)
    assert code == 0, output
    assert (run / "data" / "7" / "1.png").is_file()
    scores = rnnzoo.evaluate(run)["held_out"]
    assert scores["examples"] == 4 and scores == json.loads((run / "metadata.json").read_text())["metrics"]["held_out"]
    assert call("evaluate", run, "--data", folder)[0] == 0
    code, output = call("predict", run, folder / "7" / "1.png", "--json")
    assert code == 0 and json.loads(output)[0]["answer"] in range(10)


@pytest.mark.parametrize("name", PRESETS)
def test_pictures_end_to_end(name, zoo, exported, folder, tmp_path):
    """`rnnzoo predict mnist FILE.png`, and the same from an export."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is absent")
    paths = [folder / "1" / "1.png", folder / "3" / "2.png", folder / "7" / "0.bmp"]
    expected = [{"input": str(path), "answer": answer} for path, answer in zip(paths, (1, 3, 7), strict=True)]
    export = exported("onnx") / name
    for command in (["predict", name], ["run", export]):
        assert json.loads(call(*command, *paths, "--json")[1]) == expected
        assert json.loads(call(*command, paths[2], "--json")[1]) == expected[2:]
        (tmp_path / "paths.txt").write_text("".join(f"{path}\n" for path in paths))
        assert json.loads(call(*command, tmp_path / "paths.txt", "--json")[1]) == expected
        (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:20])
        code, output = call(*command, tmp_path / "broken.png")
        assert code == 2 and "broken.png: " in output and len(output.splitlines()) == 1
    assert zoo(name).predict(paths) == zoo(name).predict(np.stack(zoo(name).check(paths))) == [1, 3, 7]


@pytest.mark.parametrize("name", PRESETS)
def test_drawn_digits_are_read_right(name, zoo):
    assert zoo(name).predict([f"drawn:{digit}" for digit in range(10)]) == [*range(10)]


@pytest.mark.parametrize("name", PRESETS)
def test_pictures_of_another_form_are_read_nearly_as_well(name, zoo, task):
    """Of the test part, enlarged, in dark ink on grey paper and off their middle: they become nearly what they were."""
    few, dots = task.first_test().take(range(300)), np.ones((4, 4))
    paper = [np.pad(210 - np.kron(one, dots) * 0.7, [(9, 40), (30, 5)], constant_values=210) for one in few.inputs]
    given = [zoo(name).predict(pictures) for pictures in (few.inputs, [normalized(one, bright=True) for one in paper])]
    before, after = (accuracy(answers, few.answers) for answers in given)
    assert after > before - 0.03 > 0.9


@pytest.mark.skipif("mnist-rows" not in PRESETS, reason="there is no such preset")
def test_rows_stream(zoo):
    zoo = zoo("mnist-rows")
    picture = zoo.task.input.check("drawn:7")
    lines = "".join(f"{' '.join(map(str, row))}\n" for row in picture)
    try:
        stream = zoo.stream()
    except rnnzoo.InputError:
        code, output = call("predict", "mnist-rows", "--stream", "-", stdin=lines)
        assert code == 2 and "it cannot stream" in output
        return
    assert list(stream.answers(picture))[-1] == 7
    code, output = call("predict", "mnist-rows", "--stream", "-", stdin=lines)
    assert code == 0 and output.splitlines()[-1] == "7" and len(output.splitlines()) == 28
