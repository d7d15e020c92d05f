"""Raw input of every kind, and what is wrong with it."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.serving import CompiledAnswers, padded_length
from rnnzoo.tasks._inputs import TextInput


@pytest.fixture(scope="module")
def digit_sum(zoo):
    return zoo("digit-sum")


@pytest.mark.parametrize(
    ("preset", "raw", "answers"),
    [
        ("digit-sum", ["1294", "77"], [16, 14]),
        ("digit-sum-running", ["1294", "77"], [[1, 3, 12, 16], [7, 14]]),
        ("digit-sum-both-ways", ["1294", "7"], [[(1, 16), (3, 15), (12, 13), (16, 4)], [(7, 7)]]),
        ("digit-sum-of-sums", ["1294", "77"], [32, 21]),
        ("digit-sum-seq2seq", ["1294", "77"], ["16", "14"]),
        ("addition", ["535+61", "123+456"], ["596", "579"]),
        ("number-spelling", [2345, "77"], ["two thousand three hundred forty-five", "seventy-seven"]),
        ("seven-segment", ["1110111", "0010010"], [0, 1]),
    ],
)
def test_known_answers(preset, raw, answers, zoo):
    predicted = zoo(preset).predict(raw)
    assert predicted == answers

    def types(value):
        return [types(v) for v in value] if isinstance(value, list | tuple) else type(value)

    assert types(predicted) == types(answers)  # plain Python values, not tensors or NumPy scalars


@pytest.mark.parametrize(
    "inputs",
    [
        ["1204", "77"],
        ("1204", "77"),
        [b"1204", b"77"],
        [1204, 77],
        np.array(["1204", "77"]),
        np.array([1204, 77]),
        tf.constant(["1204", "77"]),
        [["1", "2", "0", "4"], ["7", "7"]],
        [[1, 2, 0, 4], [7, 7]],
        [np.array([1, 2, 0, 4]), (7, 7)],
        tf.ragged.constant([[1, 2, 0, 4], [7, 7]]),
        tf.strings.unicode_split(tf.constant(["1204", "77"]), "UTF-8"),
        np.array([[1, 2, 10, 4], [7, 7, 0, 0]]),
        np.array([[1, 2, 10, 4], [0, 0, 7, 7]]),
        tf.constant([[1, 2, 10, 4], [7, 7, 0, 0]]),
        np.array([["1", "2", "0", "4"], ["7", "7", "", ""]]),
        (text for text in ("1204", "77")),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_every_kind_of_container(inputs, zoo):
    running = zoo("digit-sum-running")
    assert running.predict(inputs) == [[1, 3, 3, 7], [7, 14]]


def test_vectors_in_arrays(zoo):
    segments = np.array([[1, 1, 1, 0, 1, 1, 1], [0, 0, 1, 0, 0, 1, 0]])
    zoo = zoo("seven-segment")
    assert zoo.predict(segments) == zoo.predict(segments.astype(float)) == zoo.predict(segments.tolist()) == [0, 1]
    assert zoo.scores(segments).shape == (2, 10)


def test_one_sample_and_none(digit_sum):
    assert digit_sum.predict("1294") == digit_sum.predict(1294) == [16]
    assert digit_sum.predict([]) == []
    assert len(digit_sum.scores([])) == 0


@pytest.mark.parametrize(
    ("preset", "inputs", "message"),
    [
        ("digit-sum", ["12", "12a4"], "input 2: 'a' at position 3 of '12a4'; expected a string of digits"),
        ("digit-sum", ["12", ""], "input 2: the digits are empty"),
        ("digit-sum", ["1２"], "'２' at position 2"),
        ("digit-sum", ["12\n"], "at position 3"),
        ("digit-sum", ["-5"], "'-' at position 1"),
        ("digit-sum", [1.5], "float 1.5 is no text"),
        ("digit-sum", [True], "bool True is no text"),
        ("digit-sum", [None], "NoneType None is no text"),
        ("digit-sum", [[1, 12]], "12 at position 2 is no token id"),
        ("digit-sum", [[]], "input 1: the digits are empty"),
        ("digit-sum", np.array([[1, 0, 2]]), "0 at position 2 is padding's id and stands inside"),
        ("digit-sum", np.zeros((2, 3), int), "input 1: the digits are empty"),
        ("digit-sum", np.zeros((2, 3, 4)), r"an array of shape \(2, 3, 4\)"),
        ("addition", ["12-3"], "'-' at position 3"),
        ("addition", ["1234+5"], "'1234\\+5' is not of the right form"),
        ("addition", ["007+5"], "no leading zeros"),
        ("addition", ["12"], "right form"),
        ("number-spelling", [10000], "10000 is out of range; expected a whole number from 0 to 9999"),
        ("number-spelling", [-1], "out of range"),
        ("number-spelling", ["1" * 5000], "too many digits"),
        ("number-spelling", ["12x"], "'x' at position 3"),
        ("number-spelling", [1.5], "out of range"),
        ("number-spelling", [float("nan")], "out of range"),
        ("number-spelling", [""], "empty"),
        ("seven-segment", ["111011"], "'111011' is not of the right form"),
        ("seven-segment", ["1110112"], "'2' at position 7"),
        ("seven-segment", [1], "right form"),
    ],
)
def test_bad_input(preset, inputs, message, zoo):
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        zoo(preset).predict(inputs)
    assert "\n" not in str(error.value)


def test_batches_are_bounded_and_in_order(digit_sum, monkeypatch):
    from rnnzoo import answering

    monkeypatch.setattr(answering, "SAMPLES", 3)
    monkeypatch.setattr(answering, "TIMESTEPS", 12)
    texts = ["9" * n for n in (1, 7, 2, 30, 4, 4, 5, 1)]
    done = []
    assert digit_sum.predict(texts, done.append) == [9 * len(text) for text in texts]
    assert sum(done) == len(texts) and max(done) <= 3


def test_iterated_answers_are_the_same(digit_sum, zoo):
    texts = ["9" * n for n in (1, 7, 2, 30, 4, 4, 5, 1)]
    for chunk in (1, 3, 8, 100):
        assert list(digit_sum.predict_iter(iter(texts), chunk=chunk)) == digit_sum.predict(texts)
    assert list(digit_sum.predict_iter([])) == []
    running = zoo("digit-sum-running")
    assert list(running.predict_iter(iter([[1, 2, 0, 4], [7, 7]]), chunk=1)) == [[1, 3, 3, 7], [7, 14]]


def test_iterated_inputs_are_read_as_they_are_needed(digit_sum, monkeypatch):
    """From inputs without end, never more than a chunk ahead, and fewer where they are long."""
    from rnnzoo import answering

    taken = []

    def endless(length):
        while True:
            taken.append("1" * length)
            yield taken[-1]

    for number, answer in zip(range(20), digit_sum.predict_iter(endless(2), chunk=5), strict=False):
        assert answer == 2 and number < len(taken) <= number + 5
    taken.clear()
    monkeypatch.setattr(answering, "CHUNK_TIMESTEPS", 50)
    assert next(digit_sum.predict_iter(endless(20), chunk=1000)) == 20
    assert len(taken) == 3


@pytest.mark.parametrize("wrong", [1, 2, 3, 4, 7])
def test_a_wrong_input_is_met_after_the_answers_before_it(digit_sum, wrong):
    texts = ["12"] * (wrong - 1) + ["x"] + ["12"] * 5
    answers = digit_sum.predict_iter(iter(texts), chunk=3)
    assert [next(answers) for _ in range(wrong - 1)] == [3] * (wrong - 1)
    with pytest.raises(rnnzoo.InputError, match=f"^digit-sum: input {wrong}: 'x' at position 1"):
        next(answers)
    with pytest.raises(rnnzoo.InputError, match=f"^row {wrong}: 'x' at position 1"):
        list(digit_sum.predict_iter(texts, where=lambda number: f"row {number}"))


def test_a_chunk_of_nothing_is_refused(digit_sum):
    with pytest.raises(rnnzoo.InputError, match="chunk must be a positive integer, not 0"):
        digit_sum.predict_iter(["1"], chunk=0)


def test_no_retracing(digit_sum):
    for texts in (["1"], ["12", "345"], ["9" * 50] * 5):
        digit_sum.predict(texts)
    assert digit_sum._answers.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("preset", rnnzoo.list_presets())
def test_compiled_answers_are_the_same(preset, rng, zoo, monkeypatch):
    """What is asked for again and again is compiled for padded batches and lengths; nothing else may change."""
    lone = zoo(preset)
    monkeypatch.setattr(lone, "_compiled", lambda checked: None)
    zoo = rnnzoo.Predictor(lone.model, lone.preset, lone.task)
    held_out = zoo.task.raw_inputs()
    for count in (1, 3, 32, 33):
        inputs = [held_out[i] for i in rng.integers(0, len(held_out), count)]
        right = lone.predict(inputs)
        for _ in range(4):
            assert zoo.predict(inputs) == right
    if zoo.task.answer.generated:  # written step by step, by a loop that may end anywhere
        assert not zoo._compiled._compiled


def test_compiled_answers_are_exact_at_every_length(digit_sum, rng):
    zoo = rnnzoo.from_preset("digit-sum")
    for length in (1, 8, 9, 100, 4096):
        text = "".join(map(str, rng.integers(0, 10, length)))
        for _ in range(4):
            assert zoo.predict([text]) == [sum(map(int, text))]
    assert len(zoo._compiled._compiled) == 4  # 1 and 8 share one


@pytest.mark.parametrize("options", [{}, {"end_token": True}, {"reverse": True}, {"end_token": True, "reverse": True}])
def test_token_ids_are_those_of_the_front(digit_sum, options):
    """Predicting single texts does in NumPy what the exported graph does in TensorFlow."""
    text_input = TextInput("digits", "0123456789٣", "[0-9٣]+", "digits", "1", **options)
    compiled = CompiledAnswers(SimpleNamespace(task=SimpleNamespace(input=text_input), decoder=None))
    texts = ["1294", "7", "00٣12345678"]
    ids = text_input.front(text_input.tensor(texts)).numpy()
    np.testing.assert_array_equal(compiled.token_ids(texts, *ids.shape), ids)
    padded = compiled.token_ids(texts, 4, ids.shape[1] + 3)
    assert (padded[3] == 0).all() and (padded[:, ids.shape[1] :] == 0).all()


def test_what_is_compiled_is_bounded(monkeypatch):
    """One trace, and few buckets over all lengths; none of them for a lone prediction or a long text."""
    zoo = rnnzoo.from_preset("digit-sum")
    zoo.predict(["1" * 5000] * 4)
    for length in (1, 30, 1, 30, 1, 30):  # never three times in a row
        zoo.predict(["1" * length])
    assert zoo._compiled._function is None
    traced = []
    answers_of = zoo._compiled._serving.answers_of
    monkeypatch.setattr(zoo._compiled._serving, "answers_of", lambda ids: traced.append(ids.shape) or answers_of(ids))
    for length in range(80, 97):
        zoo.predict(["1" * length])
    assert len(traced) == 1 and zoo._compiled._compiled == {(1, 96)}
    assert zoo._answers.experimental_get_tracing_count() == 1
    lengths = range(1, CompiledAnswers.TIMESTEPS + 1)
    assert len(set(map(padded_length, lengths))) < 40
    assert all(length <= padded_length(length) <= max(8, 1.25 * length) for length in lengths)


def test_what_is_met_often_is_compiled_though_never_in_a_row():
    zoo = rnnzoo.from_preset("digit-sum")
    for _ in range(CompiledAnswers.IN_ALL):
        assert zoo.predict(["1" * 20]) + zoo.predict(["1" * 30]) == [20, 30]
    assert zoo._compiled._compiled == {(1, 20), (1, 32)}


def test_compiled_answers_follow_the_weights():
    zoo = rnnzoo.from_preset("digit-sum")
    for _ in range(4):
        assert zoo.predict(["1294"]) == [16]
    assert zoo._compiled._compiled
    zoo.model.get_layer("readout").set_weights([2 * w for w in zoo.model.get_layer("readout").get_weights()])
    assert zoo.predict(["1294"]) == [32]


def test_what_xla_does_not_know_runs_as_before():
    zoo = rnnzoo.from_preset("digit-sum")
    zoo._compiled._serving = SimpleNamespace(
        answers_of=lambda ids: {"sum": tf.strings.length(tf.strings.as_string(ids[:, 0]))}
    )
    for _ in range(5):
        assert zoo.predict(["1294"]) == [16]
    assert not zoo._compiled._compiled


def test_scores_of_sequences_are_padded_with_zeros(zoo):
    scores = zoo("digit-sum-running").scores(["12", "3456"])
    np.testing.assert_allclose(scores[:, :, 0], [[1, 3, 0, 0], [3, 7, 12, 18]])
    assert zoo("addition").scores(["1+2", "999+1"]).ndim == 3


def test_a_preset_without_weights(tmp_path):
    preset = rnnzoo.load_preset("digit-sum")
    (tmp_path / "preset.toml").write_text((preset.folder / "preset.toml").read_text())
    with pytest.raises(rnnzoo.InputError, match="no trained weights yet"):
        rnnzoo.from_preset(tmp_path)
