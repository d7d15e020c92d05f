"""Every architecture's model is an ordinary Keras model: it saves, clones, exports, trains.

That `fit` trains it, as Keras compiles it unasked, is in `tests/test_fitting.py`, which compares.
"""

import keras
import numpy as np
import tensorflow as tf


def test_a_saved_model_gives_bitwise_the_same(variant, rng, tmp_path):
    """Without custom objects: the package's layers are registered."""
    variant.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = variant.inputs(rng)
    np.testing.assert_array_equal(variant.run(inputs, loaded), variant.run(inputs))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in variant.model.layers]
    assert loaded.output_names == variant.model.output_names
    # What masks the loss is still attached.
    masks = [getattr(model(variant.feed(inputs)), "_keras_mask", None) for model in (loaded, variant.model)]
    assert (masks[0] is None) == (masks[1] is None)
    if masks[0] is not None:
        np.testing.assert_array_equal(*masks)


def test_a_weights_file_fits_a_model_built_anew(full, rng, tmp_path):
    full.model.save_weights(tmp_path / "model.weights.h5")
    other = full.fresh()
    other.set_weights([np.zeros(weight.shape) for weight in other.weights])
    other.load_weights(tmp_path / "model.weights.h5")
    inputs = full.inputs(rng)
    np.testing.assert_array_equal(full.run(inputs, other), full.run(inputs))


def test_a_clone_has_weights_of_its_own_and_computes_the_same(full, rng):
    clone = keras.models.clone_model(full.model)
    assert not {id(weight) for weight in clone.weights} & {id(weight) for weight in full.model.weights}
    clone.set_weights(full.model.get_weights())
    inputs = full.inputs(rng)
    np.testing.assert_array_equal(full.run(inputs, clone), full.run(inputs))


def assert_export_computes_the_same(variant, rng, folder):
    """As a SavedModel, for another batch size and other lengths too."""
    variant.model.export(folder, verbose=False)
    served = tf.saved_model.load(folder)
    for inputs in (variant.inputs(rng), variant.inputs(rng, {"source": (3, 7), "target": (6, 2), "inputs": (4, 2)})):
        result = served.serve(tf.nest.map_structure(tf.constant, variant.feed(inputs)))
        np.testing.assert_allclose(result, variant.run(inputs), rtol=1e-5, atol=1e-6)


def test_an_export_of_the_plain_model_computes_the_same(plain, rng, tmp_path):
    assert_export_computes_the_same(plain, rng, tmp_path / "export")


def test_an_export_with_every_option_computes_the_same(full, rng, tmp_path):
    assert_export_computes_the_same(full, rng, tmp_path / "export")


def test_a_training_step_with_every_option_is_finite(full, rng):
    model, inputs = full.fresh(dropout=0.2, recurrent_dropout=0.2), full.inputs(rng)
    model.compile(optimizer="adam", loss="mean_squared_error", metrics=["mae"], run_eagerly=True)
    before = model.get_weights()
    y = np.zeros(full.run(inputs).shape, "float32")
    losses = model.fit(full.feed(inputs), y, batch_size=3, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    for old, weight in zip(before, model.weights, strict=True):
        if weight.trainable:
            assert np.abs(weight.numpy() - old).max() > 0, weight.path
            assert np.isfinite(weight.numpy()).all(), weight.path
    figures = model.evaluate(full.feed(inputs), y, batch_size=3, verbose=0, return_dict=True)
    assert set(figures) == {"loss", "mae"}
    assert np.isfinite(list(figures.values())).all()
