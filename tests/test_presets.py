"""The contract of every preset that is found, and of the weights that ship with it."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.building import create_task, load_trained
from rnnzoo.cards import card, reaches, results_csv, results_page
from rnnzoo.curves import is_of
from rnnzoo.decoding import Decoder
from rnnzoo.drawing import draw
from rnnzoo.epochs import CompiledEpochs
from rnnzoo.files import sha256
from rnnzoo.recipes import prepare as prepare_recipe
from rnnzoo.registry import (
    CARD,
    CURVE,
    DIAGRAM,
    HISTORY,
    METADATA,
    SEEDS,
    WEIGHTS,
    list_presets,
    load_preset,
    presets_folder,
)


def heavy_is_slow(names):
    """The names, those of presets that took over a minute to train marked as slow: they take longest here, too."""
    heavy = {name for name in names if load_preset(name).metadata()["training_seconds"] > 60}
    return [pytest.param(name, marks=pytest.mark.slow) if name in heavy else name for name in names]


EVERY = pytest.mark.parametrize("name", list_presets())
SEQUENCES = [
    name
    for name in list_presets()
    if load_preset(name).architecture != "one_to_one" and create_task(load_preset(name)).input.pads
]

# Pixels are allowed ninety minutes; translation takes half an hour on one core, beside other work a minute more.
LONGER = {"mnist-pixels": 5400, "translation": 1900}


def few(task, count=24):
    """Some training examples of different lengths."""
    examples = task.train()
    return examples.take(np.linspace(0, len(examples.inputs) - 1, count).astype(int).tolist())


def prepare(preset, model, task, examples):
    """The epochs of a recipe, its examples each for itself: where they are read as one text, see `test_carrying`."""
    alone = preset.training.model_copy(update={"truncate": None})
    return prepare_recipe(preset.model_copy(update={"training": alone}), model, task, examples)


@EVERY
def test_weights_ship_whole(name):
    preset = load_preset(name)
    path, metadata = preset.folder / WEIGHTS, preset.metadata()
    assert path.stat().st_size < 2_000_000
    assert sha256(path) == metadata["weights_sha256"]
    assert metadata["preset_sha256"] == preset.fingerprint()
    assert metadata["parameters"] == rnnzoo.build(preset).count_params()
    assert {"rnnzoo_version", "keras_version", "tensorflow_version", "seed", "dataset", "training_seconds"} <= set(metadata)
    assert metadata["training_seconds"] < LONGER.get(name, 1800)
    assert metadata["rounded"] == preset.training.round_weights


@pytest.mark.parametrize("name", heavy_is_slow(list_presets()))
def test_the_metrics_are_reproduced(name, zoo):
    """`rnnzoo evaluate` gives what `metadata.json` says, to the last digit."""
    assert rnnzoo.evaluate(zoo(name)) == load_preset(name).metadata()["metrics"]


@EVERY
def test_the_weights_reach_what_is_expected(name):
    preset = load_preset(name)
    metrics = preset.metadata()["metrics"]
    first = next(iter(metrics))
    assert preset.metric in metrics[first]
    for key, value in preset.expected.items():
        for metric, bar in (value if isinstance(value, dict) else {key: value}).items():
            assert reaches(metric, metrics[key if isinstance(value, dict) else first][metric], bar)


@EVERY
def test_seeds(name):
    """At least three seeds, unless a training takes over ten minutes; the one that ships is the preset's own."""
    preset = load_preset(name)
    seeds = json.loads((preset.folder / SEEDS).read_text())["seeds"]
    assert len(seeds) >= 3 or preset.metadata()["training_seconds"] > 600
    assert seeds[str(preset.training.seed)] == preset.metadata()["metrics"]


@EVERY
def test_the_card_is_current(name, tmp_path):
    preset = load_preset(name)
    seeds = json.loads((preset.folder / SEEDS).read_text())
    assert (preset.folder / CARD).read_text() == card(preset, preset.metadata(), seeds), (
        "run `python benchmarks/scores.py --tables`"
    )
    assert preset.limits, "a card says what the preset cannot do"
    if name not in ("addition", "number-spelling"):  # trained before histories were kept
        assert is_of(preset.folder / CURVE, preset.folder / HISTORY), "run `python benchmarks/scores.py --tables`"
    pytest.importorskip("matplotlib", reason="drawing is the extra `plot`")
    draw(rnnzoo.build(preset), tmp_path / DIAGRAM)
    drawn, shown = (
        re.findall(r"<text.*?>(.*?)</text>", path.read_text()) for path in (tmp_path / DIAGRAM, preset.folder / DIAGRAM)
    )
    assert drawn == shown, "run `python benchmarks/scores.py --tables`"


def test_the_tables_of_results_are_current():
    for name, text in (("RESULTS.md", results_page()), ("results.csv", results_csv())):
        assert (presets_folder() / name).read_text() == text, "run `python benchmarks/scores.py --tables`"


def test_weights_are_small():
    """At most 2 MB a preset, and 12 MB in all."""
    sizes = [(load_preset(name).folder / WEIGHTS).stat().st_size for name in list_presets()]
    assert max(sizes) <= 2e6 and sum(sizes) <= 12e6


@EVERY
def test_same_seed_same_start(name):
    first, second, other = (rnnzoo.build(name, seed=seed).get_weights() for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    written = load_preset(name).initial
    assert written or any((a != b).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", heavy_is_slow(list_presets()))
def test_keras_round_trip_is_exact(name, zoo, tmp_path):
    predictor = zoo(name)
    model = predictor.model
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in model.layers)
    inputs = prepare(predictor.preset, model, predictor.task, few(predictor.task)).data[0]
    inputs = inputs["inputs"] if load_preset(name).architecture == "one_to_many" else inputs
    assert (model(inputs).numpy() == loaded(inputs).numpy()).all()
    again = rnnzoo.Predictor(loaded, predictor.preset, predictor.task)
    raw = few(predictor.task).inputs
    assert again.predict(raw) == predictor.predict(raw)


@pytest.mark.parametrize("name", heavy_is_slow(list_presets()))
def test_every_weight_gets_a_gradient(name, zoo):
    preset, task = load_preset(name), zoo(name).task
    model = rnnzoo.build(preset, seed=0)
    _, gradients = loss_and_gradients(prepare(preset, model, task, few(task, 60)))
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.abs(gradient).max() > 0, variable.path


def loss_and_gradients(epochs):
    inputs, targets, weights = epochs.data
    with tf.GradientTape() as tape:
        outputs = epochs.model(inputs, training=True)
        loss = epochs.loss(targets, outputs, weights)
    gradients = tape.gradient(loss, epochs.model.trainable_variables)
    return loss.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


def padded(array, architecture, key, mask_value=None):
    """Two more timesteps of padding on the right, where the array has timesteps."""
    if array.ndim == 3 and mask_value is not None:
        return np.pad(array, [(0, 0), (0, 2), (0, 0)], constant_values=mask_value)
    vector = array.ndim < 2 or (architecture == "one_to_many" and key == "inputs") or array.dtype == np.float32
    return array if vector and key != "weights" else np.pad(array, [(0, 0), (0, 2)] + [(0, 0)] * (array.ndim - 2))


@pytest.mark.parametrize("name", heavy_is_slow(SEQUENCES))
def test_padding_is_invisible(name, zoo):
    """Two more steps of padding change no loss, no metric, no gradient and no output that counts."""
    preset = load_preset(name)
    task = zoo(name).task
    # Without dropout, which draws as many numbers as there are timesteps.
    drawing_nothing = {key: value for key, value in preset.model.items() if "dropout" not in key}
    model = rnnzoo.build(preset.model_copy(update={"model": drawing_nothing}))
    model.set_weights(load_trained(preset).get_weights())
    epochs = prepare(preset, model, task, few(task))
    inputs, targets, weights = tf.nest.map_structure(lambda t: t.numpy(), epochs.data)
    stepwise = task.answer.per_timestep
    more_inputs = (
        {key: padded(array, preset.architecture, key) for key, array in inputs.items()}
        if isinstance(inputs, dict)
        else padded(inputs, preset.architecture, "ids", getattr(task.input, "mask_value", None))
    )
    pad = ((0, 0), (0, 2))
    more_weights = np.pad(weights, pad) if stepwise else weights
    more_targets = np.pad(targets, [*pad, *[(0, 0)] * (targets.ndim - 2)]) if stepwise else targets
    model_seen = epochs.model

    def standing_still(*data):
        """Epochs that train nothing: a rate of 0."""
        still = keras.optimizers.SGD(0.0)
        return CompiledEpochs(model_seen, epochs.loss, still, *data, batch_size=8, correct=task.answer.correct)

    more = standing_still(more_inputs, more_targets, more_weights)
    loss, gradients = loss_and_gradients(epochs)
    more_loss, more_gradients = loss_and_gradients(more)
    np.testing.assert_allclose(more_loss, loss, rtol=1e-5, atol=1e-10)
    for a, b in zip(gradients, more_gradients, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5 * max(1e-6, np.abs(a).max()))
    outputs, more_outputs = model_seen(epochs.data[0]).numpy(), model_seen(more.data[0]).numpy()
    used = weights.astype(bool)
    if stepwise:
        np.testing.assert_allclose(more_outputs[:, : outputs.shape[1]][used], outputs[used], rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_allclose(more_outputs, outputs, rtol=1e-5, atol=1e-5)
    still = standing_still(inputs, targets, weights)
    order = np.arange(still.examples)
    np.testing.assert_allclose(more.run(order), still.run(order), rtol=1e-5, atol=1e-10)


@EVERY
def test_a_batch_gives_what_its_samples_give_alone(name, zoo):
    predictor = zoo(name)
    raw = few(predictor.task).inputs
    together, each = predictor.predict(raw), [predictor.predict([one])[0] for one in raw]
    if isinstance(together[0], float):
        np.testing.assert_allclose(together, each, rtol=1e-5)
    else:
        assert together == each
    scores = predictor.scores(raw)
    for one, row in zip(raw, scores, strict=True):
        alone = predictor.scores([one])[0]
        np.testing.assert_allclose(row[: len(alone)] if row.ndim == 2 else row, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SEQUENCES)
def test_an_all_padding_row_is_finite(name, zoo):
    model = zoo(name).model
    architecture = zoo(name).preset.architecture
    if architecture == "one_to_many":
        assert np.isfinite(model(np.zeros((2, *model.inputs[0].shape[1:]), np.float32)).numpy()).all()
        return
    value = getattr(zoo(name).task.input, "mask_value", None)
    if value is not None:
        assert np.isfinite(model(np.full((2, 5, *model.inputs[0].shape[2:]), value, np.float32)).numpy()).all()
        return
    ids = {tensor.name: np.zeros((2, 5, *tensor.shape[2:]), np.int32) for tensor in model.inputs}
    ids[next(iter(ids))][0, :3] = 1
    outputs = model(ids if len(ids) > 1 else next(iter(ids.values()))).numpy()
    assert np.isfinite(outputs).all()
    if architecture == "encoder_decoder":
        written, _ = Decoder(model, max_length=6, start_token=1)(next(iter(ids.values())))
        assert written.shape[0] == 2


@pytest.mark.parametrize("name", [n for n in list_presets() if create_task(load_preset(n)).answer.per_timestep])
def test_the_direction_of_time(name, zoo):
    """Changing the last input leaves a causal model's earlier outputs as they were, and changes a bidirectional one's."""
    predictor = zoo(name)
    preset, task = predictor.preset, predictor.task
    if preset.architecture not in ("many_to_many", "bidirectional"):
        epochs = prepare(preset, predictor.model, task, few(task))
        inputs = dict(epochs.data[0])
        before = epochs.model(inputs).numpy()
        changed = inputs["target"].numpy().copy()
        changed[:, -1] = 1 + changed[:, -1] % 3
        after = epochs.model({**inputs, "target": tf.constant(changed)}).numpy()
        np.testing.assert_array_equal(before[:, :-1], after[:, :-1])  # teacher forcing must not leak what is to come
        if preset.architecture == "one_to_many":
            np.testing.assert_array_equal(before, after)  # a step is fed the target of the step before
        return
    if hasattr(task.input, "width"):
        raw = np.random.default_rng(0).normal(size=(5, task.input.width))
        other = np.concatenate([raw[:-1], -3 * raw[-1:]])
        if task.input.kind == "notes":  # which sound or do not
            raw, other = raw > 0, other > 0
        before, after = predictor.scores([raw.astype(float), other.astype(float)])
    else:
        ids = np.array([[6, 6, 6, 6, 2], [6, 6, 6, 6, 3]], np.int32)
        shape = predictor.model.inputs[0].shape
        if len(shape) == 3:  # bags of ids
            ids = np.random.default_rng(0).integers(1, task.input.vocabulary_size, (2, 5, shape[-1])).astype(np.int32)
            ids[1, :-1] = ids[0, :-1]
        before, after = predictor.model(ids).numpy()
    earlier = np.abs(before[:-1] - after[:-1]).max()
    assert earlier > 0.1 if preset.architecture == "bidirectional" else earlier < 1e-6
    assert np.abs(before[-1] - after[-1]).max() > 0.01


EXACT = [name for name in list_presets("digit-sum*") if load_preset(name).training.round_weights]


@pytest.mark.parametrize("name", [name for name in EXACT if name != "digit-sum-of-sums"])
def test_exact_at_length_100_000(name, zoo):
    predictor = zoo(name)
    digits = np.random.default_rng(1).integers(0, 10, 100_000).tolist()
    strings = ["9" * 100_000, "".join(map(str, digits))]
    assert predictor.predict(strings) == [predictor.task.solve([9] * 100_000), predictor.task.solve(digits)]


@pytest.mark.parametrize("name", EXACT)
def test_the_weights_are_integers(name, zoo):
    for weight in zoo(name).model.get_weights():
        np.testing.assert_array_equal(weight, np.round(weight))


def test_the_one_way_twin_cannot_see_what_is_to_come():
    twin = json.loads((load_preset("digit-sum-both-ways").folder / SEEDS).read_text())["twin"]["seeds"]
    assert len(twin) >= 3
    assert all(run["held_out"]["exact_match"] < 0.2 for run in twin.values())


def test_seven_segment_is_within_half_a_point_of_the_bayes_rate():
    for run in json.loads((load_preset("seven-segment").folder / SEEDS).read_text())["seeds"].values():
        assert run["every_display"]["accuracy"] >= run["every_display"]["bayes_rate"] - 0.005


BARS = {  # (mean over seeds, worst seed) that a preset must reach
    "digit-sum-seq2seq": {("held_out", "exact_match"): (0.995, 0.99), ("length_5", "exact_match"): (0.98, 0.98)},
    "addition": {("held_out", "exact_match"): (0.993, 0.993)},
    "number-spelling": {("held_out", "exact_match"): (0.99, 0.99)},
}


@EVERY
def test_the_bars_over_seeds(name):
    from rnnzoo.cards import summary

    figures = summary(json.loads((load_preset(name).folder / SEEDS).read_text()))
    bars = BARS.get(name, {})
    if name in EXACT:
        bars = {key: (1.0, 1.0) for key in figures if key[1] == "exact_match"}
    assert bars or name == "seven-segment" or name not in BARS
    for key, (mean, worst) in bars.items():
        assert figures[key][0] >= mean and figures[key][1] >= worst, (key, figures[key])


@pytest.mark.parametrize("name", list_presets())
def test_damaged_folders(name, tmp_path):
    import shutil

    source = load_preset(name).folder

    def broken(change):
        folder = tmp_path / change.__name__
        shutil.copytree(source, folder)
        change(folder)
        with pytest.raises(rnnzoo.InputError) as error:
            rnnzoo.from_preset(folder)
        assert "\n" not in str(error.value)
        return str(error.value)

    def no_weights(folder):
        (folder / WEIGHTS).unlink()

    def truncated(folder):
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])

    def altered(folder):
        data = bytearray((folder / WEIGHTS).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / WEIGHTS).write_bytes(bytes(data))

    def no_metadata(folder):
        (folder / METADATA).unlink()

    def truncated_metadata(folder):
        (folder / METADATA).write_text((folder / METADATA).read_text()[:50])

    def no_preset(folder):
        (folder / "preset.toml").unlink()

    def another_recipe(folder):
        text = (folder / "preset.toml").read_text()
        (folder / "preset.toml").write_text(text.replace("\nunits = ", "\nunits = 7"))

    def other_weights(folder):
        """Whole weights with the right checksum, but of another shape."""
        other = "addition" if name != "addition" else "digit-sum"
        shutil.copyfile(load_preset(other).folder / WEIGHTS, folder / WEIGHTS)
        metadata = json.loads((folder / METADATA).read_text())
        (folder / METADATA).write_text(json.dumps({**metadata, "weights_sha256": sha256(folder / WEIGHTS)}))

    assert "model.weights.h5: missing" in broken(no_weights)
    assert "checksum" in broken(truncated)
    assert "checksum" in broken(altered)
    assert "metadata.json: missing" in broken(no_metadata)
    assert "metadata.json: damaged" in broken(truncated_metadata)
    assert "preset.toml: missing" in broken(no_preset)
    assert "preset.toml: changed since the weights were trained" in broken(another_recipe)
    assert "do not fit the model" in broken(other_weights)
