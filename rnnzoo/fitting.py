"""`rnnzoo.fit`: what `model.fit` does, a whole epoch in one compiled call, for any compiled `keras.Model`."""

import keras
import numpy as np
import tensorflow as tf

from rnnzoo._buckets import choose_buckets
from rnnzoo.epochs import CompiledLoop, EpochData, knows_xla
from rnnzoo.errors import InputError

# How many batches of a `tf.data.Dataset` or the like are trained on in one call.
STEPS_A_CALL = 32


def fit(
    model,
    x,
    y=None,
    *,
    batch_size=None,
    epochs=1,
    verbose="auto",
    callbacks=None,
    validation_split=0.0,
    validation_data=None,
    shuffle=True,
    class_weight=None,
    sample_weight=None,
    initial_epoch=0,
    steps_per_epoch=None,
    validation_steps=None,
    validation_batch_size=None,
    validation_freq=1,
    seed=None,
    lengths=None,
    in_memory=None,
    jit_compile=None,
):
    """Trains a compiled `keras.Model` as its own `fit` does, and several times faster where the model is small.

    Arrays are copied into tensors, and each epoch is one call of one compiled function: the order of the examples is
    passed in, batches are gathered inside, and the model's own `train_step` runs on each, with its losses, metrics, masks,
    optimizer, clipping and schedule. No example is dropped: the last, smaller batch is a step of its own shape. From the
    same weights and the same order of examples the weights are those of `model.fit`. The first epoch compiles (XLA, where
    every layer supports it), which takes seconds; a second call does not, until the model is compiled again or layers are
    frozen or thawed.

    Callbacks and validation run between epochs. There is no moment between batches: a callback of the user's that asks for
    one (`on_train_batch_end` and the like) is refused, Keras's own that work once an epoch as well (checkpoints,
    TensorBoard) are taken if they are set to, and `TerminateOnNaN` looks at the end of an epoch.

    Arrays that do not fit in memory (`numpy.memmap` and the like) are read ahead in pieces of 64 batches, and give the same
    weights. A `tf.data.Dataset`, `keras.utils.PyDataset` or generator of batches trains through Keras's own `fit`, with
    32 steps a call and prefetching.

    Args:
        model: a `keras.Model`, compiled, not with `run_eagerly=True` and not under a distribution strategy.
        x: (examples, ...), a list or a dict of such arrays; or a dataset of batches (x, y) or (x, y, sample_weight).
        y: (examples, ...), a list or a dict of such arrays; `None` with a dataset.
        batch_size: examples a step; 32 if `None`. Not with a dataset.
        epochs: the number of the last epoch.
        verbose: 0, 1, 2 or "auto", as in `model.fit`; the bar moves once an epoch.
        callbacks: a list of `keras.callbacks.Callback`.
        validation_split: the share of examples, the last ones, that is kept for validation.
        validation_data: (x, y) or (x, y, sample_weight), or a dataset.
        shuffle: whether each epoch has a fresh order of examples.
        class_weight: class -> weight, for one output.
        sample_weight: (examples,) or (examples, timesteps), or of the structure of `y`.
        initial_epoch: the epoch to begin with, from 0.
        steps_per_epoch: with a dataset only.
        validation_steps: with a dataset for validation only.
        validation_batch_size: `batch_size` if `None`.
        validation_freq: validate every so many epochs, or the epochs (from 1) after which to.
        seed: of the order: that of epoch e (from 0) is `numpy.random.default_rng([seed, e]).permutation(examples)`. Drawn
            from NumPy's global state if `None`, which `keras.utils.set_random_seed` sets.
        lengths: (examples,) timesteps that each example uses, right-padded. Where it saves a fifth of all timesteps or
            more, batches are of examples of about one length (4 classes at the most, mixed over the epoch) and are cut to
            it: axis 1 of each input, target and weight whose input or output of the model has a free axis 1
            (`keras.Input((None, ...))`). The model must ignore padding. A loss that is a mean over timesteps, padded ones
            included, is then a mean over fewer.
        in_memory: `False` streams arrays in any case; `None` decides by their size and the memory available.
        jit_compile: whether XLA compiles the epochs of arrays; `None` where every layer supports it. (What `model.compile`
            was told is not known here: Keras turns "auto" into `False` on a CPU.)

    Returns:
        A `keras.callbacks.History`.

    Raises:
        InputError: the model is not compiled or cannot be compiled whole, the arrays do not fit together, or a callback
            asks for batches.
    """
    _check_model(model)
    if not _is_arrays(x):
        if lengths is not None or in_memory:
            raise InputError("lengths and in_memory go with arrays, not with a dataset")
        if not isinstance(x, tf.data.Dataset | keras.utils.PyDataset) and isinstance(x, list | tuple | dict | str):
            raise InputError("x must hold arrays, or be a dataset or a generator of batches")
        taken = {"y": y, "batch_size": batch_size, "sample_weight": sample_weight}
        for name, value in {**taken, "validation_split": validation_split or None}.items():
            if value is not None:
                raise InputError(f"{name} goes with arrays, not with a dataset: it holds batches of all that is trained on")
        return _fit_dataset(
            model,
            x,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            initial_epoch=initial_epoch,
            validation_freq=validation_freq,
            class_weight=class_weight,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            shuffle=shuffle and isinstance(x, keras.utils.PyDataset),
        )
    if steps_per_epoch is not None:
        raise InputError("steps_per_epoch goes with a dataset; an epoch of arrays is all of them")
    batch_size = _positive("batch_size", 32 if batch_size is None else batch_size)
    if not isinstance(shuffle, bool):
        raise InputError(f"shuffle must be True or False, not {shuffle!r}")
    x, y, sample_weight = (_arrays(name, part) for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)))
    examples = _check_examples(x, y, sample_weight)
    if lengths is not None:
        lengths = _check_lengths(lengths, examples)
    if validation_split and validation_data is None:
        kept = int(examples * (1 - validation_split))
        if not 0 < kept < examples:
            raise InputError(f"validation_split={validation_split} of {examples} examples leaves nothing on one side")
        validation_data = tuple(_take((x, y, sample_weight), slice(kept, None)))
        x, y, sample_weight = _take((x, y, sample_weight), slice(None, kept))
        lengths = None if lengths is None else lengths[:kept]
    sample_weight = _weights(y, sample_weight, class_weight)

    buckets, trimmed = None, None
    if lengths is not None:
        trimmed, timesteps = _trimmed(model, x, y, sample_weight)
        if lengths.max() > timesteps:
            raise InputError(f"lengths go up to {lengths.max()}, and there are {timesteps} timesteps")
        buckets = choose_buckets(lengths, timesteps)
    data = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
    _build(model, data)
    training = EpochData(data, batch_size, buckets=buckets, in_memory=in_memory, last=_last(model, "train_step"))
    validate = _validation(
        model, validation_data, validation_batch_size or batch_size, validation_steps, in_memory, jit_compile
    )
    callbacks = _callback_list(model, callbacks, verbose, epochs, training.steps, validates=validation_data is not None)
    return _epochs(
        model,
        training,
        _compiled_loop(model, "train_step", training, trimmed, jit_compile),
        validate,
        callbacks,
        range(initial_epoch, epochs),
        validation_freq,
        _orders(training.examples, shuffle, seed),
    )


def _epochs(model, training, loop, validate, callbacks, epochs, validation_freq, order):
    """What `keras.Model.fit` does around its batches, in its sequence."""
    model.stop_training = False
    callbacks.on_train_begin()
    logs = None
    # BackupAndRestore sets the epoch to go on with.
    for epoch in range(model._initial_epoch or epochs.start, epochs.stop):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        logs = _logs(model, training.run(loop, order(epoch)))
        for callback in callbacks.callbacks:
            if isinstance(callback, keras.callbacks.TerminateOnNaN):
                callback.on_batch_end(training.steps - 1, logs)
        if validate and (
            (epoch + 1) % validation_freq == 0 if isinstance(validation_freq, int) else epoch + 1 in validation_freq
        ):
            logs |= {f"val_{name}": value for name, value in validate(callbacks).items()}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if epochs.stop > 0:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)
    return model.history


def _logs(model, last):
    """The metrics of the epoch, or what a custom step returned for its last batch where that has other names."""
    figures = model.get_metrics_result()
    if isinstance(last, dict) and set(last) != set(figures):
        figures = last
    return {name: float(value) if np.ndim(value) == 0 else np.asarray(value) for name, value in figures.items()}


def _orders(examples, shuffle, seed):
    """A function of the epoch that gives the order of its examples."""
    if not shuffle:
        return lambda epoch: np.arange(examples)
    seed = int(np.random.randint(2**31)) if seed is None else seed
    return lambda epoch: np.random.default_rng([seed, epoch]).permutation(examples)


def _validation(model, data, batch_size, steps, in_memory, jit):
    """A function of the callbacks that gives the metrics on the data for validation; `None` where there is none."""
    if data is None:
        return None
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if not _is_arrays(x):
        return lambda callbacks: model.evaluate(data, steps=steps, callbacks=callbacks, verbose=0, return_dict=True)
    x, y, sample_weight = (_arrays(name, part) for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)))
    _check_examples(x, y, sample_weight, "validation_data: ")
    data = keras.utils.pack_x_y_sample_weight(x, y, _weights(y, sample_weight, None))
    batch_size = _positive("validation_batch_size", batch_size)
    held_out = EpochData(data, batch_size, in_memory=in_memory, last=_last(model, "test_step"))
    loop = _compiled_loop(model, "test_step", held_out, None, jit)

    def validate(callbacks):
        callbacks.on_test_begin()
        model.reset_metrics()
        logs = _logs(model, held_out.run(loop, np.arange(held_out.examples)))
        callbacks.on_test_end(logs)
        return logs

    return validate


def _fit_dataset(model, x, **arguments):
    """Keras's own `fit`, with several steps a call."""
    steps, function = model.steps_per_execution, model.train_function
    compiled = _kept(model)
    model.steps_per_execution, model.train_function = max(steps, STEPS_A_CALL), compiled.get("dataset")
    if isinstance(x, tf.data.Dataset):
        x = x.prefetch(tf.data.AUTOTUNE)
    try:
        return model.fit(x, **arguments)
    finally:
        compiled["dataset"] = model.train_function
        model.steps_per_execution, model.train_function = steps, function


# The compiled functions


class _Kept:
    """A model's compiled loops. No dict of the model's: Keras looks through those for what to save."""

    def __init__(self, state):
        self.state, self.loops = state, {}


def _kept(model):
    """The compiled functions by name, emptied where the model was compiled again, or other layers are frozen."""
    # compile() makes a new loss tracker; a schedule, unlike a rate, is part of the graph.
    parts = model._loss_tracker, model.optimizer, model.optimizer._learning_rate
    state = *map(id, parts), *(layer.trainable for layer in model._flatten_layers())
    kept = model.__dict__.get("_rnnzoo_kept")
    if kept is None or kept.state != state:
        kept = _Kept(state)
        kept.parts = parts  # so that no other object gets their ids
        model.__dict__["_rnnzoo_kept"] = kept
    return kept.loops


def _compiled_loop(model, step, data, trimmed, jit):
    """The compiled loop of `model.train_step` or `model.test_step` over such data."""
    loops = _kept(model)
    key = step, data.buckets.widths, str(trimmed), jit
    if key not in loops:
        texts = any(array.dtype.kind in "OSU" for array in _flat(data.data) if isinstance(array, np.ndarray))
        texts |= any(array.dtype == tf.string for array in _flat(data.data) if tf.is_tensor(array))
        function = getattr(model, step)
        jit = (knows_xla(model) if jit is None else jit) and not texts
        loops[key] = CompiledLoop(
            lambda batch, _: function(_of_any_size(batch)), jit=jit, widths=data.buckets.widths, trimmed=trimmed
        )
    return loops[key]


def _of_any_size(batch):
    """The batch with its size hidden, as `fit` hides it: Keras weights the losses of several outputs by it if it can."""

    def hide(tensor):
        return None if tensor is None else tf.compat.v1.placeholder_with_default(tensor, [None, *tensor.shape[1:]])

    return keras.tree.map_structure(hide, batch)


def _last(model, step):
    """How the last batch is run: on its own in any case where a custom step may log what no metric knows."""
    plain = all(getattr(type(model), name) is getattr(keras.Model, name) for name in (step, "compute_metrics"))
    return "own" if plain else "always"


def _build(model, data):
    """Makes all variables before the graph is traced: they cannot be made inside its loop."""
    try:
        model._symbolic_build(data_batch=_take(data, slice(0, 2)))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"the model does not take this data: {str(error).strip()}") from error


# What is asked of the arguments


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise InputError(f"expected a keras.Model, not {type(model).__name__}")
    if not model.compiled:
        raise InputError(f"model '{model.name}' is not compiled: call model.compile(optimizer, loss) first")
    if model.run_eagerly:
        raise InputError(f"model '{model.name}' was compiled with run_eagerly=True, which only model.fit can honor")
    if model._distribute_strategy is not None:
        raise InputError(f"model '{model.name}' was made under a distribution strategy, which only model.fit can honor")
    if model.optimizer is None:
        raise InputError(f"model '{model.name}' was compiled without an optimizer")


def _is_arrays(x):
    leaves = _flat(x)
    return bool(leaves) and all(hasattr(leaf, "shape") or hasattr(leaf, "to_numpy") for leaf in leaves)


def _flat(structure):
    return [leaf for leaf in keras.tree.flatten(structure) if leaf is not None]


def _arrays(name, part):
    """A structure of arrays or tensors, floats in Keras's own precision, lists as tuples as `fit` hands them on."""

    def convert(leaf):
        if leaf is None:
            return None
        if isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
            raise InputError(f"{name} holds a {type(leaf).__name__}: make it dense (`.to_tensor()` and `lengths`)")
        if not tf.is_tensor(leaf) and not isinstance(leaf, np.ndarray):
            leaf = leaf.to_numpy() if hasattr(leaf, "to_numpy") else np.asarray(leaf) if hasattr(leaf, "__array__") else leaf
            if not isinstance(leaf, np.ndarray):
                raise InputError(f"{name} holds a {type(leaf).__name__}; expected arrays")
        if not leaf.shape:
            raise InputError(f"{name} holds a single number; expected an array of examples")
        floating = leaf.dtype.is_floating if tf.is_tensor(leaf) else np.issubdtype(leaf.dtype, np.floating)
        if floating and keras.backend.standardize_dtype(leaf.dtype) != keras.config.floatx():
            return tf.cast(leaf, keras.config.floatx()) if tf.is_tensor(leaf) else leaf.astype(keras.config.floatx())
        return leaf

    return keras.tree.lists_to_tuples(keras.tree.map_structure(convert, part))


def _check_examples(x, y, sample_weight, where=""):
    """How many examples there are."""
    sizes = {}
    for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        for leaf in _flat(part):
            sizes.setdefault(len(leaf), name)
    if len(sizes) != 1 or 0 in sizes:
        told = " and ".join(f"{size} in {name}" for size, name in sizes.items())
        raise InputError(f"{where}the arrays must hold the same number of examples, at least one, not {told}")
    return next(iter(sizes))


def _positive(name, size):
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InputError(f"{name} must be a positive integer, not {size!r}")
    return int(size)


def _take(structure, which):
    return keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[which], structure)


def _weights(y, sample_weight, class_weight):
    """(examples,) or of the structure of `y`, or `None`."""
    if class_weight is not None:
        if sample_weight is not None or keras.tree.is_nested(y) or y is None:
            raise InputError("class_weight goes with one output and without sample_weight")
        classes = np.asarray(y)
        if classes.ndim > 1:
            classes = classes[..., 0] if classes.shape[-1] == 1 else classes.argmax(-1)
        if classes.ndim > 1:
            raise InputError("class_weight goes with one class an example, not one a timestep: give sample_weight")
        known = {int(label): weight for label, weight in class_weight.items()}
        return np.array([known.get(int(label), 1.0) for label in np.round(classes)], keras.config.floatx())
    if sample_weight is None or not keras.tree.is_nested(y):
        return sample_weight
    if keras.tree.is_nested(sample_weight):
        try:
            keras.tree.assert_same_structure(y, sample_weight)
        except (ValueError, TypeError):
            raise InputError("sample_weight must be one array (examples,), or of the structure of y") from None
        return sample_weight
    if not (len(sample_weight.shape) == 1 or tuple(sample_weight.shape[1:]) == (1,)):
        raise InputError("one sample_weight for several outputs must be (examples,); give one for each output")
    return keras.tree.map_structure(lambda _: sample_weight, y)


def _check_lengths(lengths, examples):
    lengths = np.asarray(lengths)
    if lengths.shape != (examples,) or not np.issubdtype(lengths.dtype, np.integer) or lengths.min() < 0:
        raise InputError(f"lengths must be {examples} integers, one an example, none of them negative")
    return lengths


def _trimmed(model, x, y, sample_weight):
    """Which arrays have the padded timesteps along axis 1, in the structure that `fit` packs, and how many there are."""
    try:
        inputs, outputs = model.inputs, model.outputs
    except AttributeError:
        inputs = outputs = None
    if not inputs or not outputs:
        raise InputError("lengths go with a model made from keras.Input: only there it is known which axes are timesteps")

    def free(structure, tensors, names, what):
        """Of the structure: whether the model leaves axis 1 of the tensor free."""
        if structure is None:
            return None
        by_name = dict(zip(names, tensors, strict=True))
        if isinstance(structure, dict):
            if not set(structure) <= set(by_name):
                raise InputError(
                    f"lengths: {what} has names that the model does not: {sorted(set(structure) - set(by_name))}"
                )
            return {name: _free_axis(by_name[name]) for name in structure}
        if isinstance(structure, tuple):
            if len(structure) != len(tensors):
                raise InputError(f"lengths: {what} holds {len(structure)} arrays, the model has {len(tensors)}")
            return tuple(map(_free_axis, tensors))
        return _free_axis(tensors[0])

    in_x = free(x, inputs, [tensor.name for tensor in inputs], "x")
    in_y = free(y, outputs, model.output_names, "y")
    in_weight = None
    if sample_weight is not None:
        in_weight = keras.tree.map_structure(
            lambda leaf, is_free: leaf is not None and is_free and len(leaf.shape) > 1, sample_weight, in_y
        )
    trimmed = keras.utils.pack_x_y_sample_weight(in_x, in_y, in_weight)
    data = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
    sizes = {
        leaf.shape[1] if len(leaf.shape) > 1 else 0
        for leaf, trim in zip(keras.tree.flatten(data), keras.tree.flatten(trimmed), strict=True)
        if leaf is not None and trim
    }
    if not any(keras.tree.flatten(in_x)):
        raise InputError("lengths: no input of the model leaves its timesteps free: give it keras.Input((None, ...))")
    if len(sizes) != 1:
        raise InputError(f"lengths: the arrays with timesteps have {sorted(sizes)} of them; expected one number for all")
    return trimmed, sizes.pop()


def _free_axis(tensor):
    return len(tensor.shape) > 1 and tensor.shape[1] is None


def _callback_list(model, callbacks, verbose, epochs, steps, validates):
    """Keras's list of callbacks, none of which waits for a batch."""
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        options = {"add_history": True, "add_progbar": verbose != 0, "verbose": verbose}
        callbacks = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=steps, **options)
    hooks = ["on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"]
    hooks += ["on_test_batch_begin", "on_test_batch_end"] if validates else []
    for callback in callbacks.callbacks:
        name = type(callback).__name__
        for hook in hooks:
            method = getattr(callback, hook)
            if not getattr(method, "_is_default", False) and not str(method.__module__).startswith("keras."):
                raise InputError(
                    f"callback {name} has {hook}: here a whole epoch is one call, with nothing between batches; use its "
                    "on_epoch_end, or model.fit"
                )
        for option in ("save_freq", "update_freq"):
            if getattr(callback, option, "epoch") != "epoch":
                raise InputError(f"callback {name} has {option}={getattr(callback, option)!r}: here it can be 'epoch' only")
    return callbacks
