"""Every task that is found: its examples, its front and its back."""

import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo import tasks
from rnnzoo.registry import list_tasks
from rnnzoo.tasks._task import key
from rnnzoo.tasks.number_spelling import spell


def plain(examples):
    return [key(raw) for raw in examples.inputs]


EVERY = pytest.mark.parametrize("name", list_tasks())


@pytest.fixture(scope="module", autouse=True)
def cached():
    made = {}

    def create(name):
        if name not in made:
            task = tasks.create(name)
            made[name] = task, task.train(), task.first_test()
        return made[name]

    return create


@EVERY
def test_the_split(name, cached):
    task, train, held_out = cached(name)
    again = tasks.create(name)
    assert plain(train) == plain(again.train()) and held_out.answers == again.first_test().answers
    assert len(train.inputs) == len(train.answers) and len(held_out.inputs) > 0
    if task.input.kind == "constant":  # which says nothing
        assert not set(train.answers) & set(held_out.answers)
    elif name not in ("seven_segment", "worked_example"):  # there are only 128 displays, and only one example
        assert not set(map(key, train.inputs)) & set(map(key, held_out.inputs))
    assert next(iter(task.tests())) == ("example" if name == "worked_example" else "held_out")


@EVERY
def test_inputs_pass_their_own_check(name, cached):
    task, train, held_out = cached(name)
    for raw in (*train.inputs[:200], *held_out.inputs[:200]):
        np.testing.assert_array_equal(task.input.check(raw), raw)
    assert task.input.check(task.input.example) is not None


@EVERY
def test_targets_read_back_as_answers(name, cached):
    """A model whose outputs are the targets gives the right answers: the back undoes the targets."""
    task, train, _ = cached(name)
    examples = train.take(list(range(0, len(train.inputs), max(1, len(train.inputs) // 300))))
    if not getattr(task.answer, "learned", True):  # pieces of words, without which nothing can be written
        task = tasks.create(name)
        task.learn(examples)
    inputs = task.input.front(task.input.tensor(examples.inputs))
    targets, weights = task.answer.targets(examples.answers)
    assert weights.shape == targets.shape[: weights.ndim] and weights.min() >= 0
    outputs = targets
    if np.issubdtype(targets.dtype, np.integer) and not task.answer.generated:
        outputs = np.eye(targets.max() + 1, dtype=np.float32)[targets]
    named = {key: value.numpy() for key, value in task.answer.back(tf.constant(outputs), inputs).items()}
    assert task.answer.answers(named) == examples.answers
    logits = np.eye(targets.max() + 1, dtype=np.float32)[targets] if targets.dtype == np.int32 else targets
    assert task.answer.correct(targets, tf.constant(logits), weights).numpy().all()
    if targets.dtype != np.int32:
        assert not task.answer.correct(targets, tf.constant(logits + 1), weights).numpy().any()


@EVERY
def test_answers_parse_from_their_own_text(name, cached):
    task, train, _ = cached(name)

    def text(answer):
        if isinstance(answer, list):
            return " ".join(":".join(map(str, step)) if isinstance(step, tuple) else str(step) for step in answer)
        return str(answer)

    for answer in train.answers[:100]:
        assert task.answer.parse(text(answer)) == answer
    if task.learns:  # before, any label may be one
        task.learn(train)
    with pytest.raises(rnnzoo.InputError):
        task.answer.parse("\0")


@EVERY
def test_front_in_a_batch_is_the_front_alone(name, cached):
    task, train, _ = cached(name)
    inputs = train.inputs[:: max(1, len(train.inputs) // 20)]
    batch = task.input.front(task.input.tensor(inputs)).numpy()
    for raw, row in zip(inputs, batch, strict=True):
        alone = task.input.front(task.input.tensor([raw])).numpy()[0]
        assert (row[: len(alone)] == alone).all() and (row[len(alone) :] == getattr(task.input, "mask_value", 0)).all()


def test_known_answers():
    solve = {name: tasks.create(name).solve for name in list_tasks() if name.startswith("digit_sum")}
    digits = [1, 2, 9, 4]
    assert solve["digit_sum"](digits) == 16
    assert solve["digit_sum_running"](digits) == [1, 3, 12, 16]
    assert solve["digit_sum_both_ways"](digits) == [(1, 16), (3, 15), (12, 13), (16, 4)]
    assert solve["digit_sum_of_sums"](digits) == 32
    assert solve["digit_sum_text"](digits) == "16"
    assert [spell(n) for n in (0, 13, 40, 77, 100, 1294, 2000, 3005, 9999)] == [
        "zero",
        "thirteen",
        "forty",
        "seventy-seven",
        "one hundred",
        "one thousand two hundred ninety-four",
        "two thousand",
        "three thousand five",
        "nine thousand nine hundred ninety-nine",
    ]


def test_digit_strings_are_all_there(cached):
    _, train, held_out = cached("digit_sum")
    assert sorted(train.inputs + held_out.inputs) == sorted(f"{i:0{n}}" for n in (1, 2, 3, 4) for i in range(10**n))
    assert len(held_out.inputs) == round(0.2 * 11_110)
    tests = tasks.create("digit_sum").tests()
    assert len(tests["length_5"]().inputs) == 100_000
    for length in (10, 100, 1000):
        inputs = tests[f"length_{length}"]().inputs
        assert len(inputs) == 1000 and "9" * length in inputs and {len(text) for text in inputs} == {length}


def test_addition_pairs(cached):
    _, train, held_out = cached("addition")
    assert (len(train.inputs), len(held_out.inputs)) == (50_000, 5_000)
    unordered = [frozenset(raw.split("+")) for raw in train.inputs + held_out.inputs]
    assert len(set(unordered)) == 55_000
    for raw, answer in zip(train.inputs, train.answers, strict=True):
        assert sum(map(int, raw.split("+"))) == int(answer)


def test_the_bayes_rate(cached):
    """0.74, as Breiman et al. 1984 have it: the best error rate is 26 %."""
    task, train, _ = cached("seven_segment")
    assert task.bayes_rate() == pytest.approx(0.74, abs=5e-4)
    assert tasks.create("seven_segment", noise=0.0).bayes_rate() == pytest.approx(1.0)
    examples = task.tests()["every_display"]()
    assert examples.weights.sum() == pytest.approx(1.0)
    best = {d: max(range(10), key=lambda a, d=d: -differences(task, d, a)) for d in set(examples.inputs)}
    score = task.score(examples, [best[d] for d in examples.inputs])
    assert score["accuracy"] == pytest.approx(task.bayes_rate())
    flips = np.mean([differences(task, d, a) for d, a in zip(train.inputs, train.answers, strict=True)]) / 7
    assert flips == pytest.approx(0.1, abs=0.005)


def differences(task, display, digit):
    from rnnzoo.tasks.seven_segment import SEGMENTS

    return sum(a != b for a, b in zip(display, SEGMENTS[digit], strict=True))


def test_rare_sums_are_oversampled():
    from collections import Counter

    plain = Counter(tasks.create("digit_sum_text").train().answers)
    more = Counter(tasks.create("digit_sum_text", oversample=100).train().answers)
    assert plain["1"] < 100 and all(count >= 100 for count in more.values())
    assert all(more[answer] == count for answer, count in plain.items() if count >= 100)


def test_short_numbers_are_repeated():
    plain = tasks.create("number_spelling").train().inputs
    more = tasks.create("number_spelling", repeat_short=3).train().inputs
    assert set(plain) == set(more)
    assert all(more.count(n) == 3 ** (4 - len(str(n))) for n in plain[:50])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("digit_sum", {"max_timesteps": 9}),
        ("digit_sum", {"min_timesteps": 3, "max_timesteps": 2}),
        ("digit_sum_text", {"oversample": -1}),
        ("addition", {"training_pairs": 0}),
        ("addition", {"training_pairs": 10**6}),
        ("number_spelling", {"repeat_short": 0}),
        ("seven_segment", {"noise": 0.5}),
        ("seven_segment", {"training_displays": 0}),
    ],
)
def test_options_out_of_range(name, options):
    with pytest.raises(rnnzoo.InputError, match="expected"):
        tasks.create(name, **options)


def test_one_more_task_is_one_more_module(tmp_path, monkeypatch):
    """A module beside the others is found, read and created without any list."""
    from rnnzoo import _signatures

    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "digit_product.py").write_text(
        "from rnnzoo.tasks.digit_sum import DigitSum\n\n\nclass DigitProduct(DigitSum):\n    pass\n"
    )
    monkeypatch.setattr(_signatures, "PACKAGE", tmp_path)
    assert list_tasks() == ["digit_product"]
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path / "tasks")])
    assert tasks.create("digit_product").solve([2, 3]) == 5
