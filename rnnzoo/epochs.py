"""Training on data that fits in memory: a whole epoch in one compiled call."""

import keras
import numpy as np
import tensorflow as tf

from rnnzoo.errors import InputError, nearest


class CompiledEpochs:
    """Epochs of mini-batch training of any `keras.Model`, each of them one call of one compiled function.

    For small models the Python around a step costs far more than the step. Here the order of the examples is passed in,
    and batches are gathered, run forward and backward and applied inside the graph (compiled with XLA where every layer
    supports it). No example is dropped: the last batch is filled up with examples of weight 0.

    Args:
        model: the model to train; frozen layers stay as they are.
        loss: a `keras.losses.Loss` whose reduction is `mean_with_sample_weight`, so that padding does not count.
        optimizer: a `keras.optimizers.Optimizer`, with its schedule and clipping.
        inputs: what the model takes, an array or a dict of arrays (examples, ...).
        targets: (examples, ...).
        weights: how much each target counts, (examples,) or (examples, timesteps); 0 for padding.
        batch_size: examples a step.
        correct: a function of targets, outputs and weights that gives (batch,) bool, for the metric.
    """

    def __init__(self, model, loss, optimizer, inputs, targets, weights, *, batch_size, correct):
        self.model, self.loss, self.optimizer, self.correct = model, loss, optimizer, correct
        self.data = tf.nest.map_structure(tf.convert_to_tensor, (inputs, targets, np.asarray(weights, np.float32)))
        self.examples = len(weights)
        self.batch_size = min(batch_size, self.examples)
        optimizer.build(model.trainable_variables)
        jit = all(layer.supports_jit for layer in model._flatten_layers())
        self._epoch = tf.function(self._run, jit_compile=jit, autograph=False)

    @property
    def steps(self):
        """Steps an epoch."""
        return steps_per_epoch(self.examples, self.batch_size)

    def run(self, order):
        """Trains on every example once, in this order.

        Args:
            order: a permutation of the examples' indices.

        Returns:
            The epoch's mean loss and the share of examples that were right when their batch was trained on.
        """
        filling = self.steps * self.batch_size - self.examples
        used = np.arange(self.steps * self.batch_size) < self.examples
        order = np.concatenate([order, np.zeros(filling, order.dtype)])
        shape = (self.steps, self.batch_size)
        loss, right, weight = self._epoch(
            tf.constant(order.reshape(shape), tf.int32), tf.constant(used.reshape(shape), tf.float32), self.data
        )
        return float(loss) / float(weight), float(right) / self.examples

    def _run(self, order, used, data):
        """Order and use (steps, batch), data -> the sums over all steps of loss, right examples and weight."""

        def step(i, totals):
            return i + 1, totals + self._step(order[i], used[i], data)

        # A loop of TensorFlow's, not a Python loop that AutoGraph converts: it cannot read its source on every Python.
        _, totals = tf.while_loop(lambda i, _: i < tf.shape(order)[0], step, (tf.constant(0), tf.zeros(3)))
        return totals[0], totals[1], totals[2]

    def _step(self, batch, counts, data):
        """Trains on one batch."""
        inputs, targets, weights = tf.nest.map_structure(lambda array: tf.gather(array, batch), data)
        weights = weights * tf.reshape(counts, (-1, *[1] * (len(weights.shape) - 1)))
        with tf.GradientTape() as tape:
            outputs = self.model(inputs, training=True)
            loss = self.loss(targets, outputs, weights)
            total = loss + tf.add_n(self.model.losses) if self.model.losses else loss
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(total, variables), variables)
        weight = tf.reduce_sum(weights)
        right = tf.cast(self.correct(targets, outputs, weights), tf.float32) * counts
        return tf.stack([loss * weight, tf.reduce_sum(right), weight])


def steps_per_epoch(examples, batch_size):
    """How many batches hold all examples."""
    return -(-examples // batch_size)


def make_optimizer(recipe, steps):
    """The optimizer of a recipe, with its learning-rate schedule over `steps` steps an epoch and its clipping."""
    warmup = round(recipe.warmup_epochs * steps)
    rate = recipe.learning_rate
    if recipe.schedule == "cosine" or warmup:
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
    return optimizer(learning_rate=rate, global_clipnorm=recipe.clip_norm)
