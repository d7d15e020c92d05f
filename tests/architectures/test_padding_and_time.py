"""Padding is invisible in every architecture, and time runs the way each of them says."""

import keras
import numpy as np
import tensorflow as tf

from rnnzoo.layers.simple_rnn import UNROLLED_TIMESTEPS


def lengths_of(variant, rows):
    """Every sequence input with these used timesteps in its rows."""
    return {tensor.name: rows for tensor in variant.model.inputs}


def aligned(variant):
    """Whether there is an output at every timestep of an input."""
    return len(variant.model.output_shape) == 3 and variant.model.output_shape[1] is None


def assert_padding_is_invisible(variant, rng, extra):
    """That many more padded timesteps change nothing that counts."""
    inputs = variant.inputs(rng)
    used = variant.used(inputs)
    assert not used.all() or not aligned(variant), "some rows are padded to begin with"
    output, longer = variant.run(inputs), variant.run(variant.padded(inputs, extra))
    if aligned(variant):
        assert longer.shape[1] > output.shape[1]
        longer = longer[:, : output.shape[1]]
    np.testing.assert_allclose(longer[used], output[used], rtol=1e-5, atol=1e-6)


def test_more_padding_changes_no_output(sequence_variant, rng):
    assert_padding_is_invisible(sequence_variant, rng, extra=3)


def test_padding_past_the_timesteps_that_are_unrolled_changes_no_output(plain_sequence_variant, rng):
    assert_padding_is_invisible(plain_sequence_variant, rng, UNROLLED_TIMESTEPS)


def test_a_padded_row_gives_what_it_gives_alone_and_unpadded(sequence_variant, rng):
    inputs = sequence_variant.inputs(rng)
    used = sequence_variant.used(inputs)
    output = sequence_variant.run(inputs)
    for row in (1, 2):  # shorter than the longest in source, target or both
        alone = {}
        for name, array in inputs.items():
            length = sequence_variant.mask(name, array)[row].sum()
            alone[name] = array[row : row + 1, :length]
        expected = sequence_variant.run(alone)[0]
        got = output[row][used[row]] if aligned(sequence_variant) else output[row]
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def classifies(variant):
    """Whether the outputs are held against class numbers: those of token models without an output activation."""
    return "vocabulary_size" in variant.arguments and "output_activation" not in variant.arguments


def compiled(variant, **how):
    """The model with a plain loss and metric."""
    model = variant.fresh()
    if classifies(variant):
        loss, metric = keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy"
    else:
        loss, metric = "mean_squared_error", "mae"
    model.compile(optimizer="sgd", loss=loss, metrics=[metric], **how)
    return model


def answers(variant, inputs, rng):
    """What the outputs of a batch are held against."""
    output = variant.run(inputs)
    if classifies(variant):
        return rng.integers(0, output.shape[-1], output.shape[:-1]).astype("int32")
    return rng.normal(size=output.shape).astype("float32")


def padded_answers(variant, y, more, rng):
    """Answers for a batch with more padding: nonsense there, which nobody may look at."""
    if not aligned(variant):
        return y
    longer = answers(variant, more, rng)
    longer[:, : y.shape[1]] = y
    return longer


def assert_figures_skip_padding(variant, rng, extra, **how):
    """`evaluate` gives the mean over what counts, worked out by hand, whatever more padding there is."""
    model, inputs = compiled(variant, **how), variant.inputs(rng)
    y, used = answers(variant, inputs, rng), variant.used(inputs)
    output = variant.run(inputs)[used].astype("float64")
    if classifies(variant):
        logs = np.log(np.exp(output).sum(-1)) - output[np.arange(len(output)), y[used]]
        expected = [logs.mean(), (output.argmax(-1) == y[used]).mean()]
    else:
        expected = [((output - y[used]) ** 2).mean(), np.abs(output - y[used]).mean()]
    for more in extra:
        longer = variant.padded(inputs, more) if more else inputs
        y_longer = padded_answers(variant, y, longer, rng)
        np.testing.assert_allclose(model.evaluate(variant.feed(longer), y_longer, verbose=0), expected, rtol=1e-4)


def test_more_padding_changes_no_loss_and_no_metric(sequence_variant, rng):
    assert_figures_skip_padding(sequence_variant, rng, extra=[3], run_eagerly=True)


def test_more_padding_changes_no_loss_and_no_metric_in_a_graph(plain_sequence_variant, rng):
    assert_figures_skip_padding(plain_sequence_variant, rng, extra=[0, 3])


def test_more_padding_changes_no_gradient(sequence_variant, rng):
    model, inputs = compiled(sequence_variant), sequence_variant.inputs(rng)
    y = answers(sequence_variant, inputs, rng)
    more = sequence_variant.padded(inputs, 3)
    gradients = []
    for given, target in ((inputs, y), (more, padded_answers(sequence_variant, y, more, rng))):
        with tf.GradientTape() as tape:
            feed = sequence_variant.feed(given)
            loss = model.compute_loss(feed, tf.constant(target), model(feed, training=True))
        gradients.append([tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_weights)])
    for weight, a, b in zip(model.trainable_weights, *gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=weight.path)


def test_nothing_leans_on_masks_that_keras_passes_on(sequence_variant, rng, monkeypatch):
    """Recurrent layers hand on no mask here, as in the Keras after 3.15; the mask still reaches loss and metrics."""
    for layer in (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.Embedding):
        monkeypatch.setattr(layer, "compute_mask", lambda self, *masks: None)
    inputs = sequence_variant.inputs(rng)
    output = sequence_variant.fresh()(sequence_variant.feed(inputs))
    mask, used = getattr(output, "_keras_mask", None), sequence_variant.used(inputs)
    if aligned(sequence_variant):
        np.testing.assert_array_equal(mask, used)
    else:
        assert mask is None
    np.testing.assert_allclose(output.numpy()[used], sequence_variant.run(inputs)[used], rtol=1e-5, atol=1e-6)


def test_a_row_that_is_all_padding_is_finite_and_harmless(sequence_variant, rng):
    rows = (3, 0, 2)
    inputs = sequence_variant.inputs(rng, lengths_of(sequence_variant, rows))
    output = sequence_variant.run(inputs)
    assert np.isfinite(output).all()
    others = sequence_variant.run({name: array[[0, 2]] for name, array in inputs.items()})
    np.testing.assert_allclose(output[[0, 2]], others, rtol=1e-5, atol=1e-6)
    model = compiled(sequence_variant)
    with tf.GradientTape() as tape:
        feed = sequence_variant.feed(inputs)
        loss = model.compute_loss(feed, tf.constant(answers(sequence_variant, inputs, rng)), model(feed, training=True))
    assert np.isfinite(loss)
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True):
        assert np.isfinite(tf.convert_to_tensor(gradient)).all(), weight.path


def test_padding_is_marked_by_the_mask_value_alone(plain_sequence_variant, rng):
    """A frame of zeros counts where the mask value is another, and so does one that differs in one component."""
    variant = plain_sequence_variant
    inputs = variant.inputs(rng, lengths_of(variant, (4, 4)))
    for tensor, array in inputs.items():
        frames = {"as it was": array[0, 1], "marked": np.full_like(array[0, 1], variant.padding(tensor))}
        frames["nearly"] = np.where(np.arange(array.shape[2]) == 0, 0.5, frames["marked"])
        frames["zeros"] = np.zeros_like(array[0, 1])
        outputs = {}
        for name, frame in frames.items():
            with_frame = array.copy()
            with_frame[0, 1] = frame
            output = variant.run({**inputs, tensor: with_frame})[0]
            # Of the step itself the output does not count.
            step_has_output = aligned(variant) and tensor in ("inputs", "target")
            outputs[name] = np.delete(output, 1, axis=0) if step_has_output else output
        without = variant.run({**inputs, tensor: np.delete(array, 1, axis=1)})[0]
        np.testing.assert_allclose(outputs.pop("marked"), without, rtol=1e-5, atol=1e-6)
        for name, output in outputs.items():
            assert np.abs(output - without).max() > 1e-4, f"{name} counts"


# Time


def changed(inputs, name, timestep):
    """The batch with another vector or token at one timestep of one input."""
    array = inputs[name].copy()
    if np.issubdtype(array.dtype, np.integer):
        array[:, timestep] = array[:, timestep] % 3 + 1
    else:
        array[:, timestep] += 1.0
    return {**inputs, name: array}


def sees_the_future(variant):
    """Whether a layer reads time backwards on the way from the aligned input to the output."""
    backwards = any(isinstance(layer, keras.layers.Bidirectional) for layer in variant.model.layers)
    return backwards and "target" not in {tensor.name for tensor in variant.model.inputs}


def test_every_timestep_reaches_every_output_that_may_see_it(sequence_variant, rng):
    inputs = sequence_variant.inputs(rng, lengths_of(sequence_variant, (5, 5, 5)))
    output = sequence_variant.run(inputs)
    steps_in_step = "target" if "target" in inputs else next(iter(inputs))
    for name in inputs:
        for timestep in range(5):
            moved = np.abs(sequence_variant.run(changed(inputs, name, timestep)) - output)
            reached = moved.max(axis=(0, -1))  # () or (timesteps,)
            if aligned(sequence_variant) and name == steps_in_step and not sees_the_future(sequence_variant):
                np.testing.assert_array_equal(reached[:timestep], 0.0, err_msg="what comes later")
                reached = reached[timestep:]
            assert reached.min() > 1e-6, (name, timestep)


def test_the_order_of_timesteps_matters(sequence_variant, rng):
    inputs = sequence_variant.inputs(rng, lengths_of(sequence_variant, (5, 5, 5)))
    output = sequence_variant.run(inputs)
    for name, array in inputs.items():
        backwards = sequence_variant.run({**inputs, name: array[:, ::-1]})
        if aligned(sequence_variant) and sees_the_future(sequence_variant):
            backwards = backwards[:, ::-1]
        assert np.abs(backwards - output).max() > 1e-4, name


# The twin that is trained with the targets as inputs


def targets(variant, rng, lengths):
    """Right-padded targets of the outputs' kind: token ids, or vectors."""
    used = np.arange(max(lengths)) < np.array(lengths)[:, None]
    outputs = variant.arguments["outputs"]
    if variant.arguments.get("feedback") == "token":
        return np.where(used, rng.integers(1, outputs, used.shape), 0)
    return (rng.normal(size=(*used.shape, outputs)) * used[..., None]).astype("float32")


def test_a_target_reaches_the_outputs_after_its_step_alone(taught_variant, rng):
    twin = taught_variant.module.teacher_forced(taught_variant.model)
    inputs = taught_variant.inputs(rng, lengths={}) | {"target": targets(taught_variant, rng, (5, 5, 5, 5))}
    output = twin(inputs).numpy()
    assert output.shape == (4, 5, taught_variant.arguments["outputs"])
    for timestep in range(5):
        moved = np.abs(twin(changed(inputs, "target", timestep)) - output)
        np.testing.assert_array_equal(moved[:, : timestep + 1], 0.0)
        assert timestep == 4 or moved[:, timestep + 1].max() > 1e-5


def test_the_twin_shares_every_weight(taught_variant):
    model = taught_variant.fresh()
    twin = taught_variant.module.teacher_forced(model)
    assert {id(weight) for weight in twin.weights} == {id(weight) for weight in model.weights}
    assert [tensor.name for tensor in twin.inputs] == [tensor.name for tensor in model.inputs] + ["target"]
    assert twin.output_names == model.output_names


def test_the_twin_skips_padded_tokens(taught_variant, rng):
    """In losses, that is: tokens alone can say which steps are padding."""
    twin = taught_variant.module.teacher_forced(taught_variant.fresh())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    target = targets(taught_variant, rng, (4, 2, 3, 1))
    inputs = taught_variant.inputs(rng) | {"target": target}
    tokens = target.ndim == 2
    output = twin(inputs)
    mask = getattr(output, "_keras_mask", None)
    if not tokens:
        assert mask is None
        return
    np.testing.assert_array_equal(mask, target != 0)
    more = {**inputs, "target": np.pad(target, [(0, 0), (0, 3)])}
    np.testing.assert_allclose(loss(more["target"], twin(more)), loss(target, output), rtol=1e-5)
