"""Training on data that fits in memory: a whole epoch in one compiled call."""

import contextlib
import copy
import inspect
import os
import threading
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from rnnzoo import losses
from rnnzoo._buckets import Plan, choose_buckets, one_bucket, plan_epoch, share_of
from rnnzoo.distributing import together
from rnnzoo.errors import InputError, nearest
from rnnzoo.layers._loops import in_xla

# Data that is streamed comes in pieces of so many batches, each piece one compiled call.
STREAMED_STEPS = 64
# Where somebody asks to be called between steps, a call is of about so many seconds.
SECONDS_A_CALL = 0.25


class CompiledLoop:
    """A step run on batch after batch, all of them in one call of one compiled function.

    For small models the Python around a step costs far more than the step. Here the order of the examples is passed in,
    and batches are gathered, cut to their timesteps and handed to the step inside the graph.

    Args:
        step: called while the graph is traced with a batch of the data's structure, and with (batch,) bool: which of its
            examples are real. It trains or tests on them.
        jit: whether XLA compiles it whole; it does not where it does not know an operation, or is not the faster.
        widths: how many timesteps the batches of each bucket keep; `None` keeps all.
        trimmed: of the data's structure, bool: which arrays have those timesteps along their axis 1; `None`: none has.
        going: called while the graph is traced, gives () bool: whether there is to be a next step; `None`: there always is.
    """

    def __init__(self, step, *, jit, widths=(None,), trimmed=None, going=None):
        self.step, self.jit, self.widths, self.trimmed, self.going = step, jit, widths, trimmed, going
        self._compile()

    def _compile(self):
        # AutoGraph cannot read its source on every Python; nothing here needs it.
        noticed = set()
        run = in_xla(self._run, noticed) if self.jit else self._run
        self._function, self._noticed = tf.function(run, jit_compile=self.jit, autograph=False), noticed

    def run(self, data, plan, span=None):
        """Runs the step on the batches of a plan.

        Args:
            data: a structure of tensors (examples, ...), with `None` where there is nothing.
            plan: a `Plan`.
            span: the first of the batches to run and the one after the last, of a plan whose batches are all of one size;
                `None` runs them all.

        Returns:
            What the step returned for the plan's last batch where that is smaller than the others, else `None`.
        """
        span = None if span is None else tf.convert_to_tensor(np.array(span, np.int32))
        arguments = *map(tf.convert_to_tensor, plan), data, span
        if self.jit:
            self._function.get_concrete_function(*arguments)  # traces
            if "tensorflow" in self._noticed:
                self.jit = False
                self._compile()
        try:
            return self._function(*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            # Raised where it is compiled, before the first step: nothing was trained.
            if not self.jit or not any(word in str(error) for word in ("XLA", "ompil")):
                raise
            self.jit = False
            self._compile()
            return self._function(*arguments)

    def _run(self, batches, buckets, last, data, span):
        """Indices (steps, batch), buckets (steps,), indices (fewer,), the data, and the steps to run, (2,) or all."""
        start, stop = (tf.constant(0), batches.shape[0]) if span is None else (span[0], span[1])

        def one(i):
            ways = [lambda width=width: self._on(batches[i], width, data) for width in self.widths]
            if len(ways) == 1:
                ways[0]()
            else:
                tf.switch_case(buckets[i], [lambda way=way: (way(), tf.constant(0))[1] for way in ways])
            return i + 1

        if batches.shape[0]:
            # A loop of TensorFlow's, not one of Python's: the graph holds one step.
            tf.while_loop(lambda i: i < stop if self.going is None else (i < stop) & self.going(), one, [start])
        # A step of its own shape: so every loss, metric and statistic is that of its examples.
        return self._on(last, self.widths[-1], data) if last.shape[0] else None

    def _on(self, batch, width, data):
        used, batch = batch >= 0, tf.maximum(batch, 0)
        trimmed = self.trimmed or keras.tree.map_structure(lambda _: False, data)

        def take(array, trim):
            if array is None:
                return None
            taken = tf.gather(array, batch)
            return taken[:, :width] if trim else taken

        return self.step(keras.tree.map_structure(take, data, trimmed), used)


class EpochData:
    """Arrays that a `CompiledLoop` runs over: as tensors where they fit in memory, else streamed in pieces.

    Args:
        data: a structure of arrays (examples, ...), with `None` where there is nothing.
        batch_size: examples a step.
        buckets: `Buckets`; one that trims nothing if `None`.
        in_memory: `None` decides by the arrays' size and the memory that is available.
        last: the last, smaller batch is a step of its "own" shape; "always", even where it is a full one, so that what it
            returned is known; or is "filled" up with examples that are not used, and one step less is compiled.
        shares: the `Together` of those who run over the same data, each over its rows of every batch; `None` where one runs
            alone. Needs `last="filled"`.
    """

    def __init__(self, data, batch_size, *, buckets=None, in_memory=None, last="own", shares=None):
        arrays = [array for array in keras.tree.flatten(data) if array is not None]
        self.examples = len(arrays[0])
        self.batch_size = min(batch_size, self.examples)
        self._steps_a_call, self._shares = 1, shares
        self.buckets = buckets or one_bucket(self.examples)
        self.last = last
        self.in_memory = fits_in_memory(arrays) if in_memory is None else in_memory
        if shares:  # whose memories may differ
            self.in_memory = shares.all(self.in_memory)
        self.replace(data)

    def replace(self, data):
        """Runs over other arrays from now on, of the same structure and shapes."""
        convert = tf.convert_to_tensor if self.in_memory else lambda array: array
        self.data = keras.tree.map_structure(lambda array: None if array is None else convert(array), data)

    @property
    def steps(self):
        """Steps an epoch."""
        return steps_per_epoch(self.examples, self.batch_size)

    def run(self, loop, order, between=None):
        """Runs a loop over all examples once, in this order.

        Args:
            loop: a `CompiledLoop`.
            order: a permutation of the examples' indices.
            between: called between parts of the epoch, of about a quarter of a second each, and says whether to go on. Needs
                `last="filled"`.

        Returns:
            What the step returned for the last batch, where that is one of its own.
        """
        plan = self._plan(order)
        if self.in_memory:
            return loop.run(self.data, plan) if between is None else self._run_in_parts(loop, plan, between)
        result = None
        for piece, its_plan in self._pieces(plan):
            result = loop.run(piece, its_plan)
            if between is not None and not between():
                break
        return result

    def _run_in_parts(self, loop, plan, between):
        """All steps of a plan, so many in one call as take the time that a call may take."""
        start, steps = 0, len(plan.batches)
        if steps > self._steps_a_call:
            plan = Plan(*map(tf.convert_to_tensor, plan))
        while start < steps:
            began, stop = time.perf_counter(), min(start + self._steps_a_call, steps)
            loop.run(self.data, plan, (start, stop))
            going = stop < steps and between()
            seconds = time.perf_counter() - began
            if self._shares:  # all make the same calls
                seconds = self._shares.mean(seconds)
            if seconds < SECONDS_A_CALL / 2 and stop - start == self._steps_a_call:
                self._steps_a_call *= 2
            elif seconds > SECONDS_A_CALL * 2:  # the first call, which compiles, as well
                self._steps_a_call = max(1, self._steps_a_call // 2)
            if not going:
                return
            start = stop

    def _plan(self, order):
        plan = plan_epoch(order, self.batch_size, self.buckets)
        batches, buckets, last = plan
        if self.last == "filled" and len(last):
            filled = np.full((1, self.batch_size), -1, np.int32)
            filled[0, : len(last)] = last
            plan = Plan(
                np.concatenate([batches, filled]),
                np.append(buckets, buckets.dtype.type(len(self.buckets.widths) - 1)),
                last[:0],
            )
        if self._shares:
            return share_of(plan, self._shares.worker, self._shares.workers, self._shares.here)
        if self.last == "always" and not len(last):
            # One of the widest bucket, as the last batch is.
            at = np.flatnonzero(buckets == buckets.max())[-1]
            return Plan(np.delete(batches, at, 0), np.delete(buckets, at), batches[at])
        return plan

    def _pieces(self, plan):
        """Pieces of the data and the plans of their batches, read ahead by `tf.data`."""
        flat = keras.tree.flatten(self.data)
        starts = range(0, len(plan.batches), STREAMED_STEPS) or [0]
        plans, chosen = [], []
        for start in starts:
            steps = slice(start, start + STREAMED_STEPS)
            last = plan.last if start == starts[-1] else plan.last[:0]
            chosen.append(np.concatenate([plan.batches[steps].ravel(), last]))
            index = np.where(chosen[-1] < 0, -1, np.arange(len(chosen[-1]), dtype=np.int32))
            batches, last = np.split(index, [plan.batches[steps].size])
            plans.append(Plan(batches.reshape(-1, plan.batches.shape[1]), plan.buckets[steps], last))

        ended = threading.Event()

        def read():
            for index in chosen:
                if ended.is_set():
                    return
                # A file is read from its beginning to its end.
                ascending, back = np.unique(np.maximum(index, 0), return_inverse=True)
                yield tuple(np.asarray(array[ascending])[back] for array in flat if array is not None)

        specs = tuple(tf.TensorSpec((None, *a.shape[1:]), tf.as_dtype(a.dtype)) for a in flat if a is not None)
        pieces = iter(tf.data.Dataset.from_generator(read, output_signature=specs).prefetch(2))
        try:
            for piece, its_plan in zip(pieces, plans, strict=True):
                arrays = iter(piece)
                full = [None if array is None else next(arrays) for array in flat]
                yield keras.tree.pack_sequence_as(self.data, full), its_plan
        finally:
            drain(pieces, ended)


def drain(pieces, ended):
    """Reads an iterator of `tf.data` to its end, which comes soon after `ended` is set.

    One that is taken down before its Python function has returned waits for it, and holds what it needs to return.
    """
    ended.set()
    for _ in pieces:
        pass


def fits_in_memory(arrays):
    """Whether a copy of these arrays takes less than half of the memory that is available."""
    available = _available_memory()
    return available is None or sum(array.nbytes for array in arrays if hasattr(array, "nbytes")) < available / 2


def _available_memory():
    """In bytes, or `None` where the system does not tell."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    except (OSError, ValueError):
        pass
    try:  # a container's limit
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
        found.append(limit - used)
    except (OSError, ValueError):
        pass
    if not found and hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


class _Pass:
    """Batches of a `keras.Model`'s examples, all of an epoch in one call of one compiled function.

    Unlike `rnnzoo.fit` it leaves the model uncompiled, and it reports what training of the zoo's presets shows: the mean
    loss over the weights of all targets, and the share of answers that were right. No example is dropped: the last batch is
    filled up with examples of weight 0.

    Args:
        model: the model; frozen layers stay as they are.
        loss: a `keras.losses.Loss` whose reduction is `mean_with_sample_weight` or `sum`, so that padding does not count.
        inputs: what the model takes, an array or a dict of arrays (examples, ...).
        targets: (examples, ...).
        weights: how much each target counts, (examples,) or (examples, timesteps); 0 for padding.
        batch_size: examples a step.
        correct: a function of targets, outputs and weights that gives (batch,) bool, for the metric.
        lengths: (examples,) timesteps that each example uses of the one input, or of the one that is called `target`,
            right-padded, so that batches are of about one length and cut to it where that pays; targets and weights are cut
            if there is a weight a timestep.
        in_memory: `None` decides by the arrays' size and the memory that is available.
    """

    def __init__(self, model, loss, inputs, targets, weights, *, batch_size, correct, lengths=None, in_memory=None):
        self.model, self.loss, self.correct = model, loss, correct
        self.arrays = inputs, targets, np.asarray(weights, np.float32)
        taught = isinstance(inputs, dict)
        buckets = None
        if lengths is not None:
            buckets = choose_buckets(lengths, (inputs["target"] if taught else inputs).shape[1])
        self._shares = together()
        self._epochs = EpochData(
            self.arrays, batch_size, buckets=buckets, in_memory=in_memory, last="filled", shares=self._shares
        )
        self.data, self.examples = self._epochs.data, self._epochs.examples
        self.batch_size, self.steps = self._epochs.batch_size, self._epochs.steps
        # The sums over an epoch of loss, right examples and weight, and the steps.
        self._totals = tf.Variable(tf.zeros(4), trainable=False)
        widths, stepwise = self._epochs.buckets.widths, np.ndim(weights) > 1
        of_inputs = {name: name == "target" for name in inputs} if taught else True
        trimmed = (of_inputs, stepwise, stepwise) if len(widths) > 1 or widths[0] else None
        self._loop = CompiledLoop(
            self._step,
            jit=knows_xla(model) and not self._shares,  # XLA knows nothing of those who share
            widths=widths,
            trimmed=trimmed,
            going=lambda: tf.math.is_finite(self._totals[0]),
        )

    def run(self, order=None, between=None):
        """Goes once over every example, in this order, and no further than to a step whose loss is not finite.

        Args:
            order: a permutation of the examples' indices; as they are if `None`.
            between: called with nothing several times a second, between steps; what it raises ends the epoch.

        Returns:
            The epoch's mean loss and the share of examples that were right when their batch was run.
        """
        self._totals.assign(tf.zeros(4))

        def going():
            if between is not None:
                between()
            return np.isfinite(self._totals.numpy()[0])

        self._epochs.run(self._loop, np.arange(self.examples) if order is None else order, going)
        loss, right, weight, _ = self._totals.numpy().tolist()
        return loss / weight, right / self._answers(weight)

    def order(self, rng):
        """The order of an epoch's examples, drawn."""
        return rng.permutation(self.examples)

    def _answers(self, weight):
        """How many answers an epoch has, whose targets weigh so much."""
        return self.examples

    @property
    def steps_run(self):
        """How many steps of the epoch were run: all, or those up to the one whose loss was not finite."""
        return int(self._totals.numpy()[3])

    def _step(self, batch, used):
        """Runs one batch."""
        inputs, targets, weights = batch
        used = tf.cast(used, tf.float32)
        weights = weights * tf.reshape(used, (-1, *[1] * (len(weights.shape) - 1)))
        if self._shares:
            sums = self._shares.run(self._shared_step, (inputs, targets, weights, used))
        else:
            outputs, loss = self._outputs(inputs, targets, weights)
            weight = tf.reduce_sum(weights)
            sums = [loss * weight, self._right(targets, outputs, weights, used), weight]
        self._totals.assign_add(tf.stack([*sums, 1.0]))

    def _shared_step(self, inputs, targets, weights, used):
        """Runs one share of a batch; gives the sums of the whole batch.

        The loss is that of the whole batch: what the share's examples lose, over the weight of all shares' targets.
        """
        (weight,) = self._shares.sum([tf.reduce_sum(weights)])
        outputs, loss, gradients = self._share(inputs, targets, weights, weight)
        # Summed before they are clipped: Keras would clip each share's for itself.
        loss, right, *gradients = self._shares.sum([loss, self._right(targets, outputs, weights, used), *gradients])
        self._apply(gradients)
        return [loss * weight, right, weight]

    def _forward(self, inputs, training):
        """A batch's outputs."""
        return self.model(inputs, training=training)

    def _right(self, targets, outputs, weights, used):
        """How many answers of a batch are right."""
        return tf.reduce_sum(tf.cast(self.correct(targets, outputs, weights), tf.float32) * used)

    def _outputs(self, inputs, targets, weights):
        """A batch's outputs and its loss."""
        raise NotImplementedError

    def _share(self, inputs, targets, weights, weight):
        """A share's outputs, and its parts of the loss and the gradients of a batch whose targets weigh so much."""
        outputs = self._forward(inputs, training=False)
        return outputs, self._part(targets, outputs, weights, weight), []

    def _part(self, targets, outputs, weights, weight):
        """A share's part of the loss of a batch whose targets weigh so much."""
        summed = copy.copy(self.loss)
        summed.reduction = "sum"
        part = summed(targets, outputs, weights)
        return part if self.loss.reduction == "sum" else tf.math.divide_no_nan(part, weight)

    def _apply(self, gradients):
        """Trains with the gradients of a whole batch."""


class CompiledEpochs(_Pass):
    """Epochs of mini-batch training of any `keras.Model`, each of them one call of one compiled function; see `_Pass`.

    Args:
        optimizer: a `keras.optimizers.Optimizer`, with its schedule and clipping.
    """

    def __init__(self, model, loss, optimizer, inputs, targets, weights, **how):
        super().__init__(model, loss, inputs, targets, weights, **how)
        self._train_with(optimizer)

    def _train_with(self, optimizer):
        self.optimizer = optimizer
        optimizer.build(self.model.trainable_variables)
        if self._shares:
            self._shares.draw_apart(self.model)
            # The gradients that it is given are sums already.
            optimizer._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables

    def replace(self, inputs, targets, weights):
        """Trains on other arrays of the same shapes from now on."""
        self._epochs.replace((inputs, targets, np.asarray(weights, np.float32)))
        self.data = self._epochs.data

    def average(self):
        """Gives the weights the averages that the optimizer has kept of them, where it has."""
        if self.optimizer.use_ema:
            self.optimizer.finalize_variable_values(self.model.trainable_variables)

    @contextlib.contextmanager
    def averaged(self):
        """Inside it the weights are as `average` makes them."""
        kept = [variable.numpy() for variable in self.model.trainable_variables] if self.optimizer.use_ema else []
        self.average()
        try:
            yield
        finally:
            for variable, value in zip(self.model.trainable_variables, kept, strict=False):
                variable.assign(value)

    def _outputs(self, inputs, targets, weights):
        with tf.GradientTape() as tape:
            outputs = self._forward(inputs, training=True)
            loss = self.loss(targets, outputs, weights)
            total = loss + tf.add_n(self.model.losses) if self.model.losses else loss
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(total, variables), variables)
        return outputs, loss

    def _share(self, inputs, targets, weights, weight):
        with tf.GradientTape() as tape:
            outputs = self._forward(inputs, training=True)
            loss = self._part(targets, outputs, weights, weight)
            total = loss + tf.add_n(self.model.losses) / self._shares.replicas if self.model.losses else loss
        return outputs, loss, tape.gradient(total, self.model.trainable_variables)

    def _apply(self, gradients):
        self.optimizer.apply(gradients, self.model.trainable_variables)


class CompiledScores(_Pass):
    """The loss and the metric of examples that are not trained on; see `_Pass`."""

    def _outputs(self, inputs, targets, weights):
        outputs = self._forward(inputs, training=False)
        return outputs, self.loss(targets, outputs, weights)


def knows_xla(model):
    """Whether every layer says that XLA can compile it."""
    return all(layer.supports_jit for layer in model._flatten_layers())


def steps_per_epoch(examples, batch_size):
    """How many batches hold all examples."""
    return -(-examples // batch_size)


def make_optimizer(recipe, steps):
    """The optimizer of a recipe, with its clipping, and its learning-rate schedule over `steps` steps an epoch.

    With a curriculum its rate is a number, to be set at the beginning of each epoch.
    """
    warmup = round(recipe.warmup_epochs * steps)
    rate = recipe.learning_rate
    if recipe.curriculum:
        if warmup:
            raise InputError("training.warmup_epochs: a curriculum, whose sequences are short at first, takes no warm-up")
    elif recipe.schedule == "cosine" or warmup:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            decay_steps=max(1, recipe.epochs * steps - warmup),
            alpha=0.0 if recipe.schedule == "cosine" else 1.0,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    try:
        optimizer = type(keras.optimizers.get(recipe.optimizer))
    except ValueError:
        known = [name.lower() for name in dir(keras.optimizers) if name[0].isupper()]
        raise InputError(
            f"training.optimizer: unknown optimizer '{recipe.optimizer}'{nearest(recipe.optimizer, known)}"
        ) from None
    if recipe.clip_norm and recipe.clip_value:
        raise InputError("training.clip_value: give either clip_norm or clip_value")
    others = {"weight_decay": recipe.weight_decay, "momentum": recipe.momentum}
    others = {name: value for name, value in others.items() if value is not None}
    for name in others:
        if name not in inspect.signature(optimizer).parameters:
            raise InputError(f"training.{name}: the optimizer '{recipe.optimizer}' has none")
    averaging = {"use_ema": True, "ema_momentum": recipe.average} if recipe.average else {}
    clipping = {"global_clipnorm": recipe.clip_norm, "clipvalue": recipe.clip_value}
    if recipe.recurrent_rate:
        optimizer = _with_recurrent_rate(optimizer, recipe.recurrent_rate)
    return optimizer(learning_rate=rate, **clipping, **averaging, **others)


def _with_recurrent_rate(optimizer, factor):
    """A class of optimizer whose learning rate is another one for recurrent kernels: multiplied by the factor."""

    class WithRecurrentRate(optimizer):
        def build(self, variables):
            super().build(variables)
            self._factors = [factor if variable.path.endswith("recurrent_kernel") else 1.0 for variable in variables]

        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate * self._factors[self._get_variable_index(variable)])

    return WithRecurrentRate


def make_loss(preset, plain=False):
    """The loss of a preset's recipe: averaged over what counts, so that padding is invisible, or summed over it.

    Without the smoothing of labels if `plain`, as of examples that are not trained on.
    """
    recipe, known = preset.training, losses.named()
    name = recipe.loss
    if name not in known:
        raise InputError(f"training.loss: unknown loss '{name}'{nearest(name, known)}")
    logits = {"from_logits": not preset.model.get("output_activation")} if "crossentropy" in name else {}
    reduction = {"mean": "mean_with_sample_weight", "sum": "sum"}[recipe.reduction]
    if recipe.label_smoothing and not plain:
        if name != "sparse_categorical_crossentropy" or not logits["from_logits"]:
            raise InputError("training.label_smoothing goes with the loss sparse_categorical_crossentropy of logits")
        return losses.SmoothedCrossentropy(recipe.label_smoothing, reduction=reduction)
    return known[name](reduction=reduction, **logits)
