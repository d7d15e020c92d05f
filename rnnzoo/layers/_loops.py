"""The recurrence and its backpropagation through time as loops that XLA compiles.

Everything is time-major: (timesteps, batch, ...). Two ways, which `recurrence` chooses between:

- `forward` and `backward` take the time in chunks. A chunk's input projection and its shares of the weights' gradients
  are one product each; its steps are a loop inside. Where a mask is given and rows are sorted by length, rows whose
  sequences have ended leave the batch: it shrinks by a level at a time.
- `steps` and `back_steps` are the bare loops, for a caller who makes the large products in one piece.
"""

import contextvars
import functools

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

# What `recurrence` can do itself: the activation, and its derivative as a function of its output.
ACTIVATIONS = {
    "linear": (lambda z: z, tf.ones_like),
    "relu": (tf.nn.relu, lambda h: tf.cast(h > 0, h.dtype)),
    "sigmoid": (tf.sigmoid, lambda h: h * (1 - h)),
    "tanh": (tf.tanh, lambda h: 1 - h * h),
}
# A chunk has up to so many timesteps: enough rows for a fast product, few enough to stay in the cache.
CHUNK = 16
# So few timesteps are written out instead: compiling them takes no longer than a loop.
FEW = 8


# While a graph is traced that XLA compiles whole: what was noticed about it, else `None`.
_tracing = contextvars.ContextVar("tracing", default=None)


def in_xla(function, noticed=None):
    """The function, for a graph that XLA compiles whole: what is `compiled` below it is traced right into that graph.

    Args:
        function: what is traced.
        noticed: a set; "tensorflow" is added to it where the graph would be faster if not all of it were compiled.
    """

    @functools.wraps(function)
    def traced(*args, **kwargs):
        token = _tracing.set(set() if noticed is None else noticed)
        try:
            return function(*args, **kwargs)
        finally:
            _tracing.reset(token)

    return traced


def within_xla():
    """Whether what is traced is known to become a part of a graph that XLA compiles whole."""
    return _tracing.get() is not None


def ask_for_tensorflow():
    """Notes that the graph that is traced has large products, which TensorFlow's own kernels make faster than XLA's."""
    if within_xla():
        _tracing.get().add("tensorflow")


def compiled(function):
    """Compiled by XLA, once for each shape that it meets."""
    alone = tf.function(in_xla(function), jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*args, **kwargs):
        return (function if within_xla() else alone)(*args, **kwargs)

    return call


def chunk_length(timesteps):
    """How many timesteps a chunk has: a divisor where there is one, so that nothing is padded."""
    if timesteps <= CHUNK:
        return timesteps
    return next((k for k in range(CHUNK, 5, -1) if timesteps % k == 0), 8)


def is_narrow(kernel):
    """Whether the inputs' gradient is so much smaller than that of the pre-activations that it is kept instead."""
    return 4 * kernel.shape[0] <= kernel.shape[1]


def batch_of(array, axis):
    """The size of the batch, a number where it is known and else a tensor."""
    return array.shape[axis] or tf.shape(array)[axis]


def _rows(batch, levels):
    """How many rows are left on each level, `batch` at first."""
    return [batch * (levels - level) // levels for level in range(levels)]


def level_ends(lengths, levels):
    """Where each level ends: the longest length among the rows that it drops.

    Args:
        lengths: (batch,) int32; in descending order where there are several levels.
        levels: how many.

    Returns:
        (levels,) int32, ascending.
    """
    if levels == 1:
        return tf.reduce_max(lengths)[None]
    rows = _rows(batch_of(lengths, 0), levels)
    return tf.stack([lengths[row] for row in rows[1:]] + [lengths[0]])


def _padded(array, timesteps, chunk):
    """Zeros behind the last timestep, up to a whole chunk."""
    more = -timesteps % chunk
    return tf.pad(array, [[0, more], *[[0, 0]] * (len(array.shape) - 1)]) if more else array


def _write(array, part, timestep):
    """`part` in the place of what begins at that timestep."""
    starts = tf.stack([timestep, *[0] * (len(array.shape) - 1)])
    return xla.dynamic_update_slice(array, part, starts)


def _read(array, start, count, rows):
    """`count` timesteps of the first `rows` rows, from `start` on."""
    return tf.slice(array, [start, 0, *[0] * (len(array.shape) - 2)], [count, rows, *array.shape[2:]])


def few_steps_forward(x, used, state, kernel, recurrent_kernel, bias, activation):
    """`forward` of a few timesteps, written out: without the loops' own cost."""
    activate, _ = ACTIVATIONS[activation]
    timesteps, batch, features, units = x.shape[0], batch_of(x, 1), x.shape[2], kernel.shape[1]
    projected = tf.matmul(tf.reshape(x, [timesteps * batch, features]), kernel)
    projected = tf.reshape(projected if bias is None else projected + bias, [timesteps, batch, units])
    states = []
    for t in range(timesteps):
        new = activate(projected[t] + tf.matmul(state, recurrent_kernel))
        state = new if used is None else tf.where(used[t][:, None], new, state)
        states.append(state)
    return tf.stack(states), state


def few_steps_backward(x, used, state, kernel, recurrent_kernel, states, d_states, d_final, activation):
    """`backward` of a few timesteps, written out."""
    _, slope = ACTIVATIONS[activation]
    timesteps, batch, features = x.shape[0], batch_of(x, 1), x.shape[2]
    d_state, d_z = tf.zeros_like(state) if d_final is None else d_final, []
    for t in reversed(range(timesteps)):
        d_state = d_state if d_states is None else d_state + d_states[t]
        d_step, kept = d_state * slope(states[t]), None
        if used is not None:
            counts, zeros = used[t][:, None], tf.zeros_like(d_state)
            d_step, kept = tf.where(counts, d_step, zeros), tf.where(counts, zeros, d_state)
        d_state = tf.matmul(d_step, recurrent_kernel, transpose_b=True)
        d_state = d_state if kept is None else d_state + kept
        d_z.insert(0, d_step)
    d_z = tf.stack(d_z)
    before = tf.concat([state[None], states[:-1]], 0)
    seen, before, flat = (tf.reshape(a, [timesteps * batch, -1]) for a in (x, before, d_z))
    d_kernel, d_recurrent_kernel = (tf.matmul(a, flat, transpose_a=True) for a in (seen, before))
    if is_narrow(kernel):
        d_z = tf.reshape(tf.matmul(flat, kernel, transpose_b=True), [timesteps, batch, features])
    return d_state, d_kernel, d_recurrent_kernel, tf.reduce_sum(flat, 0), d_z


def forward(x, used, ends, state, kernel, recurrent_kernel, bias, activation, levels):
    """The hidden states of all timesteps.

    Args:
        x: (timesteps, batch, features).
        used: (timesteps, batch) bool, or `None` where every timestep counts.
        ends: (levels,) int32, the timestep after each level's last one.
        state: (batch, units) before the first timestep.
        kernel: (features, units).
        recurrent_kernel: (units, units).
        bias: (units,) or `None`.
        activation: a key of `ACTIVATIONS`.
        levels: how often the batch shrinks, plus one.

    Returns:
        states: (timesteps, batch, units); where a timestep is not used, the one before, or zeros past the level's end.
        final: (batch, units).
    """
    activate, _ = ACTIVATIONS[activation]
    timesteps, batch, features, units = x.shape[0], batch_of(x, 1), x.shape[2], kernel.shape[1]
    chunk = chunk_length(timesteps)
    x = _padded(x, timesteps, chunk)
    used = None if used is None else _padded(used, timesteps, chunk)
    states = tf.zeros([x.shape[0], batch, units], x.dtype)
    start, left = tf.constant(0), []
    for level, rows in enumerate(_rows(batch, levels)):
        state, dropped = state[:rows], state[rows:]
        left.insert(0, dropped)
        end = ends[level]

        def one_chunk(start, state, states, rows=rows, end=end):
            projected = tf.matmul(tf.reshape(_read(x, start, chunk, rows), [chunk * rows, features]), kernel)
            projected = projected if bias is None else projected + bias
            projected = tf.reshape(projected, [chunk, rows, units])
            counts = None if used is None else _read(used, start, chunk, rows)[..., None]
            # To the chunk's end even where the level ends before: there every row that goes on is still among the first.
            steps = tf.minimum(chunk, timesteps - start)

            def one_step(k, state, states):
                new = activate(projected[k] + tf.matmul(state, recurrent_kernel))
                state = new if counts is None else tf.where(counts[k], new, state)
                return k + 1, state, _write(states, state[None], start + k)

            _, state, states = tf.while_loop(lambda k, *_: k < steps, one_step, (0, state, states))
            return start + chunk, state, states

        start, state, states = tf.while_loop(lambda start, *_, end=end: start < end, one_chunk, (start, state, states))
    return states[:timesteps], tf.concat([state, *left], 0)


def backward(x, used, ends, state, kernel, recurrent_kernel, states, d_states, d_final, activation, levels):
    """Backpropagation through time (Werbos 1990, Proceedings of the IEEE 78).

    Args:
        states: what `forward` returned; `d_states` is the loss's gradient of them, or `None` where it is zero.
        d_final: (batch, units), the loss's gradient of the final state; zeros if `None`.
        The others are those of `forward`.

    Returns:
        d_state: (batch, units), of the state before the first timestep.
        d_kernel, d_recurrent_kernel, d_bias: the sums over all timesteps.
        d_z: (timesteps, batch, units), of the pre-activations; where there are few features (`is_narrow`), which makes it
            much the smaller, `d_x` (timesteps, batch, features), of the inputs.
    """
    _, slope = ACTIVATIONS[activation]
    timesteps, batch, features, units = x.shape[0], batch_of(x, 1), x.shape[2], kernel.shape[1]
    chunk = chunk_length(timesteps)
    x, states = _padded(x, timesteps, chunk), _padded(states, timesteps, chunk)
    used = None if used is None else _padded(used, timesteps, chunk)
    d_states = None if d_states is None else _padded(d_states, timesteps, chunk)
    d_final = tf.zeros([batch, units], x.dtype) if d_final is None else d_final
    totals = tf.zeros([features, units], x.dtype), tf.zeros([units, units], x.dtype), tf.zeros([units], x.dtype)
    narrow = is_narrow(kernel)
    d_z = tf.zeros([x.shape[0], batch, features if narrow else units], x.dtype)
    rows_of = _rows(batch, levels)
    d_state = d_final[: rows_of[-1]]
    start = (ends[-1] - 1) // chunk * chunk
    for level in reversed(range(levels)):
        rows = rows_of[level]
        if level < levels - 1:
            d_state = tf.concat([d_state, d_final[rows_of[level + 1] : rows]], 0)
        # Where the level before ended, at a chunk's end.
        first = (ends[level - 1] + chunk - 1) // chunk * chunk if level else 0

        def one_chunk(start, d_state, d_kernel, d_recurrent_kernel, d_bias, d_z, rows=rows):
            counts = None if used is None else _read(used, start, chunk, rows)[..., None]
            after = _read(states, start, chunk, rows)
            d_after = None if d_states is None else _read(d_states, start, chunk, rows)
            steps = tf.minimum(chunk, timesteps - start)

            def one_step(k, d_state, d_chunk):
                d_state = d_state if d_after is None else d_state + d_after[k]
                d_step = d_state * slope(after[k])
                if counts is None:
                    back = tf.matmul(d_step, recurrent_kernel, transpose_b=True)
                else:
                    d_step = tf.where(counts[k], d_step, tf.zeros_like(d_step))
                    back = tf.matmul(d_step, recurrent_kernel, transpose_b=True)
                    back += tf.where(counts[k], tf.zeros_like(d_state), d_state)
                return k - 1, back, _write(d_chunk, d_step[None], k)

            d_chunk = tf.zeros([chunk, rows, units], x.dtype)
            _, d_state, d_chunk = tf.while_loop(lambda k, *_: k >= 0, one_step, (steps - 1, d_state, d_chunk))
            earlier = _read(states, tf.maximum(start - 1, 0), 1, rows)
            earlier = tf.where(start > 0, earlier, state[None, :rows])
            before = tf.reshape(tf.concat([earlier, after[:-1]], 0), [chunk * rows, units])
            flat = tf.reshape(d_chunk, [chunk * rows, units])
            seen = tf.reshape(_read(x, start, chunk, rows), [chunk * rows, features])
            if narrow:
                d_chunk = tf.reshape(tf.matmul(flat, kernel, transpose_b=True), [chunk, rows, features])
            return (
                start - chunk,
                d_state,
                d_kernel + tf.matmul(seen, flat, transpose_a=True),
                d_recurrent_kernel + tf.matmul(before, flat, transpose_a=True),
                d_bias + tf.reduce_sum(flat, 0),
                _write(d_z, d_chunk, start),
            )

        start, d_state, *totals, d_z = tf.while_loop(
            lambda start, *_, first=first: start >= first, one_chunk, (start, d_state, *totals, d_z)
        )
    return d_state, *totals, d_z[:timesteps]


def input_gradient(d_z, ends, kernel, levels):
    """d_z (timesteps, batch, units) -> (timesteps, batch, features), a level's rows at a time."""
    timesteps, batch, (features, units) = d_z.shape[0], batch_of(d_z, 1), kernel.shape
    chunk = chunk_length(timesteps)
    d_z = _padded(d_z, timesteps, chunk)
    d_x = tf.zeros([d_z.shape[0], batch, features], d_z.dtype)
    start = tf.constant(0)
    for level, rows in enumerate(_rows(batch, levels)):
        end = ends[level]

        def one_chunk(start, d_x, rows=rows):
            flat = tf.reshape(_read(d_z, start, chunk, rows), [chunk * rows, units])
            product = tf.reshape(tf.matmul(flat, kernel, transpose_b=True), [chunk, rows, features])
            return start + chunk, _write(d_x, product, start)

        start, d_x = tf.while_loop(lambda start, *_, end=end: start < end, one_chunk, (start, d_x))
    return d_x[:timesteps]


@compiled
def steps(projected, state, recurrent_kernel, activation):
    """projected (timesteps, batch, units), state (batch, units) -> states (timesteps, batch, units), final state."""
    activate, _ = ACTIVATIONS[activation]

    def one_step(t, state, states):
        state = activate(projected[t] + tf.matmul(state, recurrent_kernel))
        return t + 1, state, _write(states, state[None], t)

    timesteps = projected.shape[0]
    _, state, states = tf.while_loop(
        lambda t, *_: t < timesteps, one_step, (0, state, tf.zeros_like(projected)), maximum_iterations=timesteps
    )
    return states, state


@compiled
def back_steps(states, d_states, d_final, recurrent_kernel, activation):
    """The gradients (timesteps, batch, units) of the pre-activations, and of the state before the first timestep."""
    _, slope = ACTIVATIONS[activation]
    d_final = tf.zeros_like(states[0]) if d_final is None else d_final

    def one_step(t, d_state, d_z):
        d_state = d_state if d_states is None else d_state + d_states[t]
        d_step = d_state * slope(states[t])
        return t - 1, tf.matmul(d_step, recurrent_kernel, transpose_b=True), _write(d_z, d_step[None], t)

    timesteps = states.shape[0]
    _, d_state, d_z = tf.while_loop(
        lambda t, *_: t >= 0, one_step, (timesteps - 1, d_final, tf.zeros_like(states)), maximum_iterations=timesteps
    )
    return d_z, d_state
