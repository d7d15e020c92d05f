"""The compiled recurrence with its gradients written out, and the choice among the ways to run it."""

import tensorflow as tf

from rnnzoo.layers import _loops

# Multiplications of a whole pass, timesteps x batch x units x (features + units), from which on (measured by
# benchmarks/run.py, one core): the large products pay outside XLA, in TensorFlow's own kernels; and shrinking the batch
# as sequences end pays for sorting it, and for compiling a loop a level.
LARGE = 3e7
LEVELS = 3
# States (timesteps x batch x units) from which on the large products are made in pieces: 8 MB of float32.
PIECES_FROM = 2**21
# Fewer rows a level than this make slow products.
ROWS = 8


def recurrence(x, state, kernel, recurrent_kernel, bias, used, activation, return_states):
    """The hidden states of an Elman network over time-major or batch-major input; gradients included.

    h_t = activation(x_t W + h_{t-1} U + b), backpropagated through time as written in `_loops.backward`. The gradient of
    the gradient is TensorFlow's own, of the same recurrence written plainly.

    Args:
        x: (batch, timesteps, features), timesteps known.
        state: (batch, units) before the first timestep.
        kernel: (features, units).
        recurrent_kernel: (units, units).
        bias: (units,) or `None`.
        used: (batch, timesteps) bool, True where the timestep counts; `None` if all do.
        activation: a key of `_loops.ACTIVATIONS`.
        return_states: whether the states of all timesteps are needed.

    Returns:
        states: (timesteps, batch, units), or `None`. Past the last used timestep of a row they may be zeros.
        final: (batch, units).
    """
    way = _way(x.shape, kernel, used)
    tensors = [tensor for tensor in (x, state, kernel, recurrent_kernel, bias) if tensor is not None]

    @tf.custom_gradient
    def run(*tensors):
        # No tape looks into the loops: their gradients are given here.
        (states, final), gradients = way(*_five(list(map(tf.stop_gradient, tensors))), used, activation)

        def backward(*upstream):
            @tf.custom_gradient
            def first(*arguments):
                fixed = [tf.stop_gradient(d) for d in arguments[len(tensors) :]]

                def second(*further):
                    return _second_gradients(arguments, further, used, activation, return_states)

                found = gradients(*fixed) if return_states else gradients(None, *fixed)
                return tuple(d for d in found if d is not None), second

            return first(*tensors, *upstream)

        return ((states, final) if return_states else (final,)), backward

    outputs = run(*tensors)
    return outputs if return_states else (None, outputs[0])


def _five(tensors):
    """With `None` for a bias that there is not."""
    return tensors if len(tensors) == 5 else (*tensors, None)


def _way(shape, kernel, used):
    """The function that runs a pass: large or small, shrinking or not."""
    batch, timesteps, features = shape
    units = kernel.shape[1]
    # A batch of unknown size is taken for one of 32, Keras's default.
    large = timesteps * (batch or 32) * units * (units + features) >= LARGE
    if not large or (batch or 32) < 2 * ROWS:
        return _chunked
    # With few features there is little of the input projection to gain, and its memory to lose.
    return _shrinking if used is not None else _chunked if _loops.is_narrow(kernel) else _in_large_products


def _chunked(x, state, kernel, recurrent_kernel, bias, used, activation):
    """Everything within XLA, the whole batch to the end of its longest sequence."""
    states, final = _chunked_forward(x, state, kernel, recurrent_kernel, bias, used, activation)

    def gradients(d_states, d_final):
        d_state, d_kernel, d_recurrent, d_bias, d_z = _chunked_backward(
            x, state, kernel, recurrent_kernel, used, states, d_states, d_final, activation
        )
        # Apart from the others, if it is costly: where nobody asks for it, TensorFlow leaves it out.
        d_x = _time_major(d_z) if _loops.is_narrow(kernel) else _chunked_input_gradient(d_z, kernel, used)
        return d_x, d_state, d_kernel, d_recurrent, None if bias is None else d_bias

    return (states, final), gradients


@_loops.compiled
def _chunked_forward(x, state, kernel, recurrent_kernel, bias, used, activation):
    x, used, ends = _prepared(x, used)
    weights = kernel, recurrent_kernel, bias
    if x.shape[0] <= _loops.FEW:
        return _loops.few_steps_forward(x, used, state, *weights, activation)
    return _loops.forward(x, used, ends, state, *weights, activation, levels=1)


@_loops.compiled
def _chunked_backward(x, state, kernel, recurrent_kernel, used, states, d_states, d_final, activation):
    x, used, ends = _prepared(x, used)
    rest = kernel, recurrent_kernel, states, d_states, d_final, activation
    if x.shape[0] <= _loops.FEW:
        return _loops.few_steps_backward(x, used, state, *rest)
    return _loops.backward(x, used, ends, state, *rest, levels=1)


@_loops.compiled
def _chunked_input_gradient(d_z, kernel, used):
    if d_z.shape[0] <= _loops.FEW:
        return tf.einsum("tbu,fu->btf", d_z, kernel)
    ends = tf.constant([d_z.shape[0]]) if used is None else _loops.level_ends(_lengths(used), 1)
    return _time_major(_loops.input_gradient(d_z, ends, kernel, levels=1))


def _prepared(x, used):
    """Time-major input and mask, and the end of the longest sequence."""
    if used is None:
        return _time_major(x), None, tf.constant([x.shape[1]])
    return _time_major(x), tf.transpose(used), _loops.level_ends(_lengths(used), 1)


def _shrinking(x, state, kernel, recurrent_kernel, bias, used, activation):
    """The same with rows in order of length, dropped as they end."""
    lengths, levels = _lengths(used), LEVELS
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    back = tf.argsort(order)
    ends = _loops.level_ends(tf.gather(lengths, order), levels)
    x, used = _time_major(tf.gather(x, order)), tf.transpose(tf.gather(used, order))
    state = tf.gather(state, order)
    states, final = _loops.forward(x, used, ends, state, kernel, recurrent_kernel, bias, activation, levels=levels)

    def gradients(d_states, d_final):
        d_states = None if d_states is None else tf.gather(d_states, order, axis=1)
        weights = kernel, recurrent_kernel
        d_state, d_kernel, d_recurrent, d_bias, d_z = _loops.backward(
            x, used, ends, state, *weights, states, d_states, tf.gather(d_final, order), activation, levels=levels
        )
        d_x = d_z if _loops.is_narrow(kernel) else _loops.input_gradient(d_z, ends, kernel, levels=levels)
        d_x = tf.gather(_time_major(d_x), back)
        return d_x, tf.gather(d_state, back), d_kernel, d_recurrent, None if bias is None else d_bias

    return (tf.gather(states, back, axis=1), tf.gather(final, back)), gradients


def _in_large_products(x, state, kernel, recurrent_kernel, bias, used, activation):
    """Without a mask: the input projection and the sums over all timesteps as TensorFlow's products, XLA for the steps.

    In pieces of the time where they are large: the pre-activations and their gradients are there a piece at a time.
    """
    features, units = kernel.shape
    batch = _loops.batch_of(x, 0)
    pieces = _pieces(x.shape[1], x.shape[0], units)
    seen = [tf.reshape(part, [-1, features]) for part in tf.split(_time_major(x), pieces)]
    before, states = [state], []  # the state before each piece; the states within it
    for part, length in zip(seen, pieces, strict=True):
        projected = tf.matmul(part, kernel)
        projected = projected if bias is None else tf.nn.bias_add(projected, bias)
        within, after = _loops.steps(tf.reshape(projected, [length, batch, units]), before[-1], recurrent_kernel, activation)
        states.append(within)
        before.append(after)

    def gradients(d_states, d_state):
        d_states = [None] * len(pieces) if d_states is None else tf.split(d_states, pieces)
        d_x, d_kernel, d_recurrent, d_bias = [], 0.0, 0.0, 0.0
        for i in reversed(range(len(pieces))):
            d_z, d_state = _loops.back_steps(states[i], d_states[i], d_state, recurrent_kernel, activation)
            flat = tf.reshape(d_z, [-1, units])
            d_part = tf.matmul(flat, kernel, transpose_b=True)
            d_x.insert(0, _time_major(tf.reshape(d_part, [pieces[i], batch, features])))
            earlier, later = tf.reshape(states[i][:-1], [-1, units]), tf.reshape(d_z[1:], [-1, units])
            d_recurrent += tf.matmul(earlier, later, transpose_a=True) + tf.matmul(before[i], d_z[0], transpose_a=True)
            d_kernel += tf.matmul(seen[i], flat, transpose_a=True)
            d_bias += tf.reduce_sum(flat, 0)
        return tf.concat(d_x, 1), d_state, d_kernel, d_recurrent, None if bias is None else d_bias

    return (tf.concat(states, 0), before[-1]), gradients


def _pieces(timesteps, batch, units):
    """The lengths of the pieces that the time is taken in: one, or up to four where the states take much memory."""
    # A batch of unknown size is in one piece.
    length = timesteps if timesteps * (batch or 0) * units < PIECES_FROM else -(-timesteps // 4)
    return [min(length, timesteps - start) for start in range(0, timesteps, length)]


def _time_major(array):
    """Batch and timesteps change places."""
    return tf.transpose(array, [1, 0, 2])


def _lengths(used):
    """used (batch, timesteps) -> (batch,) int32, the timestep after the last used one."""
    count = used.shape[1]
    return tf.reduce_max(tf.where(used, tf.range(1, count + 1), 0), axis=1)


def _second_gradients(arguments, further, used, activation, return_states):
    """The gradient of the first gradient, by TensorFlow, of the recurrence as a plain loop.

    Args:
        arguments: x, state, kernel, recurrent kernel, the bias if there is one, and the gradients of the outputs.
        further: the gradients of the first gradients.
    """
    count = len(arguments) - (2 if return_states else 1)
    with tf.GradientTape() as outer:
        outer.watch(arguments)
        tensors, upstream = arguments[:count], arguments[count:]
        with tf.GradientTape() as inner:
            inner.watch(tensors)
            states, final = _plainly(*_five(tensors), used, activation)
            outputs = (states, final) if return_states else (final,)
        first = inner.gradient(outputs, tensors, output_gradients=upstream, unconnected_gradients="zero")
    return outer.gradient(first, arguments, output_gradients=further, unconnected_gradients="zero")


def _plainly(x, state, kernel, recurrent_kernel, bias, used, activation):
    """The recurrence a step at a time: states (timesteps, batch, units), final state."""
    activate, _ = _loops.ACTIVATIONS[activation]
    timesteps = x.shape[1]
    projected = tf.matmul(x, kernel)
    projected = _time_major(projected if bias is None else projected + bias)
    counts = None if used is None else tf.transpose(used)[..., None]

    def step(t, state, states):
        new = activate(projected[t] + tf.matmul(state, recurrent_kernel))
        state = new if counts is None else tf.where(counts[t], new, state)
        return t + 1, state, states.write(t, state)

    states = tf.TensorArray(x.dtype, size=timesteps, element_shape=state.shape)
    loop = (tf.constant(0), state, states)
    _, final, states = tf.while_loop(lambda t, *_: t < timesteps, step, loop, maximum_iterations=timesteps)
    return states.stack(), final
