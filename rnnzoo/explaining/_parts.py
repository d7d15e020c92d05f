"""What the parts of a trace are: arrays with a name, of one layer each."""

from dataclasses import dataclass, field

import numpy as np

from rnnzoo.explaining._activations import needs_pre_activations


@dataclass
class RecurrentTrace:
    """One recurrent layer in one direction of time, forward and backward.

    h_t = act(z_t), z_t = x_t W + h_{t-1} U + b, and back: dL/dh_t = what arrives from the output at t + what arrives from
    the later step; dz_t = act'(h_t) * dL/dh_t. Everything is in the order of the input's timesteps; a layer that runs
    backwards has its "later" step, the one that it takes next, at t - 1. Where a timestep is masked the state stands still.

    Attributes:
        name: the layer's name in the model, with `/forward` or `/backward` where there are two directions.
        activation: its name.
        backwards: whether it runs from the last timestep to the first.
        kernel: W, (features, units).
        recurrent_kernel: U, (units, units).
        bias: b, (units,), or `None`.
        inputs: x, (batch, timesteps, features).
        mask: (batch, timesteps) bool, True where the timestep is used, or `None`.
        initial_state: h_0, (batch, units).
        pre_activations: z, (batch, timesteps, units); at masked timesteps what it would have been.
        states: h, (batch, timesteps, units).
        d_from_output: dL/dh_t that arrives at t from above: the readout, a layer on top, or an output that is fed back;
            (batch, timesteps, units), as those that follow; `None` where there was no target.
        d_from_later: dL/dh_t that arrives from the step after.
        d_pre_activations: dz.
        d_inputs: dL/dx, (batch, timesteps, features).
        d_initial_state: dL/dh_0, (batch, units).
        paths: the paths of its variables, the keys of `Trace.gradients`.
    """

    name: str
    activation: str
    backwards: bool
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None
    inputs: np.ndarray
    mask: np.ndarray | None
    initial_state: np.ndarray
    pre_activations: np.ndarray
    states: np.ndarray
    d_from_output: np.ndarray | None = None
    d_from_later: np.ndarray | None = None
    d_pre_activations: np.ndarray | None = None
    d_inputs: np.ndarray | None = None
    d_initial_state: np.ndarray | None = None
    paths: tuple = ()

    @property
    def order(self):
        """(timesteps,) the timesteps as the layer takes them."""
        steps = np.arange(self.states.shape[1])
        return steps[::-1] if self.backwards else steps

    @property
    def d_states(self):
        """dL/dh, (batch, timesteps, units): both parts."""
        return self.d_from_output + self.d_from_later

    @property
    def states_before(self):
        """h_{t-1}, (batch, timesteps, units): the state that each step begins with."""
        first = self.initial_state[:, None]
        if self.backwards:
            return np.concatenate([self.states[:, 1:], first], axis=1)
        return np.concatenate([first, self.states[:, :-1]], axis=1)

    @property
    def kernel_shares(self):
        """(timesteps, features, units): what each step adds to dL/dW, summed over the batch."""
        return np.einsum("btf,btu->tfu", self.inputs, self.d_pre_activations)

    @property
    def recurrent_kernel_shares(self):
        """(timesteps, units, units): what each step adds to dL/dU."""
        return np.einsum("btv,btu->tvu", self.states_before, self.d_pre_activations)

    @property
    def bias_shares(self):
        """(timesteps, units): what each step adds to dL/db."""
        return self.d_pre_activations.sum(axis=0)

    def running(self, shares):
        """The sum of each step's share and those of the steps after it: as it grows on the way back, to the update.

        Args:
            shares: one of the `*_shares`, (timesteps, ...).

        Returns:
            The same shape; the whole gradient stands at the step that the layer takes first.
        """
        back = self.order[::-1]
        sums = np.empty_like(shares)
        sums[back] = np.cumsum(shares[back], axis=0)
        return sums

    def kept(self):
        """What the way back needs from the way forward: name -> array."""
        arrays = {"inputs": self.inputs, "states": self.states, "initial_state": self.initial_state}
        if needs_pre_activations(self.activation):
            arrays["pre_activations"] = self.pre_activations
        return arrays if self.mask is None else {**arrays, "mask": self.mask}


@dataclass
class DenseTrace:
    """A dense layer, at every timestep alike where there are timesteps: y = act(x V + c).

    Attributes:
        name: the layer's name.
        activation: its name.
        kernel: V, (width, outputs).
        bias: c, (outputs,), or `None`.
        inputs: x, (batch, width) or (batch, timesteps, width).
        pre_activations: (batch, ..., outputs).
        outputs: y, (batch, ..., outputs).
        d_outputs, d_pre_activations: the loss's gradients of them; `None` where there was no target.
        d_inputs: (batch, ..., width).
    """

    name: str
    activation: str
    kernel: np.ndarray
    bias: np.ndarray | None
    inputs: np.ndarray
    pre_activations: np.ndarray
    outputs: np.ndarray
    d_outputs: np.ndarray | None = None
    d_pre_activations: np.ndarray | None = None
    d_inputs: np.ndarray | None = None

    @property
    def kernel_shares(self):
        """(timesteps, width, outputs): what each timestep adds to dL/dV; (1, ...) without timesteps."""
        x, d_z = (self._with_time(array) for array in (self.inputs, self.d_pre_activations))
        return np.einsum("btf,btu->tfu", x, d_z)

    @property
    def bias_shares(self):
        """(timesteps, outputs): what each timestep adds to dL/dc."""
        return self._with_time(self.d_pre_activations).sum(axis=0)

    @staticmethod
    def _with_time(array):
        return array[:, None] if array.ndim == 2 else array

    def kept(self):
        """What the way back needs from the way forward: name -> array."""
        last = "pre_activations" if needs_pre_activations(self.activation) else "outputs"
        return {"inputs": self.inputs, last: getattr(self, last)}


def tokens_of(layer, tokens):
    """The input that a layer of a trace goes along, and what stands at each of its timesteps, as text.

    Args:
        layer: a `RecurrentTrace` or a `DenseTrace`.
        tokens: input name -> what stands at each timestep.

    Returns:
        The input's name, and a list; an empty one where the layer has no timesteps, or not that input's.
    """
    side = "source" if layer.name.startswith("encoder") else "target" if layer.name.startswith("decoder") else "inputs"
    found = tokens.get(side, [])
    return side, found if layer.inputs.ndim == 3 and layer.inputs.shape[1] == len(found) else []


@dataclass
class Trace:
    """What flows forward and backward through a model for one batch; everything in 64-bit floats.

    Attributes:
        inputs: input name -> array as the model takes it.
        outputs: (batch, ..., outputs).
        layers: name -> `RecurrentTrace` or `DenseTrace`, in the order in which the model runs them.
        losses: the loss of each output, (batch,) or (batch, timesteps); `None` where there was no target.
        weights: how much each counts, of the same shape: 0 where it is padding.
        loss: sum(losses * weights) / sum(weights), what training lowers; not divided where the loss is a sum.
        d_outputs: dL/dy, of the shape of `outputs`.
        gradients: the path of each trainable variable (`hidden/kernel`) -> dL/dvariable.
    """

    inputs: dict
    outputs: np.ndarray
    layers: dict
    losses: np.ndarray | None = None
    weights: np.ndarray | None = None
    loss: float | None = None
    d_outputs: np.ndarray | None = None
    gradients: dict = field(default_factory=dict)

    def kept(self, bytes_per_number=4):
        """What training keeps in memory on the way forward: a list of (layer, what, shape, bytes), the mask as bytes."""
        return [
            (name, what, array.shape, array.size * (1 if array.dtype == bool else bytes_per_number))
            for name, layer in self.layers.items()
            for what, array in layer.kept().items()
        ]
