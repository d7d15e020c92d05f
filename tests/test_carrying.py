"""Truncated backpropagation through time against the same by hand, and texts that are read in pieces against whole ones."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo import checkpoints, epochs, results
from rnnzoo.architectures import many_to_many
from rnnzoo.building import build, create_task
from rnnzoo.carrying import CarriedEpochs, CarriedScores, pieces, steps_of
from rnnzoo.layers import reference
from rnnzoo.likelihood import nats
from rnnzoo.predicting import Predictor
from rnnzoo.recipes import prepare
from rnnzoo.registry import load_preset
from rnnzoo.sampling import log_softmax
from rnnzoo.tasks._next import NextCharacterAnswer
from rnnzoo.tasks._task import Examples


@pytest.mark.parametrize(("timesteps", "streams", "truncate"), [(1, 1, 1), (50, 4, 5), (57, 3, 4), (9, 8, 2), (5, 2, 16)])
def test_every_timestep_is_in_one_piece(timesteps, streams, truncate):
    sequence = np.arange(1, timesteps + 1), np.arange(1, timesteps + 1) * 10, np.ones(timesteps, np.float32)
    steps = steps_of(timesteps, streams, truncate)
    for offset in range(min(truncate, timesteps)):
        inputs, targets, weights = pieces(sequence, streams, truncate, steps, offset, padding=-1)
        assert inputs.shape == targets.shape == weights.shape == (steps * streams, truncate)
        by_stream = inputs.reshape(steps, streams, truncate).swapaxes(0, 1).reshape(streams, -1)
        read = np.concatenate([row[row != -1] for row in by_stream])
        assert read.tolist() == list(range(offset + 1, offset + 1 + len(read)))  # in order, none twice
        assert timesteps - len(read) < truncate or timesteps < truncate
        assert ((inputs == -1) == (weights == 0)).all() and (targets == np.where(inputs == -1, 0, inputs * 10)).all()
        assert weights.reshape(steps, -1).any(axis=1).all()  # no step of padding alone
    steps = steps_of(timesteps, streams, truncate, moves=False)
    inputs, _, weights = pieces(sequence, streams, truncate, steps)
    assert weights.sum() == timesteps and set(inputs[weights > 0]) == set(sequence[0])
    assert weights.reshape(steps, -1).any(axis=1).all()


def by_hand(weights, ids, targets, counts, states, rate, layers):
    """One step of truncated backpropagation in NumPy: its loss, and the states it leaves; the weights are changed."""
    batch, timesteps = ids.shape
    x = np.zeros((batch, timesteps, len(weights[0])))
    x[np.arange(batch)[:, None], np.arange(timesteps), np.maximum(ids - 1, 0)] = ids > 0
    mask, read, before = ids > 0, [x], states
    for i in range(layers):
        read.append(reference.forward(read[-1], *weights[3 * i : 3 * i + 3], mask=mask, initial_state=before[i]))
    kernel, bias = weights[3 * layers :]
    log_p = log_softmax(read[-1] @ kernel + bias)
    total = counts.sum()
    loss = -(np.take_along_axis(log_p, targets[..., None], -1)[..., 0] * counts).sum() / total
    d_logits = (np.exp(log_p) - np.eye(log_p.shape[-1])[targets]) * counts[..., None] / total
    gradients = [np.einsum("btu,bto->uo", read[-1], d_logits), d_logits.sum((0, 1))]
    d_states = d_logits @ kernel.T
    for i in reversed(range(layers)):
        found = reference.backward(
            read[i], read[i + 1], d_states, *weights[3 * i : 3 * i + 2], mask=mask, initial_state=before[i]
        )
        gradients = [found["kernel"], found["recurrent_kernel"], found["bias"], *gradients]
        d_states = found["x"]  # and the states that the piece before left get none
    for weight, gradient in zip(weights, gradients, strict=True):
        weight -= rate * gradient
    return loss, [h[:, -1] for h in read[1:]]


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")


@pytest.mark.parametrize("layers", [1, 2])
def test_an_epoch_is_what_it_is_by_hand(layers, rng, monkeypatch):
    monkeypatch.setattr(epochs, "knows_xla", lambda model: layers == 2)  # one of them without
    keras.utils.set_random_seed(3)
    model = rnnzoo.many_to_many(outputs=4, vocabulary_size=6, units=5, layers=layers)
    text, targets = rng.integers(1, 6, 43).astype(np.int32), rng.integers(0, 4, 43).astype(np.int32)
    training = CarriedEpochs(
        many_to_many.carried(model),
        loss(),
        keras.optimizers.SGD(0.5),
        text,
        targets,
        np.ones(43),
        batch_size=3,
        truncate=4,
        examples=1,
        correct=NextCharacterAnswer("next", "abcd").correct,
    )
    weights = [weight.astype(np.float64) for weight in model.get_weights()]
    for epoch in range(2):
        offset = int(np.random.default_rng(epoch).integers(4))
        cut = pieces((text, targets, np.ones(43)), 3, 4, steps_of(43, 3, 4), offset)
        steps = [part.reshape(-1, 3, 4) for part in cut]
        states, total, counted = [np.zeros((3, 5))] * layers, 0.0, 0.0
        for ids, wanted, counts in zip(*steps, strict=True):
            of_step, states = by_hand(weights, ids, wanted, counts, states, 0.5, layers)
            total, counted = total + of_step * counts.sum(), counted + counts.sum()
        found, _ = training.run(training.order(np.random.default_rng(epoch)))
        assert found == pytest.approx(total / counted, rel=1e-5)
        for weight, expected in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)
    assert counted >= 40 and len(steps[0]) == 4


def test_a_text_in_pieces_is_the_text(rng):
    """One stream, with the state carried all through: loss and share of right ones are those of the whole text at once."""
    model = rnnzoo.many_to_many(outputs=4, vocabulary_size=6, units=5, layers=2, dropout=0.5, readout_dropout=0.5)
    text, targets = rng.integers(1, 6, 50).astype(np.int32), rng.integers(0, 4, 50).astype(np.int32)
    outputs = model(text[None]).numpy()[0]
    cost = -np.take_along_axis(log_softmax(outputs), targets[:, None], -1).mean()
    scores = CarriedScores(
        many_to_many.carried(model),
        loss(),
        text,
        targets,
        np.ones(50),
        batch_size=1,
        truncate=8,
        examples=1,
        correct=NextCharacterAnswer("next", "abcd").correct,
    )
    for _ in range(2):  # the state does not outlive an epoch
        np.testing.assert_allclose(scores.run(), (cost, (outputs.argmax(-1) == targets).mean()), rtol=1e-5)


def test_carried_takes_and_gives_states(rng):
    model = rnnzoo.many_to_many(outputs=3, features=2, units=4, layers=2)
    x = rng.normal(size=(2, 9, 2)).astype(np.float32)
    whole, states, parts = model(x).numpy(), {"state": tf.zeros((2, 4)), "state_2": tf.zeros((2, 4))}, []
    for part in (x[:, :4], x[:, 4:5], x[:, 5:]):
        states = many_to_many.carried(model)({"inputs": tf.constant(part), **states})
        parts.append(states.pop("outputs"))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-5, atol=1e-6)
    both_ways = rnnzoo.many_to_many(outputs=3, features=2, bidirectional=True)
    with pytest.raises(rnnzoo.InputError, match="no state is carried"):
        many_to_many.carried(both_ways)


RUNNING = [
    "training.truncate=16",
    "training.epochs=4",
    "training.round_weights=false",
    "training.learning_rate=0.001",
    "task_options.max_timesteps=3",
    "model.units=8",
    "model.activation=tanh",
    "model.recurrent_initializer=orthogonal",
    "model.dropout=0.2",
    "model.readout_dropout=0.2",
]


def test_a_recipe_that_carries_the_state(monkeypatch):
    """Any task with an answer at each timestep: its examples, in their order, as one sequence."""
    monkeypatch.setattr(epochs, "knows_xla", lambda model: False)
    preset = load_preset("digit-sum-running", RUNNING)
    task = create_task(preset)
    examples = Examples(["12", "345", "6"], [[1, 3], [3, 7, 12], [6]])
    training = prepare(preset, build(preset, seed=0), task, examples)
    assert isinstance(training, CarriedEpochs) and training.examples == 3 and training.steps == 1
    inputs, targets, weights = training.data
    assert tf.squeeze(targets).numpy()[weights.numpy() > 0].tolist() == [1, 3, 3, 7, 12, 6]
    assert inputs.numpy()[weights.numpy() > 0].tolist() == [1, 2, 3, 4, 5, 6]
    before = training.model.get_weights()
    training.run(training.order(np.random.default_rng(0)))
    assert any((a != b).any() for a, b in zip(before, training.model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("digit-sum", ["training.truncate=4"], "needs an answer at every timestep of a many_to_many"),
        ("digit-sum-both-ways", ["training.truncate=4"], "needs an answer at every timestep of a many_to_many"),
        ("digit-sum-running", ["training.truncate=0"], "training.truncate: should be greater"),
        ("digit-sum-running", ["training.truncate=4", "training.curriculum.timesteps=[2]"], "no curriculum over lengths"),
    ],
)
def test_what_cannot_be_truncated(name, overrides, message, tmp_path):
    with pytest.raises(rnnzoo.InputError, match=message):
        rnnzoo.train(name, run_dir=tmp_path / "run", overrides=overrides)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_ended_within_an_epoch(tmp_path, monkeypatch):
    """A run goes on from the last checkpoint, and the state begins anew with the epoch: the bits are the same."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "TIMES", 0.0)
    monkeypatch.setattr(epochs, "knows_xla", lambda model: False)
    monkeypatch.setattr(epochs, "SECONDS_A_CALL", 0.0)  # asked after every step
    monkeypatch.setattr(results, "write_saved_model", lambda predictor, folder: None)
    monkeypatch.setattr(results, "evaluate", lambda predictor, progress: {"held_out": {"examples": 1, "exact_match": 0.0}})
    overrides = [*RUNNING, "training.batch_size=8"]
    rnnzoo.train("digit-sum-running", run_dir=tmp_path / "whole", overrides=overrides)
    check, run, kept_epochs = checkpoints.Checkpoints.check, tmp_path / "run", []
    for number, begin in (
        (25, lambda: rnnzoo.train("digit-sum-running", run_dir=run, overrides=overrides)),
        (30, lambda: rnnzoo.resume(run)),
    ):
        calls = itertools.count()

        def stop(kept, calls=calls, number=number):
            check(kept)
            if next(calls) == number:
                kept_epochs.append(kept.epochs)
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(checkpoints.Checkpoints, "check", stop)
            with pytest.raises(KeyboardInterrupt):
                begin()
    rnnzoo.resume(run)
    assert kept_epochs == [1, 2]  # within the second and the fourth epoch
    assert (run / "model.weights.h5").read_bytes() == (tmp_path / "whole" / "model.weights.h5").read_bytes()


# What answers cost


def untrained(name):
    preset = load_preset(name)
    task = create_task(preset)
    return Predictor(build(preset, seed=1), preset, task)


@pytest.mark.slow
def test_nats_of_a_text():
    """Of the passages as one text, wherever it is cut."""
    predictor, text = untrained("shakespeare"), "First Citizen:\nBefore we proceed any further, hear me speak.\n" * 12
    outputs = predictor.model(predictor.task.input.front(tf.constant([text[:-1]]))).numpy()[0]
    came = [predictor.task.answer.alphabet.index(character) for character in text[1:]]
    expected = -np.take_along_axis(log_softmax(outputs.astype(np.float64)), np.array(came)[:, None], -1).mean()
    parts, done = list(itertools.pairwise([0, 3, 50, len(text) - 1])), []
    examples = Examples([text[a:b] for a, b in parts], [text[a + 1 : b + 1] for a, b in parts])
    assert nats(predictor, examples, done.append) == pytest.approx(expected, rel=1e-5)
    assert sum(done) == len(parts) and len(text) > 512  # more than a piece


def test_nats_of_names():
    """Letter by letter from the decoder itself, the first and the end among them, padding's id left out."""
    predictor, names = untrained("baby-names"), ["emma", "li", "maximilian"]
    decoder, total = predictor.serving.decoder, 0.0
    for name in names:
        fed, states = tf.constant([0]), decoder.start(tf.ones((1, 1)))
        for token in predictor.task.answer.targets([name])[0][0]:
            states = dict(decoder.step({"fed": fed, **states}))
            total -= log_softmax(states.pop("outputs").numpy()[0, 1:].astype(np.float64))[token - 1]
            fed = tf.constant([token])
    found = nats(predictor, Examples(["start"] * 3, names), lambda done: None)
    assert found == pytest.approx(total / sum(len(name) + 1 for name in names), rel=1e-5)
