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
MOST_PIECES = 8
# Fewer rows a level than this make slow products.
ROWS = 8


def recurrence(x, state, kernel, recurrent_kernel, bias, used, activation, return_states):
    """The hidden states of an Elman network, gradients included.

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
    levels = _levels(x.shape, kernel, used)
    tensors = [tensor for tensor in (x, state, kernel, recurrent_kernel, bias) if tensor is not None]

    @tf.custom_gradient
    def run(*tensors):
        # No tape looks into the loops: their gradients are given here.
        (states, final), gradients = _ordered(*_five(list(map(tf.stop_gradient, tensors))), used, activation, levels)

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


def _levels(shape, kernel, used):
    """How often the batch shrinks, plus one; 0 for large products outside XLA."""
    batch, timesteps, features = shape
    units = kernel.shape[1]
    # A batch of unknown size is taken for one of 32, Keras's default.
    large = timesteps * (batch or 32) * units * (units + features) >= LARGE
    if not large or (batch or 32) < 2 * ROWS:
        return 1
    if used is not None:
        return LEVELS
    # With few features there is little of the input projection to gain, and its memory to lose.
    if _loops.is_narrow(kernel):
        return 1
    _loops.ask_for_tensorflow()
    return 0


# A pass, from here on, is made of functions that return (states, final) and a function of their gradients, which returns
# those of x, the state, the kernel, the recurrent kernel and the bias.


def _ordered(x, state, kernel, recurrent_kernel, bias, used, activation, levels):
    """With rows in order of length, where the batch shrinks as they end."""
    weights = kernel, recurrent_kernel, bias
    if levels <= 1:
        x, used = _time_major(x), None if used is None else tf.transpose(used)
        outputs, backward = _in_pieces(x, state, *weights, used, activation, levels)

        def unordered(d_states, d_final):
            d_x, *found = backward(d_states, d_final)
            return _time_major(d_x), *found

        return outputs, unordered

    order = tf.argsort(tf.reduce_max(_positions(used, axis=1), axis=1), direction="DESCENDING", stable=True)
    back = tf.argsort(order)
    x, used, state = _time_major(tf.gather(x, order)), tf.transpose(tf.gather(used, order)), tf.gather(state, order)
    (states, final), backward = _in_pieces(x, state, *weights, used, activation, levels)

    def gradients(d_states, d_final):
        d_states = None if d_states is None else tf.gather(d_states, order, axis=1)
        d_x, d_state, *shares = backward(d_states, tf.gather(d_final, order))
        return tf.gather(_time_major(d_x), back), tf.gather(d_state, back), *shares

    return (tf.gather(states, back, axis=1), tf.gather(final, back)), gradients


def _in_pieces(x, state, kernel, recurrent_kernel, bias, used, activation, levels):
    """One piece of the time after the other, where the states of all of it take much memory.

    Of the pre-activations and their gradients there is a piece at a time. And TensorFlow's allocator, which keeps what was
    freed and cuts it up, finds room for a piece more often than for all states at once.
    """
    weights = kernel, recurrent_kernel, bias
    pieces = _pieces(*x.shape[:2], kernel.shape[1])
    if len(pieces) == 1:
        return _one_piece(x, state, *weights, used, None, activation, levels)
    masks = lengths = [None] * len(pieces)
    if used is not None:
        masks, length = tf.split(used, pieces), tf.reduce_max(_positions(used, axis=0), axis=0)
        # A row that goes on in a later piece is there to the end of this one, used or not.
        lengths = [tf.clip_by_value(length - sum(pieces[:i]), 0, piece) for i, piece in enumerate(pieces)]
    states, backwards = [], []
    for part, mask, length in zip(tf.split(x, pieces), masks, lengths, strict=True):
        (within, state), gradients = _one_piece(part, state, *weights, mask, length, activation, levels)
        states.append(within)
        backwards.append(gradients)

    def gradients(d_states, d_final):
        d_states = [None] * len(pieces) if d_states is None else tf.split(d_states, pieces)
        d_x, sums = [], []
        for backward, d_within in zip(reversed(backwards), reversed(d_states), strict=True):
            d_part, d_final, *shares = backward(d_within, d_final)
            d_x.insert(0, d_part)
            sums.append(shares)
        added = [None if shares[0] is None else tf.add_n(shares) for shares in zip(*sums, strict=True)]
        return tf.concat(d_x, 0), d_final, *added

    return (tf.concat(states, 0), state), gradients


def _one_piece(x, state, kernel, recurrent_kernel, bias, used, lengths, activation, levels):
    """x (timesteps, batch, features), used (timesteps, batch), lengths (batch,) or `None` for those that `used` says."""
    run = _in_loops if levels else _in_large_products
    return run(x, state, kernel, recurrent_kernel, bias, used, lengths, activation, levels)


def _in_loops(x, state, kernel, recurrent_kernel, bias, used, lengths, activation, levels):
    """Everything within XLA."""
    rest = used, lengths, activation, levels
    states, final = _forward(x, state, kernel, recurrent_kernel, bias, *rest)

    def gradients(d_states, d_final):
        d_state, *shares, d_bias, d_z = _backward(x, state, kernel, recurrent_kernel, states, d_states, d_final, *rest)
        # Apart from the others, if it is costly: where nobody asks for it, TensorFlow leaves it out.
        d_x = d_z if _loops.is_narrow(kernel) else _input_gradient(d_z, kernel, used, lengths, levels)
        return d_x, d_state, *shares, None if bias is None else d_bias

    return (states, final), gradients


@_loops.compiled
def _forward(x, state, kernel, recurrent_kernel, bias, used, lengths, activation, levels):
    weights = kernel, recurrent_kernel, bias
    if x.shape[0] <= _loops.FEW:
        return _loops.few_steps_forward(x, used, state, *weights, activation)
    return _loops.forward(x, used, _ends(x, used, lengths, levels), state, *weights, activation, levels)


@_loops.compiled
def _backward(x, state, kernel, recurrent_kernel, states, d_states, d_final, used, lengths, activation, levels):
    rest = kernel, recurrent_kernel, states, d_states, d_final, activation
    if x.shape[0] <= _loops.FEW:
        return _loops.few_steps_backward(x, used, state, *rest)
    return _loops.backward(x, used, _ends(x, used, lengths, levels), state, *rest, levels)


@_loops.compiled
def _input_gradient(d_z, kernel, used, lengths, levels):
    if d_z.shape[0] <= _loops.FEW:
        return tf.einsum("tbu,fu->tbf", d_z, kernel)
    return _loops.input_gradient(d_z, _ends(d_z, used, lengths, levels), kernel, levels)


def _ends(x, used, lengths, levels):
    """Where each level ends."""
    if used is None:
        return tf.constant([x.shape[0]])
    return _loops.level_ends(tf.reduce_max(_positions(used, axis=0), axis=0) if lengths is None else lengths, levels)


def _in_large_products(x, state, kernel, recurrent_kernel, bias, used, lengths, activation, levels):
    """Without a mask: the input projection and the sums over all timesteps as TensorFlow's products, XLA for the steps."""
    (timesteps, _, features), units = x.shape, kernel.shape[1]
    shape = [timesteps, _loops.batch_of(x, 1)]
    seen = tf.reshape(x, [-1, features])
    # One piece of the time after the other: TensorFlow would project all of them first.
    with tf.control_dependencies([state]):
        projected = tf.matmul(seen, kernel)
    projected = projected if bias is None else tf.nn.bias_add(projected, bias)
    states, final = _loops.steps(tf.reshape(projected, [*shape, units]), state, recurrent_kernel, activation)

    def gradients(d_states, d_final):
        d_z, d_state = _loops.back_steps(states, d_states, d_final, recurrent_kernel, activation)
        flat = tf.reshape(d_z, [-1, units])
        d_x = tf.reshape(tf.matmul(flat, kernel, transpose_b=True), [*shape, features])
        earlier, later = tf.reshape(states[:-1], [-1, units]), tf.reshape(d_z[1:], [-1, units])
        d_recurrent = tf.matmul(earlier, later, transpose_a=True) + tf.matmul(state, d_z[0], transpose_a=True)
        d_kernel = tf.matmul(seen, flat, transpose_a=True)
        with tf.control_dependencies([d_kernel, d_recurrent]):
            d_state = tf.identity(d_state)
        return d_x, d_state, d_kernel, d_recurrent, None if bias is None else tf.reduce_sum(flat, 0)

    return (states, final), gradients


def _pieces(timesteps, batch, units):
    """The lengths of the pieces that the time is taken in: one, or up to eight where the states take much memory."""
    # A batch of unknown size is in one piece; and so is what XLA compiles whole, whose memory is planned as a whole.
    small = timesteps * (batch or 0) * units < PIECES_FROM or _loops.within_xla()
    length = timesteps if small else -(-timesteps // MOST_PIECES)
    return [min(length, timesteps - start) for start in range(0, timesteps, length)]


def _time_major(array):
    """Batch and timesteps change places."""
    return tf.transpose(array, [1, 0, 2])


def _positions(used, axis):
    """Of a mask with timesteps along `axis`: at each used one its number, from 1, and elsewhere 0."""
    numbers = tf.range(1, used.shape[axis] + 1)
    return tf.where(used, numbers if axis else numbers[:, None], 0)


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
