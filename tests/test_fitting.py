"""`rnnzoo.fit` trains as `model.fit` does from the same start and in the same order."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo._buckets import choose_buckets, one_bucket, plan_epoch
from rnnzoo.registry import list_architectures

EXAMPLES, BATCH, EPOCHS, TIMESTEPS, SEED = 11, 4, 3, 6, 5  # the last batch of an epoch has three examples
LENGTHS = np.array([6, 2, 1, 5, 2, 6, 3, 2, 1, 1, 2])
USED = np.arange(TIMESTEPS) < LENGTHS[:, None]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(20)


def ragged_vectors(rng):
    """(examples, timesteps, 2), -9 where there is nothing."""
    return np.where(USED[..., None], rng.normal(size=(EXAMPLES, TIMESTEPS, 2)), -9.0).astype("float32")


def two_outputs():
    """A user's model: two inputs, masking, batch normalization, regularization, a schedule, clipping, two losses."""
    sequence, more = keras.Input((None, 2), name="sequence"), keras.Input((2,), name="more")
    x = keras.layers.SimpleRNN(3)(keras.layers.Masking(-9.0)(sequence))
    x = keras.layers.BatchNormalization()(keras.layers.Concatenate()([x, more]))
    x = keras.layers.Dense(3, kernel_regularizer="l2")(x)
    outputs = {"number": keras.layers.Dense(1, name="number")(x), "label": keras.layers.Dense(3, name="label")(x)}
    model = keras.Model({"sequence": sequence, "more": more}, outputs)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 9), global_clipnorm=0.5),
        loss={"number": "mse", "label": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
        loss_weights={"number": 0.5, "label": 1.0},
        metrics={"number": ["mae"], "label": ["accuracy"]},
        weighted_metrics={"number": ["mse"], "label": []},
    )
    return model


def two_outputs_data(rng):
    x = {"sequence": ragged_vectors(rng), "more": rng.normal(size=(EXAMPLES, 2))}
    return x, {"number": rng.normal(size=(EXAMPLES, 1)), "label": rng.integers(0, 3, EXAMPLES)}


def one_output(rate=0.02, **compiled):
    """The least of models: a recurrent layer of the zoo's and a number."""
    model = rnnzoo.many_to_one(features=2, outputs=1, units=2, mask_value=-9.0)
    model.compile(keras.optimizers.SGD(rate), "mse", **compiled)
    return model


def one_output_data(rng):
    return ragged_vectors(rng), rng.normal(size=(EXAMPLES, 1)).astype("float32")


def take(structure, index):
    return keras.tree.map_structure(lambda array: array[index], structure)


def fit_in_order(model, x, y, *, sample_weight):
    """Keras's own `fit` with the batches of `rnnzoo.fit(..., seed=SEED)`; its logs, epoch by epoch."""
    logs = []
    for epoch in range(EPOCHS):
        order = np.random.default_rng([SEED, epoch]).permutation(EXAMPLES)
        data = take({"x": x, "y": y, "sample_weight": sample_weight}, order)
        history = model.fit(**data, batch_size=BATCH, shuffle=False, verbose=0)
        logs.append({name: values[0] for name, values in history.history.items()})
    return logs


def assert_same_weights(model, twin, before=None):
    for ours, theirs, weight in zip(model.get_weights(), twin.get_weights(), model.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6, err_msg=weight.path)
    if before is not None:
        assert any(np.abs(ours - old).max() > 1e-4 for ours, old in zip(model.get_weights(), before, strict=True))


def assert_same_logs(history, logs):
    assert set(history.history) == set(logs[0])
    for name, values in history.history.items():
        np.testing.assert_allclose(values, [log[name] for log in logs], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_a_users_model_with_all_that_keras_offers(rng):
    model, twin = two_outputs(), two_outputs()
    before = model.get_weights()
    twin.set_weights(before)
    x, y = two_outputs_data(rng)
    weights = rng.uniform(0.5, 2.0, EXAMPLES)
    given = {"batch_size": BATCH, "epochs": EPOCHS, "seed": SEED, "verbose": 0}
    history = rnnzoo.fit(model, x, y, sample_weight=weights, **given)
    logs = fit_in_order(twin, x, y, sample_weight=weights)
    assert_same_weights(model, twin, before)
    assert_same_logs(history, logs)
    assert model.history is history and history.epoch == [0, 1, 2]
    assert int(model.optimizer.iterations) == int(twin.optimizer.iterations) == 9


SIZES = {"outputs": 2, "units": 2}
ARGUMENTS = {
    "one_to_one": {"features": 2},
    "one_to_many": {"features": 2, "timesteps": TIMESTEPS},
    "encoder_decoder": {"vocabulary_size": 5, "target_vocabulary_size": 5},
}


@pytest.mark.parametrize("name", list_architectures())
def test_every_factory(name, rng):
    """Ours without XLA, which other tests are for, and Keras's as Keras compiles it unasked, with XLA."""
    arguments = {**SIZES, **ARGUMENTS.get(name, {"features": 2, "mask_value": -9.0})}
    model, twin = getattr(rnnzoo, name)(**arguments), getattr(rnnzoo, name)(**arguments)
    twin.set_weights(model.get_weights())
    x = [
        rng.integers(1, 5, (EXAMPLES, TIMESTEPS)) * USED
        if tensor.dtype == "int32"
        else (ragged_vectors(rng) if len(tensor.shape) == 3 else rng.normal(size=(EXAMPLES, 2)))
        for tensor in model.inputs
    ]
    x = x[0] if len(x) == 1 else dict(zip((tensor.name for tensor in model.inputs), x, strict=True))
    stepwise = len(model.output.shape) == 3
    y = 0.5 * rng.uniform(size=(EXAMPLES, *([TIMESTEPS] if stepwise else []), 2))
    weights = USED.astype("float32") if stepwise else None
    for one in (model, twin):
        one.compile(keras.optimizers.Adam(0.03), "mse", metrics=["mae"])
    before = model.get_weights()
    given = {"batch_size": EXAMPLES, "epochs": EPOCHS, "sample_weight": weights, "shuffle": False, "verbose": 0}
    history = rnnzoo.fit(model, x, y, jit_compile=False, **given)
    theirs = twin.fit(x, y, **given)
    assert_same_weights(model, twin, before)
    for figure in ("loss", "mae"):
        np.testing.assert_allclose(history.history[figure], theirs.history[figure], rtol=2e-5)
    # Keras trains any of them, too.
    first, last = theirs.history, twin.fit(x, y, **{**given, "epochs": 15 - EPOCHS}).history
    assert last["loss"][-1] < 0.9 * first["loss"][0]
    assert last["mae"][-1] < first["mae"][0]


class Stepping(keras.Model):
    """A `train_step` of the user's, that logs what no metric knows: the loss and the size of its last batch."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(self(x, training=True) - y))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"mine": loss, "size": tf.shape(x)[0]}


@pytest.mark.parametrize("batch_size", [BATCH, EXAMPLES])
def test_a_train_step_of_the_users(batch_size, rng):
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1)(inputs)
    model, twin = Stepping(inputs, outputs), keras.models.clone_model(Stepping(inputs, outputs))
    twin.set_weights(model.get_weights())
    x, y = rng.normal(size=(EXAMPLES, 2)), rng.normal(size=(EXAMPLES, 1))
    for one in (model, twin):
        one.compile("sgd", "mse")
    given = {"batch_size": batch_size, "epochs": 2, "shuffle": False, "verbose": 0}
    history, theirs = rnnzoo.fit(model, x, y, **given), twin.fit(x, y, **given)
    assert_same_weights(model, twin)
    assert history.history["size"] == theirs.history["size"] == [EXAMPLES % BATCH if batch_size == BATCH else EXAMPLES] * 2
    np.testing.assert_allclose(history.history["mine"], theirs.history["mine"], rtol=1e-5)


class Seen(keras.metrics.Metric):
    """The sum of the targets that were trained on: which examples, and how often."""

    def __init__(self):
        super().__init__(name="seen")
        self.total = self.add_weight(initializer="zeros")

    def update_state(self, targets, outputs, sample_weight=None):
        self.total.assign_add(tf.reduce_sum(targets))

    def result(self):
        return self.total


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("in_memory", [True, False])
def test_no_example_is_dropped(lengths, in_memory, rng):
    model = one_output(rate=1e-9, metrics=[Seen()])
    y = 2.0 ** np.arange(EXAMPLES)[:, None]
    given = {"lengths": lengths, "in_memory": in_memory, "jit_compile": False, "verbose": 0}
    history = rnnzoo.fit(model, ragged_vectors(rng), y, batch_size=BATCH, epochs=2, **given)
    assert history.history["seen"] == [2.0**EXAMPLES - 1] * 2


def test_class_weight_and_validation_split(rng):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(inputs))
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    x, y = rng.normal(size=(EXAMPLES, 2)), rng.integers(0, 3, EXAMPLES)
    given = {"class_weight": {0: 3.0, 2: 0.5}, "validation_split": 0.3, "validation_freq": 2, "batch_size": BATCH}
    given |= {"epochs": 4, "shuffle": False, "verbose": 0}
    logs = []
    for one, fit in ((model, rnnzoo.fit), (twin, keras.Model.fit)):
        one.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
        logs.append(fit(one, x, y, **given).history)
    assert_same_weights(model, twin)
    assert set(logs[0]) == set(logs[1]) and len(logs[0]["val_loss"]) == 2
    for name in logs[0]:
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-5)


def test_dropout_is_fresh_at_every_step(rng):
    model = rnnzoo.many_to_one(features=2, outputs=1, units=8, dropout=0.5)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = np.ones((8, 3, 2), "float32"), np.zeros((8, 1), "float32")
    history = rnnzoo.fit(model, x, y, batch_size=2, epochs=4, shuffle=False, verbose=0)
    assert len(set(history.history["loss"])) == 4


# The compiled function


def loops(model):
    return list(model.__dict__["_rnnzoo_kept"].loops.values())


def traces(model):
    return sum(loop._function.experimental_get_tracing_count() for loop in loops(model))


def test_it_is_compiled_once_and_again_where_it_must(rng, tmp_path):
    x, y = rng.normal(size=(EXAMPLES, 2)), rng.normal(size=(EXAMPLES, 1))
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(2, name="first")(inputs)))
    model.compile("sgd", "mse")

    def fit():
        rnnzoo.fit(model, x, y, batch_size=BATCH, epochs=2, verbose=0)
        return loops(model)[0]

    loop = fit()
    assert fit() is loop and traces(model) == 1 and loop.jit
    model.get_layer("first").trainable = False
    frozen = model.get_layer("first").get_weights()
    model.compile("sgd", "mse")
    assert fit() is not loop
    np.testing.assert_array_equal(frozen[0], model.get_layer("first").get_weights()[0])
    model.get_layer("first").trainable = True
    model.compile("sgd", "mse")
    fit()
    assert np.abs(frozen[0] - model.get_layer("first").get_weights()[0]).max() > 0
    # What is kept is in nobody's way.
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    model.export(tmp_path / "saved", verbose=False)


def test_what_xla_does_not_know_runs_without_it(rng):
    def unknown_to_xla(targets, outputs):
        found = tf.numpy_function(np.abs, [targets - outputs], tf.float32)
        return tf.ensure_shape(found, outputs.shape)

    model = one_output(metrics=[unknown_to_xla])
    rnnzoo.fit(model, *one_output_data(rng), batch_size=BATCH, verbose=0)
    assert not loops(model)[0].jit and int(model.optimizer.iterations) == 3


# Callbacks


def test_callbacks_run_between_epochs(rng, tmp_path):
    model = one_output()
    events, kernels = [], []

    class Recorder(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            events.append("train")

        def on_epoch_begin(self, epoch, logs=None):
            events.append(epoch)
            self.model.optimizer.learning_rate = 0.0 if epoch == 2 else 0.1

        def on_epoch_end(self, epoch, logs=None):
            kernels.append(self.model.get_weights()[0])

        def on_test_end(self, logs=None):
            events.append("tested")

        def on_train_end(self, logs=None):
            events.append("end")

    x, y = one_output_data(rng)
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)
    given = {"validation_data": (x, y), "verbose": 0, "jit_compile": False, "callbacks": [Recorder(), checkpoint]}
    rnnzoo.fit(model, x, y, batch_size=BATCH, epochs=3, **given)
    assert events == ["train", 0, "tested", 1, "tested", 2, "tested", "end"]
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"{epoch}.weights.h5" for epoch in (1, 2, 3)]
    moved = [np.abs(a - b).max() for a, b in itertools.pairwise(kernels)]
    assert moved[0] > 0 and moved[1] == 0


def test_training_stops_early_and_restores(rng):
    x, y = one_output_data(rng)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    model = one_output(rate=30.0)
    history = rnnzoo.fit(
        model, x, y, epochs=50, validation_data=(x, y), verbose=0, jit_compile=False, callbacks=[stop], batch_size=BATCH
    )
    assert len(history.epoch) < 50
    assert model.evaluate(x, y, verbose=0) == pytest.approx(min(history.history["val_loss"]), rel=1e-4)


def test_a_loss_that_is_not_a_number_stops(rng, capsys):
    x, y = one_output_data(rng)
    given = {"verbose": 0, "jit_compile": False, "callbacks": [keras.callbacks.TerminateOnNaN()]}
    assert len(rnnzoo.fit(one_output(), x, y * np.nan, epochs=5, **given).epoch) == 1


def test_the_bar_moves_once_an_epoch(rng, capsys):
    rnnzoo.fit(one_output(), *one_output_data(rng), batch_size=BATCH, epochs=2, verbose=2, jit_compile=False)
    out = capsys.readouterr().out
    assert "Epoch 2/2" in out and "3/3" in out and "loss: " in out


# Sequences of about one length


@pytest.mark.parametrize(("timesteps", "most"), [(1, 1), (6, 4), (100, 4), (1000, 4)])
def test_buckets_hold_every_sequence_and_save_timesteps(timesteps, most, rng):
    lengths = rng.integers(0, timesteps + 1, 500)
    buckets = choose_buckets(lengths, timesteps)
    assert len(buckets.widths) <= most
    if buckets.widths != (None,):
        widths = np.array(buckets.widths)[buckets.of_example]
        assert (widths >= lengths).all() and widths.sum() <= 0.8 * 500 * timesteps
        assert list(buckets.widths) == sorted(set(buckets.widths)) and max(buckets.widths) >= lengths.max()
    order = rng.permutation(500)
    batches, which, last = plan_epoch(order, 32, buckets)
    assert sorted([*batches.ravel(), *last]) == list(range(500)) and len(last) == 500 % 32
    for batch, bucket in zip(batches, which, strict=True):
        assert buckets.of_example[batch].max() <= bucket


def test_buckets_that_save_little_are_not_made():
    assert choose_buckets(np.full(50, 20), 20).widths == (None,)
    assert choose_buckets(np.r_[np.full(45, 20), np.full(5, 1)], 20).widths == (None,)
    assert choose_buckets(np.r_[np.full(25, 20), np.full(25, 2)], 20).widths == (2, 20)
    assert choose_buckets(np.full(50, 5), 20).widths == (5,)


def test_one_bucket_keeps_the_order(rng):
    order = rng.permutation(11)
    batches, _, last = plan_epoch(order, 4, one_bucket(11))
    np.testing.assert_array_equal([*batches.ravel(), *last], order)


@pytest.mark.slow
def test_a_bucketed_epoch_trains_on_its_batches(rng):
    model, twin = (rnnzoo.many_to_many(features=2, outputs=2, units=2, mask_value=-9.0) for _ in range(2))
    twin.set_weights(model.get_weights())
    x, y, w = ragged_vectors(rng), rng.normal(size=(EXAMPLES, TIMESTEPS, 2)).astype("float32"), USED.astype("float32")
    for one in (model, twin):
        one.compile(keras.optimizers.Adam(0.02), keras.losses.MeanSquaredError("mean_with_sample_weight"))
    before = model.get_weights()
    given = {"sample_weight": w, "lengths": LENGTHS, "batch_size": BATCH, "epochs": EPOCHS, "seed": SEED, "verbose": 0}
    rnnzoo.fit(model, x, y, **given)
    buckets = choose_buckets(LENGTHS, TIMESTEPS)
    assert len(buckets.widths) > 1
    twin_step = tf.function(twin.train_step, autograph=False)
    for epoch in range(EPOCHS):
        plan = plan_epoch(np.random.default_rng([SEED, epoch]).permutation(EXAMPLES), BATCH, buckets)
        for batch, bucket in [*zip(plan.batches, plan.buckets, strict=True), (plan.last, -1)]:
            twin_step(tuple(tf.constant(array[batch][:, : buckets.widths[bucket]]) for array in (x, y, w)))
    assert_same_weights(model, twin, before)


# Data that is not in memory


def test_streamed_arrays_give_the_same_weights(rng, monkeypatch, tmp_path):
    monkeypatch.setattr("rnnzoo.epochs.STREAMED_STEPS", 2)
    model, twin = one_output(), one_output()
    twin.set_weights(model.get_weights())
    x, y = one_output_data(rng)
    stored = np.memmap(tmp_path / "x", "float32", "w+", shape=x.shape)
    stored[:] = x
    given = {"batch_size": 2, "epochs": EPOCHS, "seed": SEED, "verbose": 0, "jit_compile": False}
    assert_same_logs(
        rnnzoo.fit(model, stored, y, in_memory=False, **given),
        [{"loss": loss} for loss in rnnzoo.fit(twin, x, y, **given).history["loss"]],
    )
    assert_same_weights(model, twin)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return -(-len(self.x) // BATCH)

    def __getitem__(self, index):
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return self.x[rows], self.y[rows]


def test_datasets_give_the_weights_of_fit(rng, monkeypatch):
    """With several steps a call, of which the batches are no multiple."""
    monkeypatch.setattr("rnnzoo.fitting.STEPS_A_CALL", 2)
    model, twin = one_output(), one_output()
    twin.set_weights(model.get_weights())
    x, y = one_output_data(rng)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    for data in (dataset, Batches(x, y)):
        ours = rnnzoo.fit(model, data, epochs=2, shuffle=False, validation_data=dataset, verbose=0)
        theirs = twin.fit(data, epochs=2, shuffle=False, validation_data=dataset, verbose=0)
        assert_same_weights(model, twin)
        for name, values in theirs.history.items():
            np.testing.assert_allclose(ours.history[name], values, rtol=1e-5)
    assert model.steps_per_execution == 1 and model.train_function is None


# What is refused


class Watcher(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"callbacks": [Watcher()]}, "Watcher has on_train_batch_end: here a whole epoch is one call"),
        ({"callbacks": [keras.callbacks.LambdaCallback(on_train_batch_end=print)]}, "LambdaCallback has on_train_batch_end"),
        ({"callbacks": [keras.callbacks.ModelCheckpoint("m.keras", save_freq=5)]}, "save_freq=5: here it can be 'epoch'"),
        ({"y": np.zeros((3, 1))}, "same number of examples, at least one, not 11 in x and 3 in y"),
        ({"x": np.zeros((0, 6, 2)), "y": np.zeros((0, 1))}, "at least one, not 0 in x"),
        ({"x": [[1.0, 2.0]] * EXAMPLES}, "x must hold arrays"),
        ({"x": tf.ragged.constant([[1.0], [2.0, 3.0]])}, "make it dense"),
        ({"batch_size": 0}, "batch_size must be a positive integer, not 0"),
        ({"shuffle": "batch"}, "shuffle must be True or False"),
        ({"steps_per_epoch": 3}, "steps_per_epoch goes with a dataset"),
        ({"lengths": np.ones(4, int)}, "lengths must be 11 integers"),
        ({"lengths": np.full(EXAMPLES, 7)}, "lengths go up to 7, and there are 6 timesteps"),
        ({"validation_split": 0.999}, "leaves nothing on one side"),
        ({"class_weight": {0: 1.0}, "sample_weight": np.ones(EXAMPLES)}, "class_weight goes with one output"),
        ({"x": tf.data.Dataset.range(3)}, "y goes with arrays, not with a dataset"),
    ],
)
def test_what_is_refused(arguments, message, rng):
    x, y = one_output_data(rng)
    with pytest.raises(rnnzoo.InputError, match=message):
        rnnzoo.fit(one_output(), **{"x": x, "y": y, "verbose": 0, **arguments})


def test_models_that_are_refused(rng):
    x, y = one_output_data(rng)
    model = rnnzoo.many_to_one(features=2, outputs=1, units=2)
    with pytest.raises(rnnzoo.InputError, match=r"is not compiled: call model\.compile"):
        rnnzoo.fit(model, x, y)
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(rnnzoo.InputError, match="run_eagerly=True"):
        rnnzoo.fit(model, x, y)
    with pytest.raises(rnnzoo.InputError, match=r"expected a keras\.Model, not str"):
        rnnzoo.fit("model", x, y)
    inputs = keras.Input((TIMESTEPS, 2))
    fixed = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    fixed.compile("sgd", "mse")
    with pytest.raises(rnnzoo.InputError, match="no input of the model leaves its timesteps free"):
        rnnzoo.fit(fixed, x, y, lengths=LENGTHS)
    two = rnnzoo.encoder_decoder(vocabulary_size=5, target_vocabulary_size=5, outputs=2, units=2)
    two.compile("sgd", "mse")
    tokens = {"source": np.ones((EXAMPLES, 6), "int32"), "target": np.ones((EXAMPLES, 3), "int32")}
    with pytest.raises(rnnzoo.InputError, match=r"have \[3, 6\] of them"):
        rnnzoo.fit(two, tokens, np.zeros((EXAMPLES, 3, 2)), lengths=LENGTHS)
