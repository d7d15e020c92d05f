"""Handwritten sums: sequences of pictures as inputs, how they are drawn and split, and sums end to end."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo import tasks
from rnnzoo.cli.main import cli
from rnnzoo.registry import Source, list_presets
from rnnzoo.tasks._mnist import part
from rnnzoo.userdata import read

needs_preset = pytest.mark.skipif("handwritten-sum" not in list_presets(), reason="there is no such preset")


@pytest.fixture(scope="module")
def kind():
    return tasks.create("handwritten_sum").input


@pytest.fixture(scope="module")
def task():
    made = tasks.create("handwritten_sum", training_examples=2_000)
    made.train()  # skips where the data are absent
    return made


@pytest.fixture
def three_and_nine(kind, tmp_path):
    """The paths of two pictures in files, and the pictures."""
    Image = pytest.importorskip("PIL.Image", reason="the extra `images` is absent")
    pictures = kind.check("drawn:3 drawn:9")
    for name, picture in zip(("three.png", "number nine.png"), pictures, strict=True):
        Image.fromarray(picture).save(tmp_path / name)
    return tmp_path / "three.png", tmp_path / "number nine.png", pictures


# What goes in


def test_one_sequence_in_many_forms(kind, three_and_nine, monkeypatch):
    three, nine, pictures = three_and_nine
    assert pictures.shape == (2, 28, 28) and pictures.dtype == np.uint8
    ways = [
        "drawn:3\tdrawn:9 ",
        ["drawn:3", "drawn:9"],
        ("drawn:3", pictures[1]),
        pictures,
        pictures / 255,
        pictures.tolist(),
        json.dumps(pictures.tolist()),
        json.dumps([str(three), str(nine)]),
        [three, str(nine).encode()],
        f"{three} drawn:9".encode(),
    ]
    for way in ways:
        np.testing.assert_array_equal(kind.check(way), pictures)
    np.testing.assert_array_equal(kind.check(str(nine)), pictures[1:])  # a file whose name has a blank in it
    np.testing.assert_array_equal(kind.check(nine), pictures[1:])
    assert len({picture.tobytes() for picture in kind.check("drawn:0 drawn:1 drawn:2 drawn:3")}) == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("", "there are no pictures; expected the paths of pictures with blanks between them"),
        ("   ", "there are no pictures"),
        ([], "there are no pictures"),
        (np.zeros((0, 28, 28), np.uint8), "there are no pictures"),
        ("[", "'\\[' is no JSON"),
        ("[1", "is no JSON"),
        ("drawn:3 drawn:x", "picture 2: 'drawn:x'; expected one of drawn:0 to drawn:9"),
        ("drawn:3 gone.png", "picture 2: gone.png: no such file"),
        (np.zeros((2, 28, 28), np.uint8), "picture 1: blank"),
        (np.zeros((2, 28, 27), np.uint8), "picture 1: numbers of shape"),
        (7, "'7' is no sequence"),
        (None, "'None' is no sequence"),
        ({"a": 1}, "is no sequence"),
        ([1, 2], "picture 1: "),
    ],
)
def test_what_is_refused(wrong, message, kind):
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        kind.check(wrong)
    assert ("\n" not in str(error.value) and "expected" in str(error.value)) or "blank" in str(error.value)


def test_batches(kind, three_and_nine):
    """Of arrays and of texts; pictures of zeros at the end of a row are padding."""
    *_, pictures = three_and_nine
    batch = np.zeros((2, 3, 28, 28), np.uint8)
    batch[0, :2], batch[1, :1] = pictures, pictures[1:]
    rows = [kind.check(raw) for raw in kind.each(batch)]
    assert list(map(len, rows)) == [2, 1]
    np.testing.assert_array_equal(kind.tensor(rows), batch[:, :2])
    np.testing.assert_allclose(kind.front(kind.tensor(rows)), batch[:, :2].reshape(2, 2, 784) / 255, rtol=1e-6)
    assert [len(kind.check(raw)) for raw in kind.each("drawn:3 drawn:9")] == [2]
    with pytest.raises(rnnzoo.InputError, match=r"shape \(2, 28, 28\); expected \(batch, timesteps, 28, 28\)"):
        list(kind.each(pictures))
    np.testing.assert_array_equal(kind.timestep("drawn:3"), pictures[0].reshape(-1) * np.float32(1 / 255))


# What is drawn


def test_sums_are_those_of_the_pictures(task):
    for examples, name in ((task.train(), "train"), (task.validation(), "validation"), (task.first_test(), "held_out")):
        digits = {picture.tobytes(): int(digit) for picture, digit in zip(*part(name), strict=True)}
        assert [sum(digits[one.tobytes()] for one in raw) for raw in examples.inputs] == examples.answers
        lengths = np.bincount([len(raw) for raw in examples.inputs], minlength=5)
        assert lengths[0] == 0 and len(lengths) == 5
        assert np.abs(lengths[1:] / len(examples.inputs) - 0.25).max() < 0.04
    assert len(task.train().inputs) == 2_000


@pytest.mark.parametrize("test", ["held_out", "length_5", "length_8"])
def test_each_picture_is_held_out_once(test, task):
    examples = task.tests()[test]()
    pictures = [picture.tobytes() for raw in examples.inputs for picture in raw]
    assert len(set(pictures)) == len(pictures) and len(pictures) > 9_996
    if test != "held_out":
        assert {len(raw) for raw in examples.inputs} == {int(test.removeprefix("length_"))}


def test_a_curriculum_begins_with_every_picture(task):
    first, then, again = task.up_to(1, 0), task.up_to(2, 1), task.up_to(2, 2)
    assert len(first.inputs) == 55_000 and {len(raw) for raw in first.inputs} == {1}
    assert first.answers == part("train")[1].tolist()
    assert {len(raw) for raw in then.inputs} == {1, 2} and then.answers != again.answers
    assert task.up_to(2, 1).answers == then.answers


def test_padding_is_not_moved(task):
    raw = task.train().inputs[:40]
    inputs = task.input.front(task.input.tensor(raw)).numpy()
    targets, weights = task.answer.targets(task.train().answers[:40])
    moved, *rest = task.augment(inputs, targets, weights, np.random.default_rng(0))
    assert rest[0] is targets and rest[1] is weights and moved.shape == inputs.shape
    np.testing.assert_array_equal(moved.any(axis=-1), inputs.any(axis=-1))
    assert (moved != inputs).any()
    for one, other in zip(inputs.reshape(-1, 28, 28), moved.reshape(-1, 28, 28), strict=True):
        wide = np.pad(one, 1)
        assert any((wide[y : y + 28, x : x + 28] == other).all() for y in range(3) for x in range(3))


@pytest.mark.parametrize(
    "options, wrong",
    [
        ({"max_timesteps": 0}, "max_timesteps=0: expected a whole number from 1 to 100"),
        ({"training_examples": 0}, "training_examples=0: expected at least 1"),
        ({"training_examples": 250_001}, "training_examples=250001: expected at most 250,000 of up to 4 timesteps each"),
    ],
)
def test_options_out_of_range(options, wrong):
    with pytest.raises(rnnzoo.InputError, match=wrong):
        tasks.create("handwritten_sum", **options)


def test_examples_in_a_table(three_and_nine, tmp_path):
    three, nine, pictures = three_and_nine
    (tmp_path / "own.csv").write_text(f"pictures,sum\n{three} drawn:9,12\ndrawn:7,7\n")
    (tmp_path / "own.jsonl").write_text(json.dumps({"pictures": [str(three), str(nine)], "sum": 12}) + "\n")
    for name, answers in (("own.csv", [12, 7]), ("own.jsonl", [12])):
        found = read(Source(tmp_path / name), tasks.create("handwritten_sum")).examples
        assert found.answers == answers
        np.testing.assert_array_equal(found.inputs[0], pictures)


# End to end


@needs_preset
def test_sums_end_to_end(zoo, three_and_nine):
    three, nine, pictures = three_and_nine
    zoo = zoo("handwritten-sum")
    assert zoo.predict(["drawn:7", f"{three} drawn:9", [three, nine], pictures]) == [7, 12, 12, 12]
    assert list(zoo.stream().answers([three, nine, "drawn:1"])) == [3, 12, 13]
    done = CliRunner().invoke(cli, ["predict", "handwritten-sum", f"{three} drawn:9", str(nine), "--json"])
    assert done.exit_code == 0 and [one["answer"] for one in json.loads(done.output)] == [12, 9]
    done = CliRunner().invoke(cli, ["predict", "handwritten-sum", "drawn:7 gone.png"])
    assert done.exit_code == 2 and "picture 2: gone.png: no such file" in done.output
    assert len(done.output.splitlines()) == 1
