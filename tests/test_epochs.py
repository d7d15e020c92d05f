"""A compiled epoch trains as Keras's own `fit` does on the same batches."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.epochs import CompiledEpochs, CompiledScores, make_optimizer, steps_per_epoch

EXAMPLES, BATCH, EPOCHS, TIMESTEPS = 10, 4, 3, 5  # the last batch of an epoch has two examples
LENGTHS = np.array([5, 3, 1, 4, 2, 5, 3, 2, 4, 1])
USED = np.arange(TIMESTEPS) < LENGTHS[:, None]


def recipe(**changes):
    """What `make_optimizer` reads of a preset."""
    given = {
        "optimizer": "adam",
        "learning_rate": 0.02,
        "schedule": "cosine",
        "warmup_epochs": 0.0,
        "clip_norm": 0.5,
        "clip_value": None,
        "momentum": None,
        "weight_decay": None,
        "recurrent_rate": None,
        "average": None,
        "curriculum": None,
        "epochs": EPOCHS,
    }
    return types.SimpleNamespace(**{**given, **changes})


def right(targets, outputs, weights):
    """(batch,) bool: of the first timestep, or of all, the first output is positive where the target is, or is odd."""
    first = tf.reshape(outputs, (tf.shape(outputs)[0], -1))[:, 0]
    target = tf.reshape(targets, (tf.shape(targets)[0], -1))[:, 0]
    return (first > 0) == (target % 2 == 1 if target.dtype.is_integer else target > 0)


def one_number(rng):
    """A number read off ragged vectors, by mean squared error; every example counts in full."""
    model = rnnzoo.many_to_one(features=2, outputs=1, units=3, mask_value=-2.0)
    inputs = np.where(USED[..., None], rng.normal(size=(EXAMPLES, TIMESTEPS, 2)), -2.0).astype("float32")
    targets = rng.normal(size=(EXAMPLES, 1)).astype("float32")
    return model, "MeanSquaredError", inputs, targets, np.ones(EXAMPLES, "float32"), recipe()


def tagged_tokens(rng):
    """A class for every token, each timestep of its own weight; at padding, which has none, the targets are nonsense."""
    model = rnnzoo.many_to_many(vocabulary_size=5, outputs=3, units=3, bidirectional=True)
    inputs = np.where(USED, rng.integers(1, 5, USED.shape), 0).astype("int32")
    targets = rng.integers(0, 3, USED.shape).astype("int32")
    weights = (rng.uniform(0.2, 2.0, USED.shape) * USED).astype("float32")
    return model, "SparseCategoricalCrossentropy", inputs, targets, weights, recipe(clip_norm=0.1)


def translated_tokens(rng):
    """Two inputs, embeddings, no clipping, no schedule, and a frozen encoder."""
    model = rnnzoo.encoder_decoder(
        vocabulary_size=6, embedding=2, target_vocabulary_size=5, target_embedding=2, outputs=5, units=3
    )
    model.get_layer("encoder").trainable = False
    source = np.where(USED, rng.integers(1, 6, USED.shape), 0).astype("int32")
    targets = np.where(USED[::-1], rng.integers(1, 5, USED.shape), 0).astype("int32")
    fed = np.concatenate([np.full((EXAMPLES, 1), 1), targets[:, :-1]], axis=1) * (targets != 0)
    inputs = {"source": source, "target": fed.astype("int32")}
    plain = recipe(clip_norm=None, schedule="constant")
    return model, "SparseCategoricalCrossentropy", inputs, targets, USED[::-1].astype("float32"), plain


PROBLEMS = [one_number, tagged_tokens, translated_tokens]


@pytest.fixture(params=PROBLEMS, ids=lambda problem: problem.__name__)
def problem(request, rng):
    """A model and all that it takes to train it."""
    keras.utils.set_random_seed(20)
    return request.param(rng)


def the_loss(name):
    logits = {"from_logits": True} if "Crossentropy" in name else {}
    return getattr(keras.losses, name)(reduction="mean_with_sample_weight", **logits)


def compiled_epochs(problem, batch_size=BATCH, model=None, **changes):
    given, loss, inputs, targets, weights, how = problem
    how = types.SimpleNamespace(**{**vars(how), **changes})
    optimizer = make_optimizer(how, steps_per_epoch(EXAMPLES, batch_size))
    model = model or given
    return CompiledEpochs(model, the_loss(loss), optimizer, inputs, targets, weights, batch_size=batch_size, correct=right)


def orders():
    """The order of the examples in each epoch."""
    return [np.random.default_rng([7, epoch]).permutation(EXAMPLES) for epoch in range(EPOCHS)]


def clone(model):
    """A model with weights of its own, the same values, and the same layers frozen."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer, original in zip(copy.layers, model.layers, strict=True):
        layer.trainable = original.trainable
    return copy


def test_weights_are_those_of_fit(problem):
    model, loss, inputs, targets, weights, how = problem
    before, twin = model.get_weights(), clone(model)
    assert len(twin.trainable_weights) == len(model.trainable_weights)
    optimizer = make_optimizer(how, steps_per_epoch(EXAMPLES, BATCH))
    twin.compile(optimizer=optimizer, loss=the_loss(loss), jit_compile=False)
    for order in orders():
        x, y, w = tf.nest.map_structure(lambda array, order=order: array[order], (inputs, targets, weights))
        twin.fit(x, y, sample_weight=w, batch_size=BATCH, shuffle=False, verbose=0)

    epochs = compiled_epochs(problem)
    for order in orders():
        epochs.run(order)

    assert epochs.steps == 3
    assert int(epochs.optimizer.iterations) == int(optimizer.iterations) == EPOCHS * epochs.steps
    for old, ours, fitted, weight in zip(before, model.get_weights(), twin.get_weights(), model.weights, strict=True):
        np.testing.assert_allclose(ours, fitted, rtol=0, atol=1e-6, err_msg=weight.path)
        moved = np.abs(ours - old).max()
        frozen = id(weight) not in {id(trainable) for trainable in model.trainable_weights}
        assert moved == 0 if frozen else moved > 1e-3, weight.path

    # At a learning rate of nothing, which is where a cosine ends, every batch is seen by the same weights.
    if how.schedule == "constant":
        epochs.optimizer.learning_rate = 1e-12
    assert_loss_and_share_are_those_of_the_examples(problem, epochs.run(orders()[0]))
    for ours, trained in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, trained, rtol=0, atol=1e-6)


def assert_loss_and_share_are_those_of_the_examples(problem, figures):
    model, loss, inputs, targets, weights, _ = problem
    outputs = model(inputs).numpy()
    if loss == "MeanSquaredError":
        values = ((outputs - targets) ** 2).mean(-1)
    else:
        logs = np.log(np.exp(outputs).sum(-1))
        values = logs - np.take_along_axis(outputs, targets[..., None], -1)[..., 0]
    correct = np.asarray(right(tf.constant(targets), tf.constant(outputs), weights))
    assert 0 < correct.mean() < 1
    np.testing.assert_allclose(figures, [(values * weights).sum() / weights.sum(), correct.mean()], rtol=1e-5)


def test_the_loss_falls_from_epoch_to_epoch(rng):
    epochs = compiled_epochs(one_number(rng), schedule="constant", clip_norm=None)
    losses = [epochs.run(order)[0] for order in orders() * 10]
    assert losses[-1] < 0.8 * losses[0]


def test_the_loss_is_that_of_training(rng):
    """Where units are dropped, and not that of the model as it predicts."""
    _, loss, inputs, targets, weights, how = one_number(rng)
    model = rnnzoo.many_to_one(features=2, outputs=1, units=3, mask_value=-2.0, dropout=0.5)
    predicted = ((model(inputs).numpy() - targets) ** 2).mean()
    figures = compiled_epochs((model, loss, inputs, targets, weights, how), learning_rate=1e-12).run(orders()[0])
    assert abs(figures[0] - predicted) > 1e-3


@pytest.mark.slow
def test_two_runs_are_bit_identical(rng):
    problem = one_number(rng)
    runs = []
    for model in (problem[0], clone(problem[0])):
        epochs = compiled_epochs(problem, model=model)
        runs.append(([epochs.run(order) for order in orders()], model.get_weights()))
    assert runs[0][0] == runs[1][0]
    for one, two in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_batch_larger_than_the_data_is_all_of_it(rng):
    """And weights may be in double precision, as `numpy.ones` gives them."""
    model, loss, inputs, targets, weights, how = one_number(rng)
    expected = ((model(inputs).numpy() - targets) ** 2).mean()
    epochs = compiled_epochs((model, loss, inputs, targets, weights.astype("float64"), how), batch_size=1000)
    assert (epochs.batch_size, epochs.steps) == (EXAMPLES, 1)
    np.testing.assert_allclose(epochs.run(orders()[0])[0], expected, rtol=1e-5)
    assert int(epochs.optimizer.iterations) == 1


def test_sequences_of_about_one_length_and_streamed_data_lose_nothing(rng, monkeypatch):
    """At a learning rate of next to nothing the figures are those of all examples, whatever batches they are in."""
    monkeypatch.setattr("rnnzoo.epochs.STREAMED_STEPS", 1)
    model, loss, inputs, targets, weights, _ = one_number(rng)
    outputs = model(inputs).numpy()
    expected = [((outputs - targets) ** 2).mean(), np.asarray(right(tf.constant(targets), outputs, weights)).mean()]
    optimizer, how = keras.optimizers.SGD(1e-12), {"batch_size": BATCH, "lengths": LENGTHS, "in_memory": False}
    epochs = CompiledEpochs(model, the_loss(loss), optimizer, inputs, targets, weights, correct=right, **how)
    assert len(epochs._epochs.buckets.widths) > 1
    np.testing.assert_allclose(epochs.run(orders()[0]), expected, rtol=1e-5)
    assert int(optimizer.iterations) == epochs.steps


# The optimizer


def rates(optimizer, steps):
    """The learning rate at each step."""
    schedule = optimizer._learning_rate
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return [float(optimizer.learning_rate)] * steps
    return [float(schedule(step)) for step in range(steps)]


def test_the_cosine_schedule_decays_to_zero_over_all_steps():
    got = rates(make_optimizer(recipe(epochs=5), steps=4), 21)
    np.testing.assert_allclose(got, 0.01 * (1 + np.cos(np.pi * np.arange(21) / 20)), atol=1e-8)


def test_warmup_climbs_to_the_learning_rate():
    flat = rates(make_optimizer(recipe(epochs=5, warmup_epochs=0.5, schedule="constant"), steps=4), 20)
    np.testing.assert_allclose(flat, [0.0, 0.01, *[0.02] * 18], atol=1e-8)
    decaying = rates(make_optimizer(recipe(epochs=5, warmup_epochs=0.5), steps=4), 21)
    np.testing.assert_allclose(decaying[:3], [0.0, 0.01, 0.02], atol=1e-8)
    assert decaying[-1] == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize(
    "problem", [one_number, *(pytest.param(one, marks=pytest.mark.slow) for one in PROBLEMS[1:])], indirect=True
)
def test_the_average_is_that_of_the_weights_after_every_step(problem):
    model = problem[0]
    plain, epochs = (
        compiled_epochs(problem, batch_size=EXAMPLES, model=clone(model)),
        compiled_epochs(problem, batch_size=EXAMPLES, average=0.7),
    )
    average = None
    for order in orders():  # an epoch is a step
        plain.run(order)
        epochs.run(order)
        now = [variable.numpy() for variable in plain.model.trainable_variables]
        average = now if average is None else [0.7 * a + 0.3 * w for a, w in zip(average, now, strict=True)]
    for ours, theirs in zip(model.trainable_variables, now, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)
    with epochs.averaged():
        for ours, theirs in zip(model.trainable_variables, average, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)
    for ours, theirs in zip(model.trainable_variables, now, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)
    epochs.average()
    for ours, theirs in zip(model.trainable_variables, average, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


def test_scores_are_those_of_evaluate_and_train_nothing(problem):
    model, loss, inputs, targets, weights, _ = problem
    before, model_of_its_own = model.get_weights(), clone(model)
    model_of_its_own.compile(loss=the_loss(loss), jit_compile=False)
    expected = model_of_its_own.evaluate(inputs, targets, sample_weight=weights, batch_size=EXAMPLES, verbose=0)
    scores = CompiledScores(model, the_loss(loss), inputs, targets, weights, batch_size=BATCH, correct=right)
    for _ in range(2):
        got, share = scores.run()
        assert got == pytest.approx(expected, rel=1e-5)
        assert share == np.mean(right(targets, tf.constant(model(inputs)), weights))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_other_arrays_can_take_the_place_of_the_first():
    model = rnnzoo.one_to_one(features=1, outputs=1, units=1, activation="linear", use_bias=False, readout_bias=False)
    model.set_weights([np.ones(weights.shape) for weights in model.get_weights()])
    first, second = np.ones((3, 1), "float32"), np.full((3, 1), 2.0, "float32")
    optimizer = make_optimizer(recipe(optimizer="sgd", learning_rate=1e-9), steps=1)
    epochs = CompiledEpochs(
        model, the_loss("MeanSquaredError"), optimizer, first, first, np.ones(3), batch_size=2, correct=right
    )
    assert epochs.run()[0] == pytest.approx(0.0, abs=1e-6)
    epochs.replace(second, first, np.ones(3))
    assert epochs.run()[0] == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_the_optimizer_is_the_one_named_with_its_rate_and_clipping(name):
    optimizer = make_optimizer(recipe(optimizer=name, schedule="constant", clip_norm=0.25), steps=4)
    assert type(optimizer).__name__.lower() == name
    assert rates(optimizer, 1) == [pytest.approx(0.02)]
    assert optimizer.global_clipnorm == 0.25
    assert make_optimizer(recipe(optimizer=name, clip_norm=None), steps=4).global_clipnorm is None


def test_the_optimizer_has_what_the_recipe_says():
    given = {
        "optimizer": "sgd",
        "clip_norm": None,
        "clip_value": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "average": 0.99,
    }
    optimizer = make_optimizer(recipe(**given), steps=4)
    assert (optimizer.clipvalue, optimizer.momentum, optimizer.weight_decay) == (0.1, 0.9, 0.01)
    assert optimizer.use_ema and optimizer.ema_momentum == 0.99
    assert not make_optimizer(recipe(), steps=4).use_ema
    with pytest.raises(rnnzoo.InputError, match=r"training\.momentum: the optimizer 'adam' has none"):
        make_optimizer(recipe(momentum=0.5), steps=4)
    with pytest.raises(rnnzoo.InputError, match=r"training\.clip_value: give either clip_norm or clip_value"):
        make_optimizer(recipe(clip_value=0.5), steps=4)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_recurrent_kernels_learn_at_a_rate_of_their_own(name, rng):
    """All else goes where it goes without it, and they so many times as far."""
    model = rnnzoo.many_to_one(features=2, outputs=1, units=3, layers=2)
    start = [rng.normal(size=weight.shape) for weight in model.weights]
    gradients = [tf.constant(rng.normal(size=weight.shape), "float32") for weight in model.weights]
    moved = {}
    for factor in (None, 0.25):
        model.set_weights(start)
        given = {"optimizer": name, "clip_norm": 1.0, "recurrent_rate": factor, "average": 0.5}
        optimizer = make_optimizer(recipe(**given), steps=4)
        optimizer.build(model.trainable_variables)
        apply = functools.partial(optimizer.apply, gradients, model.trainable_variables)
        for _ in range(3):
            tf.function(apply, jit_compile=True, autograph=False)()
        optimizer.finalize_variable_values(model.trainable_variables)
        moved[factor] = [after - before for after, before in zip(model.get_weights(), start, strict=True)]
    for variable, plain, other in zip(model.weights, *moved.values(), strict=True):
        share = 0.25 if variable.path.endswith("/recurrent_kernel") else 1.0
        np.testing.assert_allclose(other, share * plain, rtol=1e-4, atol=1e-6)


def test_steps_hold_every_example():
    assert [steps_per_epoch(examples, 4) for examples in (1, 4, 5, 8, 9)] == [1, 1, 2, 2, 3]


def test_smoothed_labels(rng):
    """As Keras's own on one-hot targets; at padding and in every reduction."""
    from rnnzoo.losses import SmoothedCrossentropy

    logits, targets = rng.normal(size=(3, 4, 5)).astype("float32"), rng.integers(0, 5, (3, 4)).astype("int32")
    weights = rng.integers(0, 2, (3, 4)).astype("float32")
    for reduction in ("mean_with_sample_weight", "sum"):
        ours = SmoothedCrossentropy(0.2, reduction=reduction)(targets, logits, weights)
        keras_own = keras.losses.CategoricalCrossentropy(True, label_smoothing=0.2, reduction=reduction)
        np.testing.assert_allclose(ours, keras_own(np.eye(5, dtype="float32")[targets], logits, weights), rtol=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossentropy(0.2)))
    assert again.label_smoothing == 0.2


def test_smoothing_goes_with_class_numbers():
    from rnnzoo.epochs import make_loss
    from rnnzoo.registry import load_preset

    smoothed = load_preset("seven-segment", ["training.label_smoothing=0.1"])
    assert make_loss(smoothed).label_smoothing == 0.1
    assert type(make_loss(smoothed, plain=True)) is keras.losses.SparseCategoricalCrossentropy
    with pytest.raises(rnnzoo.InputError, match="label_smoothing goes with the loss sparse_categorical_crossentropy"):
        make_loss(load_preset("digit-sum", ["training.label_smoothing=0.1"]))


def test_rare_labels_can_count_more():
    from rnnzoo.recipes import _balanced

    targets, weights = np.array([[0, 0, 1], [0, 0, 2]], np.int32), np.array([[1, 1, 1], [1, 1, 0]], np.float32)
    np.testing.assert_allclose(_balanced(targets, weights, 1.0), np.array([[1, 1, 4], [1, 1, 0]]) * 5 / 8)
    np.testing.assert_allclose(_balanced(targets, weights, 0.5), np.array([[1, 1, 2], [1, 1, 0]]) * 5 / 6)
    with pytest.raises(rnnzoo.InputError, match="balance goes with answers that are labels"):
        _balanced(np.zeros((2, 1), np.float32), np.ones(2, np.float32), 0.5)
