"""Gradient flow: how much of a gradient is left the further back in time it goes, and what that means."""

from dataclasses import dataclass

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.explaining._activations import named, slopes, step_jacobian
from rnnzoo.explaining._parts import RecurrentTrace
from rnnzoo.explaining._trace import trace
from rnnzoo.layers import reference

# Over the sequence a gradient that loses or gains this many powers of ten is said to vanish or to explode.
POWERS = 2.0
# Step Jacobians of so many examples, and singular values of so many of their timesteps, are looked at.
EXAMPLES, STEPS = 4, 32
# A unit is saturated where the activation's slope is below a tenth of its steepest.
FLAT = 0.1
STEEPEST = {"sigmoid": 0.25, "hard_sigmoid": 1 / 6, "selu": 1.0507009873554805}
# No training clips at norms above this.
SENSIBLE = 1e4
ADVICE = {
    "vanishing": "try an orthogonal or an identity start (recurrent_initializer), or a shorter sequence first",
    "exploding": "try clipping (training.clip_norm), an orthogonal or an identity start, or a smaller learning rate",
}


@dataclass
class LayerFlow:
    """How gradients flow through one recurrent layer in one direction.

    Attributes:
        name: the layer's name, as in a `Trace`.
        norms: (timesteps,) the mean over the examples of the norm of dL/dh_t, by the distance from the last used step.
        transported: (timesteps,) the same of the gradient that begins at the last used step alone: what of it is left
            after so many steps back. Where a loss has one output, at the end, the two are one.
        singular_values: (timesteps looked at, units) of the step Jacobians dh_t/dh_{t-1}, largest first, their mean over
            the examples looked at.
        rate: the powers of ten by which the largest singular value of their product grows a step.
        spectral_radius: the largest absolute eigenvalue of the recurrent kernel.
        kernel_norm: its largest singular value.
        saturation: the share of used states at which the activation is nearly flat (below a tenth of its steepest slope).
        powers: the powers of ten that such a gradient gains (loses, where negative) over the longest sequence; the median
            over the examples.
        memory: the effective memory: after how many timesteps less than a tenth of the gradient is left, going on at the
            same rate where the sequence is too short to show it; infinite where it does not shrink.
        clip_norm: the norm of all weights' gradient, had no dL/dh_t been larger than at the last used step.
        verdict: "vanishing", "exploding" or "steady".
    """

    name: str
    norms: np.ndarray
    transported: np.ndarray
    singular_values: np.ndarray
    rate: float
    spectral_radius: float
    kernel_norm: float
    saturation: float
    powers: float
    memory: float
    clip_norm: float
    verdict: str

    def __str__(self):
        """The verdict in words, with its figures."""
        steps = _timesteps(len(self.transported))
        state = f"spectral radius {self.spectral_radius:.3g}, {self.saturation:.0%} of the states saturated"
        if self.verdict == "vanishing":
            powers = "all of it" if self.powers == -np.inf else f"by {-self.powers:.1f} powers of ten"
            memory = f"effective memory {_timesteps(round(self.memory))}"
            return f"{self.name}: vanishing, {powers} over {steps}; {memory}; {state}; {ADVICE['vanishing']}"
        if self.verdict == "exploding":
            bound = f"a clip norm of {self.clip_norm:.3g} would have bound it"
            if not self.clip_norm < SENSIBLE:
                bound = "the states explode too, which no clipping mends"
            powers = "past all bounds" if self.powers == np.inf else f"by {self.powers:.1f} powers of ten"
            return f"{self.name}: exploding, {powers} over {steps}; {bound}; {state}; {ADVICE['exploding']}"
        return f"{self.name}: steady, within {abs(self.powers):.1f} powers of ten over {steps}; {state}"


def _timesteps(count):
    return f"{count} timestep" if count == 1 else f"{count} timesteps"


def gradient_flow(model, x, y, *, loss=None, sample_weight=None):
    """How gradients flow back through time in every recurrent layer of a model, over a batch of data.

    Pascanu et al. 2013, "On the difficulty of training recurrent neural networks". The arguments are those of `trace`.

    Returns:
        A list of `LayerFlow`, one a recurrent layer and direction.

    Raises:
        InputError: as `trace`; or nothing in the model recurs, or there is no target.
    """
    if y is None:
        raise InputError("gradients flow from a loss: a target is needed")
    flows = flow_of(trace(model, x, y, loss=loss, sample_weight=sample_weight))
    if not flows:
        raise InputError(f"'{model.name}' has no recurrent layer: there is no time for gradients to flow through")
    return flows


def flow_of(traced):
    """The same of a `Trace` that is there already.

    Returns:
        A list of `LayerFlow`, one a recurrent layer and direction; empty where nothing recurs.

    Raises:
        InputError: it was traced without a target.
    """
    if traced.loss is None:
        raise InputError("gradients flow from a loss: a target is needed")
    return [_flow(layer, traced) for layer in traced.layers.values() if isinstance(layer, RecurrentTrace)]


def _flow(layer, traced):
    with np.errstate(over="ignore", invalid="ignore"):
        arrived = _in_order(layer, layer.d_states)
        alone = _in_order(layer, _from_the_last_step(layer))
        norms, transported = _by_distance(layer, arrived), _by_distance(layer, alone)
        singular_values, rate = _jacobians(layer)
        powers = _powers(layer, alone, rate)
    verdict = "vanishing" if powers <= -POWERS else "exploding" if powers >= POWERS else "steady"
    return LayerFlow(
        name=layer.name,
        norms=norms,
        transported=transported,
        singular_values=singular_values,
        rate=rate,
        spectral_radius=float(np.abs(np.linalg.eigvals(layer.recurrent_kernel)).max()),
        kernel_norm=float(np.linalg.norm(layer.recurrent_kernel, 2)),
        saturation=_saturation(layer),
        powers=powers,
        memory=_memory(transported, powers),
        clip_norm=_bound(layer, traced),
        verdict=verdict,
    )


def _powers(layer, alone, rate):
    """The powers of ten that the gradient which begins at the last used step gains over the longest sequence.

    The median over the examples; of a shorter one, at its own rate.
    """
    norms, last = np.linalg.norm(alone, axis=-1), _last(layer)
    steps, found = int(last.max()), []
    for row, end in zip(norms, last, strict=True):
        if not end or row[end] == 0:  # nothing goes back, or nothing arrives
            continue
        back = row[end::-1]
        if not np.isfinite(back).all():
            found.append(np.inf)
            continue
        # What underflows has done so at the rate seen before.
        reached = int(np.flatnonzero(back)[-1])
        found.append(np.log10(back[reached] / back[0]) * steps / reached if reached else -np.inf)
    # At the loss's minimum no gradient arrives: what the steps would do to one.
    return float(np.median(found)) if found else rate * steps


def _in_order(layer, array):
    """(batch, timesteps, units) as the layer takes its timesteps."""
    return array[:, layer.order]


def _used(layer):
    """(batch, timesteps) bool in the order of the layer's timesteps."""
    if layer.mask is None:
        return np.ones(layer.states.shape[:2], bool)
    return _in_order(layer, layer.mask)


def _last(layer):
    """(batch,) the last used timestep of each row, in the layer's order; the first one where none is used."""
    used = _used(layer)
    return np.where(used.any(axis=1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=1), 0)


def _from_the_last_step(layer):
    """dL/dh_t of the gradient that arrives at each row's last used step alone."""
    rows, last = np.arange(len(layer.states)), _last(layer)
    arrived = _in_order(layer, layer.d_states)
    start = np.zeros_like(arrived)
    start[rows, last] = arrived[rows, last]
    used = _used(layer)
    found = reference.backward(
        _in_order(layer, layer.inputs),
        _in_order(layer, layer.states),
        start,
        layer.kernel,
        layer.recurrent_kernel,
        named(layer.activation),
        used,
        layer.initial_state,
        _in_order(layer, layer.pre_activations),
    )
    return (start + found["later"])[:, np.argsort(layer.order)]


def _by_distance(layer, gradients):
    """(batch, timesteps, units) in the layer's order -> the mean norm at each distance from the row's last used step."""
    norms, last = np.linalg.norm(gradients, axis=-1), _last(layer)
    longest = int(last.max()) + 1
    sums, counts = np.zeros(longest), np.zeros(longest)
    for row, end in zip(norms, last, strict=True):
        sums[: end + 1] += row[end::-1]
        counts[: end + 1] += 1
    return sums / counts


def _jacobians(layer):
    """The singular values of the step Jacobians, and the powers of ten that their product grows a step."""
    z, states = (_in_order(layer, array)[:EXAMPLES] for array in (layer.pre_activations, layer.states))
    used = _used(layer)[:EXAMPLES]
    timesteps, units = states.shape[1:]
    looked_at = np.unique(np.linspace(0, timesteps - 1, min(STEPS, timesteps)).astype(int))
    values, rates = [], []
    for z_row, h_row, counts in zip(z, states, used, strict=True):

        def jacobian(t, z_row=z_row, h_row=h_row):
            return step_jacobian(layer.activation, layer.recurrent_kernel, z_row[t], h_row[t])

        values.append([np.linalg.svd(jacobian(t), compute_uv=False) for t in looked_at])
        product, grown, steps = np.eye(units), 0.0, 0
        for t in np.flatnonzero(counts):
            longer = product @ jacobian(t)
            size = np.linalg.norm(longer)
            if size == 0:  # nothing comes through
                grown, steps = -np.inf, steps + 1
                break
            if not np.isfinite(size):
                break
            product, grown, steps = longer / size, grown + np.log10(size), steps + 1
        if steps:
            rates.append((grown + np.log10(np.linalg.norm(product, 2))) / steps)
    return np.mean(values, axis=0), float(np.mean(rates)) if rates else -np.inf


def _saturation(layer):
    """The share of used states at which the activation is nearly flat."""
    counts = slice(None) if layer.mask is None else layer.mask
    z, states = layer.pre_activations[counts], layer.states[counts]
    if not states.size:
        return 0.0
    return float((np.abs(slopes(layer.activation, z, states)) < FLAT * STEEPEST.get(layer.activation, 1.0)).mean())


def _memory(transported, powers):
    """After how many timesteps less than a tenth is left."""
    below = np.flatnonzero(transported < 0.1 * transported[0])
    if len(below):
        return float(below[0])
    return (len(transported) - 1) / -powers if powers < 0 else np.inf


def _bound(layer, traced):
    """The norm of all weights' gradient, had no dL/dh_t of this layer been larger than at the last used step."""
    rows, last = np.arange(len(layer.states)), _last(layer)
    norms = np.linalg.norm(_in_order(layer, layer.d_states), axis=-1)
    first = norms[rows, last][:, None]
    scale = np.where(norms > first, first / np.where(norms > 0, norms, 1), 1)[:, np.argsort(layer.order)]
    d_z = layer.d_pre_activations * np.nan_to_num(scale)[..., None]
    shares = [np.einsum("btf,btu->fu", array, d_z) for array in (layer.inputs, layer.states_before)]
    shares.append(d_z.sum(axis=(0, 1)) if layer.bias is not None else np.zeros(1))
    others = [gradient for path, gradient in traced.gradients.items() if path not in layer.paths]
    return float(np.sqrt(sum((array**2).sum() for array in (*shares, *others))))
