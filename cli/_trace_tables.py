"""A trace as tables on the terminal, and as JSON."""

import click

from rnnzoo.cli._shared import print_table


def print_trace(tokens, traced, units, steps):
    """Every layer forward and back, and what is kept in memory.

    Args:
        tokens: input name -> what stands at each timestep, as text.
        traced: the `Trace`, of a batch of one.
        units: how many units of each vector are shown.
        steps: how many timesteps of each layer.
    """
    from rnnzoo.explaining import tokens_of

    show = _Show(units, steps)
    for name, layer in traced.layers.items():
        click.echo("")
        _, column = tokens_of(layer, tokens)
        if hasattr(layer, "recurrent_kernel"):
            _recurrent(show, name, layer, column, traced.loss is not None)
        else:
            _dense(show, name, layer, column, traced)
    click.echo("\nKept in memory on the way forward, of one example in 32-bit floats:")
    kept = traced.kept()
    rows = [[name, what, _shape(shape), f"{size:,}"] for name, what, shape, size in kept]
    print_table(["layer", "what", "shape", "bytes"], [*rows, ["all", "", "", f"{sum(size for *_, size in kept):,}"]])


class _Show:
    """How numbers, vectors and matrices are written, and which timesteps are."""

    def __init__(self, units, steps):
        self.units, self.steps = units, steps

    def vector(self, array):
        """The first units, and how many more there are."""
        text = " ".join(f"{value + 0.0:.4g}" for value in array.ravel()[: self.units])  # no -0
        more = array.size - self.units
        return f"{text} +{more}" if more > 0 else text

    def share(self, array):
        """A matrix: its one number, or its norm."""
        return f"{array.item() + 0.0:.4g}" if array.size == 1 else f"‖{(array**2).sum() ** 0.5:.4g}‖"

    def rows(self, timesteps, row):
        """The rows of a table: the first and the last timesteps where there are too many."""
        if len(timesteps) <= self.steps:
            return [row(t) for t in timesteps]
        half = self.steps // 2
        first, last = [row(t) for t in timesteps[:half]], [row(t) for t in timesteps[-half:]]
        return [*first, ["…"] * len(first[0]), *last]


def _recurrent(show, name, layer, tokens, back):
    step, before = ("t-1", "t+1") if layer.backwards else ("t+1", "t-1")
    act, bias = layer.activation, "" if layer.bias is None else " + b"
    direction = ", from the last timestep to the first" if layer.backwards else ""
    units = layer.states.shape[2]
    click.echo(f"{name}: {units} {'unit' if units == 1 else 'units'}{direction}")
    masks = layer.mask is not None and not layer.mask.all()
    click.echo(f"forward   z_t = x_t W + h_{before} U{bias},  h_t = {act}(z_t)")

    def masked(t):
        return ["" if layer.mask[0, t] else "masked"] if masks else []

    def place(t):
        return [t + 1, *([tokens[t]] if tokens else [])]

    heads = ["t", *(["token"] if tokens else [])]
    print_table(
        [*heads, "x_t", "z_t", "h_t", *(["mask"] if masks else [])],
        show.rows(
            layer.order,
            lambda t: [
                *place(t),
                *(show.vector(array[0, t]) for array in (layer.inputs, layer.pre_activations, layer.states)),
                *masked(t),
            ],
        ),
    )
    if not back:
        return
    click.echo(f"back      dL/dh_t = from the output + dz_{step} Uᵀ,  dz_t = {act}'(z_t) dL/dh_t,  dW = Σ x_tᵀ dz_t,")
    click.echo(
        f"          dU = Σ h_{before}ᵀ dz_t{',  db = Σ dz_t' if bias else ''}; Σ: the sum so far, which becomes the update"
    )
    shares = [layer.kernel_shares, layer.recurrent_kernel_shares, *([layer.bias_shares] if bias else [])]
    sums = [layer.running(share) for share in shares]
    names = ["dW", "dU", "db"][: len(shares)]
    arrays = layer.d_from_output, layer.d_from_later, layer.d_pre_activations
    print_table(
        [*heads, "from output", f"from {step}", "dz_t", *(head for name in names for head in (name, f"Σ {name}"))],
        show.rows(
            layer.order[::-1],
            lambda t: [
                *place(t),
                *(show.vector(array[0, t]) for array in arrays),
                *(show.share(array[t]) for pair in zip(shares, sums, strict=True) for array in pair),
            ],
        ),
    )


def _dense(show, name, layer, tokens, traced):
    back, act = traced.loss is not None, layer.activation
    click.echo(f"{name}: y = {act}(z),  z = x V{'' if layer.bias is None else ' + c'}")
    arrays = [("x", layer.inputs), ("z", layer.pre_activations), ("y", layer.outputs)]
    # The model's output itself, at which the loss begins.
    losses = traced.losses if back and layer.outputs is traced.outputs else None
    if back:
        click.echo(f"back: dz = {act}'(z) dL/dy,  dV = Σ xᵀ dz,  dL/dx = dz Vᵀ")
        arrays += [("dL/dy", layer.d_outputs), ("dz", layer.d_pre_activations), ("dL/dx", layer.d_inputs)]
    sequence = layer.inputs.ndim == 3
    heads = [*(["t"] if sequence else []), *(["token"] if tokens else []), *(head for head, _ in arrays)]
    if losses is not None:
        heads.insert(heads.index("y") + 1, "loss")

    def row(t):
        cells = [show.vector(array[0, t] if sequence else array[0]) for _, array in arrays]
        if losses is not None:
            cells.insert(3, f"{losses[0, t] if sequence else losses[0]:.4g}")
        place = [*([t + 1] if sequence else []), *([tokens[t]] if tokens else [])]
        return [*place, *cells, *([show.share(layer.kernel_shares[t])] if back else [])]

    print_table([*heads, *(["dV"] if back else [])], show.rows(range(layer.inputs.shape[1] if sequence else 1), row))


def _shape(shape):
    return " × ".join(map(str, shape))


def trace_json(tokens, traced):
    """The whole trace as values that JSON has."""
    from dataclasses import fields

    def plain(value):
        return value.tolist() if hasattr(value, "tolist") else value

    layers = {}
    for name, layer in traced.layers.items():
        layers[name] = {one.name: plain(getattr(layer, one.name)) for one in fields(layer) if one.name != "name"}
        if traced.loss is not None:
            for share in ("kernel_shares", "recurrent_kernel_shares", "bias_shares"):
                if hasattr(layer, share):
                    layers[name][share] = plain(getattr(layer, share))
    found = {key: plain(getattr(traced, key)) for key in ("outputs", "losses", "weights", "d_outputs")}
    return {
        "tokens": tokens,
        "loss_value": traced.loss,
        "inputs": {name: plain(array) for name, array in traced.inputs.items()},
        **found,
        "layers": layers,
        "gradients": {path: plain(gradient) for path, gradient in traced.gradients.items()},
        "kept": [
            {"layer": name, "what": what, "shape": list(shape), "bytes": size} for name, what, shape, size in traced.kept()
        ],
    }
