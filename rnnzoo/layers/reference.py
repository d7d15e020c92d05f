"""The recurrence in NumPy, written to be read: the truth that the Keras layer is compared with.

h_t = act(z_t) with z_t = x_t W + h_{t-1} U + b, and on the way back (backpropagation through time, Werbos 1990)
dz_t = act'(h_t) * (dh_t + dz_{t+1} U^T).
"""

import numpy as np

_ALPHA, _SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946  # selu, Klambauer et al. 2017

_LEAK = float(np.float32(0.2))  # TensorFlow holds the slope in 32 bits, whatever the input


def _elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def _between(h, low, high, slope=1.0):
    """`slope` where a clipped activation is not clipped."""
    return ((h > low) & (h < high)) * np.asarray(slope, h.dtype)


# Each activation, and its derivative as a function of its own value h = act(z): that is all the way back needs to keep.
ACTIVATIONS = {
    "elu": (_elu, lambda h: np.where(h > 0, 1.0, h + 1.0)),
    "hard_sigmoid": (lambda z: np.clip(z / 6.0 + 0.5, 0.0, 1.0), lambda h: _between(h, 0.0, 1.0, 1 / 6)),
    "hard_tanh": (lambda z: np.clip(z, -1.0, 1.0), lambda h: _between(h, -1.0, 1.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, _LEAK * z), lambda h: np.where(h > 0, 1.0, _LEAK)),
    "linear": (lambda z: z, lambda h: np.ones_like(h)),
    "relu": (lambda z: np.maximum(z, 0.0), lambda h: (h > 0).astype(h.dtype)),
    "relu6": (lambda z: np.clip(z, 0.0, 6.0), lambda h: _between(h, 0.0, 6.0)),
    "selu": (
        lambda z: _SCALE * np.where(z > 0, z, _ALPHA * np.expm1(np.minimum(z, 0))),
        lambda h: np.where(h > 0, _SCALE, h + _SCALE * _ALPHA),
    ),
    "sigmoid": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda h: h * (1.0 - h)),
    "softplus": (lambda z: np.logaddexp(z, 0.0), lambda h: -np.expm1(-h)),
    "softsign": (lambda z: z / (1.0 + np.abs(z)), lambda h: (1.0 - np.abs(h)) ** 2),
    "tanh": (np.tanh, lambda h: 1.0 - h * h),
}


def padding_mask(inputs, mask_value=0.0):
    """(..., timesteps) token ids or (..., timesteps, features) real vectors -> (..., timesteps) bool, as `PaddingMask`.

    Ids are padding where they are 0, bags of them (batch, timesteps, bag) where all are, vectors where every feature is
    `mask_value`. What is of whole numbers is ids.
    """
    if inputs.dtype.kind == "i":
        return inputs != 0 if inputs.ndim < 3 else (inputs != 0).any(axis=-1)
    return (inputs != mask_value).any(axis=-1)


def forward(x, kernel, recurrent_kernel, bias=None, activation="tanh", mask=None, initial_state=None):
    """(batch, timesteps, features) -> (batch, timesteps, units): the hidden state after every timestep.

    Args:
        x: (batch, timesteps, features).
        kernel: W, (features, units).
        recurrent_kernel: U, (units, units).
        bias: b, (units,), or `None`.
        activation: a key of `ACTIVATIONS`, or two functions: z -> h, and (z, h, dh) -> dz.
        mask: (batch, timesteps) bool, True where the timestep is used; the state stands still where it is not.
        initial_state: h_0, (batch, units); zeros if `None`.
    """
    act, _ = functions(activation)
    batch, timesteps, _ = x.shape
    h = np.zeros((batch, kernel.shape[1]), x.dtype) if initial_state is None else initial_state
    states = np.zeros((batch, timesteps, kernel.shape[1]), x.dtype)
    for t in range(timesteps):
        z = x[:, t] @ kernel + h @ recurrent_kernel  # (batch, units)
        if bias is not None:
            z = z + bias
        h = act(z) if mask is None else np.where(mask[:, t, None], act(z), h)
        states[:, t] = h
    return states


def backward(
    x, states, d_states, kernel, recurrent_kernel, activation="tanh", mask=None, initial_state=None, pre_activations=None
):
    """The gradients of a loss with respect to everything that `forward` was given.

    Args:
        x, kernel, recurrent_kernel, activation, mask, initial_state: as given to `forward`.
        states: what `forward` returned, (batch, timesteps, units).
        d_states: dL/dh_t that arrives from outside the recurrence at each timestep, (batch, timesteps, units).
        pre_activations: z_t, (batch, timesteps, units); needed where the activation is given as functions that use them.

    Returns:
        A dict: `x` (batch, timesteps, features), `kernel` (features, units), `recurrent_kernel` (units, units),
        `bias` (units,), `initial_state` (batch, units), `z` (batch, timesteps, units), the dz_t, and `later`
        (batch, timesteps, units), the part of dL/dh_t that arrives from the step after; `d_states` is the other part.
    """
    _, back = functions(activation)
    batch, timesteps, units = states.shape
    first = np.zeros((batch, units), x.dtype) if initial_state is None else initial_state
    d_z, later = np.zeros_like(states), np.zeros_like(states)
    d_kernel, d_recurrent, d_bias = np.zeros_like(kernel), np.zeros_like(recurrent_kernel), np.zeros(units, x.dtype)
    d_h = np.zeros((batch, units), x.dtype)  # what arrives from the later step
    for t in reversed(range(timesteps)):
        later[:, t] = d_h
        d_h = d_h + d_states[:, t]
        used = np.ones((batch, 1), bool) if mask is None else mask[:, t, None]
        z = None if pre_activations is None else pre_activations[:, t]
        d_z[:, t] = np.where(used, back(z, states[:, t], d_h), 0.0)
        before = states[:, t - 1] if t else first
        d_kernel += x[:, t].T @ d_z[:, t]
        d_recurrent += before.T @ d_z[:, t]
        d_bias += d_z[:, t].sum(0)
        d_h = np.where(used, d_z[:, t] @ recurrent_kernel.T, d_h)
    return {
        "x": d_z @ kernel.T,
        "kernel": d_kernel,
        "recurrent_kernel": d_recurrent,
        "bias": d_bias,
        "initial_state": d_h,
        "z": d_z,
        "later": later,
    }


def pool(x, how, mask):
    """(batch, timesteps, width) -> (batch, width): a part of what `MaskedPooling` gives.

    Args:
        x: (batch, timesteps, width).
        how: "mean" or "max" over time, or the "last" or the "first" used timestep's.
        mask: (batch, timesteps) bool, True where the timestep is used; where none is, zeros come out.
    """
    pooled = np.zeros((x.shape[0], x.shape[2]), x.dtype)
    for row, (vectors, used) in enumerate(zip(x, mask, strict=True)):
        if used.any():
            vectors = vectors[used]
            pooled[row] = {"mean": vectors.mean(0), "max": vectors.max(0), "last": vectors[-1], "first": vectors[0]}[how]
    return pooled


def pool_back(x, pooled, d_pooled, how, mask):
    """The gradient of a loss with respect to `pool`'s x, from that with respect to what it gave, (batch, width).

    Of a mean every used timestep has an equal part; of a maximum those have it, in equal parts, that are the largest; of the
    last or the first that one has all of it.
    """
    used = np.broadcast_to(mask[..., None], x.shape)
    if how in ("last", "first"):
        order = np.cumsum(used, axis=1)
        parts = used & (order == (order[:, -1:] if how == "last" else 1))
    else:
        parts = used if how == "mean" else used & (x == pooled[:, None])
    return np.where(parts, d_pooled[:, None] / np.maximum(parts.sum(axis=1, keepdims=True), 1), 0.0)


def functions(activation):
    """z -> h, and (z, h, dh) -> dz, of a key of `ACTIVATIONS`; what is functions already, as it is."""
    if not isinstance(activation, str):
        return activation
    act, derivative = ACTIVATIONS[activation]
    return act, lambda z, h, d_h: derivative(h) * d_h
