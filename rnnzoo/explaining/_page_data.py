"""What a page shows of a trace, as values that JSON has: its layers, the stops of its slider, its arrays."""

import re
from dataclasses import replace

import numpy as np

from rnnzoo.explaining._activations import slopes
from rnnzoo.explaining._packing import Pool
from rnnzoo.explaining._parts import RecurrentTrace

# Of one layer: numbers up to which what follows from the trace (x_t W, act'(z_t)) is put in too, and whole shares are.
DERIVED, WHOLE, MATRIX = 20_000, 4_096, 64
# Bytes that the arrays may take; past it each layer shows its first units alone.
LIMIT = 4_000_000


def page_data(traced, tokens, flows, names, wanted):
    """A dict of everything that the page's script draws and writes, for a trace of one example.

    Args:
        traced: a `Trace`, its batch of one.
        tokens: input name -> what stands at each timestep, as text.
        flows: a list of `LayerFlow`.
        names: what each output stands for, as text; empty where that is unknown.
        wanted: the right answer at each timestep of the output, as text; empty where that is unknown.
    """
    widest = max(max(layer.kernel.shape) for layer in traced.layers.values())
    kept = widest
    while True:
        data = _with(traced, tokens, flows, names, wanted, kept)
        size = sum(len(array.get("data", "")) for array in data["arrays"])
        if size <= LIMIT or kept <= 4:
            return data
        kept = min(kept - 1, max(4, int(kept * LIMIT / size)))


def _with(traced, tokens, flows, names, wanted, kept):
    pool = Pool()
    layers = _ordered(traced)
    letters = _letters(layers, traced)
    tags = _tags(layers, letters)
    described = []
    for layer in layers:
        describe = _recurrent if isinstance(layer, RecurrentTrace) else _dense
        said = describe(layer, pool, kept, *letters[layer.name])
        said |= {"name": layer.name, "activation": layer.activation, "tag": tags[layer.name]}
        described.append(said | _tokens_of(layer, said["steps"], tokens, traced))
    last = next((i for i, layer in enumerate(layers) if getattr(layer, "outputs", None) is traced.outputs), None)
    loss = None
    if traced.loss is not None:
        each, weights = traced.losses.reshape(-1), traced.weights.reshape(-1)
        loss = {"value": pool.add([traced.loss]), "each": pool.add(each), "weights": pool.add(weights)}
    return {
        "layers": described,
        "groups": _groups(layers, described),
        "output": last,
        "loss": loss,
        "names": list(map(str, names)) if len(names) == traced.outputs.shape[-1] else [],
        "wanted": list(map(str, wanted)),
        "flows": [
            {
                "name": flow.name,
                "verdict": flow.verdict,
                "said": str(flow),
                "norms": pool.add(flow.norms),
                "transported": pool.add(flow.transported),
            }
            for flow in flows
        ],
        "arrays": pool.arrays,
    }


def one_example(traced, example):
    """The trace of one row of the batch: the shares and sums are then that row's own."""

    def row(array):
        return None if array is None else array[example : example + 1]

    outputs, layers = row(traced.outputs), {}
    for name, layer in traced.layers.items():
        batched = [key for key in vars(layer) if key in _BATCHED]
        layers[name] = replace(layer, **{key: row(getattr(layer, key)) for key in batched})
        if getattr(layer, "outputs", None) is not None and layer.outputs is traced.outputs:
            layers[name].outputs = outputs
    inputs = {name: row(array) for name, array in traced.inputs.items()}
    rows = {key: row(getattr(traced, key)) for key in ("losses", "weights", "d_outputs")}
    return replace(traced, inputs=inputs, outputs=outputs, layers=layers, **rows)


_BATCHED = {
    *("inputs", "mask", "initial_state", "pre_activations", "states", "outputs"),
    *("d_from_output", "d_from_later", "d_pre_activations", "d_inputs", "d_initial_state", "d_outputs"),
}


def _recurrent(layer, pool, kept, *_):
    back = layer.d_pre_activations is not None
    x, z, h, before = (array[0] for array in (layer.inputs, layer.pre_activations, layer.states, layer.states_before))
    small = z.size <= DERIVED
    said = {
        "kind": "recurrent",
        "backwards": layer.backwards,
        "steps": len(z),
        "features": x.shape[1],
        "units": z.shape[1],
        "kept": min(kept, z.shape[1]),
        "mask": None if layer.mask is None or layer.mask.all() else layer.mask[0].astype(int).tolist(),
        "x": pool.add(x[:, :kept]),
        "z": pool.add(z[:, :kept]),
        "h": pool.add_activated(h[:, :kept], layer.activation, z[:, :kept]),
        "first": pool.add(layer.initial_state[:, :kept]),
        "xw": pool.add((x @ layer.kernel)[:, :kept]) if small else None,
        "hu": pool.add((before @ layer.recurrent_kernel)[:, :kept]) if small else None,
        "b": pool.add(None if layer.bias is None else layer.bias[None, :kept]),
        "weights": _small({"W": layer.kernel, "U": layer.recurrent_kernel}, pool),
        "norms": {"x": _norms(pool, x), "z": _norms(pool, z), "h": _norms(pool, h)},
    }
    if back:
        dz, d_out, d_later = (a[0] for a in (layer.d_pre_activations, layer.d_from_output, layer.d_from_later))
        said |= {
            "dOut": pool.add(d_out[:, :kept]),
            "dLater": pool.add(d_later[:, :kept]),
            "dH": pool.add((d_out + d_later)[:, :kept]),
            "dZ": pool.add(dz[:, :kept]),
            "slope": pool.add(slopes(layer.activation, layer.pre_activations, layer.states)[0][:, :kept]) if small else None,
        }
        said["norms"] |= {"dH": _norms(pool, d_out + d_later), "dZ": _norms(pool, dz), "dOut": _norms(pool, d_out)}
        said["norms"]["dLater"] = _norms(pool, d_later)
        said["shares"] = [
            _share(pool, "W", x, dz, layer.order),
            _share(pool, "U", before, dz, layer.order),
            *([] if layer.bias is None else [_share(pool, "b", None, dz, layer.order)]),
        ]
    return said


def _dense(layer, pool, kept, kernel, bias, value):
    def in_time(array):
        return array[0] if array.ndim == 3 else array

    x, z, y = (in_time(array) for array in (layer.inputs, layer.pre_activations, layer.outputs))
    said = {
        "kind": "dense",
        "letters": {"kernel": kernel, "bias": bias, "value": value},
        "backwards": False,
        "steps": len(z) if layer.inputs.ndim == 3 else 0,
        "features": x.shape[1],
        "units": z.shape[1],
        "kept": min(kept, z.shape[1]),
        "mask": None,
        "x": pool.add(x[:, :kept]),
        "z": pool.add(z[:, :kept]),
        "h": pool.add_activated(y[:, :kept], layer.activation, z[:, :kept]),
        "xw": pool.add((x @ layer.kernel)[:, :kept]) if z.size <= DERIVED else None,
        "b": pool.add(None if layer.bias is None else layer.bias[None, :kept]),
        "weights": _small({kernel: layer.kernel}, pool),
        "norms": {"x": _norms(pool, x), "z": _norms(pool, z), "h": _norms(pool, y)},
    }
    if layer.d_pre_activations is not None:
        dz, dy, dx = (in_time(array) for array in (layer.d_pre_activations, layer.d_outputs, layer.d_inputs))
        order = np.arange(len(dz))
        said |= {"dH": pool.add(dy[:, :kept]), "dZ": pool.add(dz[:, :kept]), "dX": pool.add(dx[:, :kept])}
        said["norms"] |= {"dH": _norms(pool, dy), "dZ": _norms(pool, dz), "dX": _norms(pool, dx)}
        of_bias = [] if layer.bias is None else [_share(pool, bias, None, dz, order)]
        said["shares"] = [_share(pool, kernel, x, dz, order), *of_bias]
    return said


def _small(weights, pool):
    """Weights of few numbers, to be shown whole."""
    return {name: pool.add(weight) for name, weight in weights.items() if weight.size <= MATRIX}


def _norms(pool, rows):
    return pool.add(_size(rows))


def _size(array):
    """The norm of each row, of numbers whose squares may leave what floats hold."""
    rows = array.reshape(len(array), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.abs(rows).max(axis=1, initial=0)
        scale = np.where(np.isfinite(largest) & (largest > 0), largest, 1)
        return np.linalg.norm(rows / scale[:, None], axis=1) * scale


def _share(pool, name, left, dz, order):
    """What each step adds to the gradient of a weight, and the sum of it and of those of the steps after it."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if left is None:
            shape, each = dz.shape[1:], dz
            norms = _size(dz)
        else:
            shape, each = (left.shape[1], dz.shape[1]), None
            norms = _size(left) * _size(dz)
        sums, total = np.empty(len(dz)), np.zeros(shape)
        whole = len(dz) * total.size <= WHOLE and total.size <= MATRIX
        running = np.empty((len(dz), *shape)) if whole else None
        for t in order[::-1]:
            if dz[t].any():
                total = total + (dz[t] if left is None else np.outer(left[t], dz[t]))
            sums[t] = _size(total[None])[0]
            if whole:
                running[t] = total
        if whole and left is not None:
            each = np.einsum("tf,tu->tfu", left, dz)
    return {
        "name": name,
        "shape": list(shape),
        "norms": pool.add(norms),
        "sums": pool.add(sums),
        "each": pool.add(each) if whole else None,
        "running": pool.add(running),
    }


def _family(layer):
    """`hidden` of `hidden_2/forward`."""
    return re.sub(r"_\d+$", "", layer.name.split("/")[0])


def _ordered(traced):
    """The layers so that those of a family follow each other, as they may be run: a graph can give them interleaved."""
    families = list(dict.fromkeys(map(_family, traced.layers.values())))
    return sorted(traced.layers.values(), key=lambda layer: families.index(_family(layer)))


def _direction(layer):
    return layer.name.rpartition("/")[2] if layer.name.endswith(("/forward", "/backward")) else None


def _letters(layers, traced):
    """The kernel's, the bias's and the value's letters of each layer; of dense ones as the pictures have them.

    V is the readout, A sets a first state, D is a dense net over a recurrent one, and W a hidden layer where nothing recurs.
    """
    recurs = any(isinstance(layer, RecurrentTrace) for layer in layers)
    found = {}
    for layer in layers:
        if isinstance(layer, RecurrentTrace):
            found[layer.name] = "W", "b", "h"
        elif layer.outputs is traced.outputs:
            found[layer.name] = "V", "c", "y"
        elif _family(layer) in ("encoder", "state"):
            found[layer.name] = "A", "a", "h"
        else:
            found[layer.name] = ("D", "b", "d") if recurs else ("W", "b", "h")
    return found


def _tags(layers, letters):
    """What stands behind a weight's letter so that no two weights have one name: a side, a number, a direction."""
    sides = {"encoder": "enc", "decoder": "dec"}
    recurrent = [layer for layer in layers if isinstance(layer, RecurrentTrace)]
    both = {_family(layer) for layer in recurrent} >= set(sides)
    dense = [layer for layer in layers if not isinstance(layer, RecurrentTrace)]
    tags = {}
    for layer in dense:
        alike = [other.name for other in dense if letters[other.name] == letters[layer.name]]
        tags[layer.name] = str(alike.index(layer.name) + 1) if len(alike) > 1 else ""
    for family in {_family(layer) for layer in recurrent}:
        own = [layer for layer in recurrent if _family(layer) == family]
        levels = list(dict.fromkeys(layer.name.rpartition("/")[0] if _direction(layer) else layer.name for layer in own))
        for layer in own:
            level = levels.index(layer.name.rpartition("/")[0] if _direction(layer) else layer.name)
            arrow = {"forward": "→", "backward": "←", None: ""}[_direction(layer)]
            number = str(level + 1) if len(levels) > 1 else ""
            tags[layer.name] = " ".join(filter(None, [sides[family] if both else "", number + arrow]))
    return tags


def _tokens_of(layer, steps, tokens, traced):
    """What stands at each timestep of a layer: what it reads, or what it is to write."""
    writes = {"inputs", "target"} <= set(traced.inputs)
    if "source" in traced.inputs:
        side = "source" if _family(layer) == "encoder" else "target"
    else:
        side = "target" if writes else "inputs"
    found = tokens.get(side, ())
    return {"tokens": list(map(str, found)) if steps and len(found) == steps else None, "reads": not writes}


def _groups(layers, described):
    """The stretches of the slider: layers that take their timesteps together, and where they are drawn.

    It also says of each layer its `level` in the drawing: 0 at the bottom of its time line.

    Returns:
        A list of dicts: `layers`, places; `steps`, 0 where there is no time; `backwards`; and `block`, the number of the
        time line that they are drawn in.
    """
    groups, block, recurring = [], -1, None
    for place, (layer, said) in enumerate(zip(layers, described, strict=True)):
        recurs, direction = said["kind"] == "recurrent", _direction(layer)
        last = groups[-1] if groups else None
        # An encoder and a decoder of as many timesteps are two time lines.
        other = recurs and recurring not in (None, _family(layer))
        if last is None or said["steps"] != last["steps"] or other:
            block, recurring = block + 1, None
            said["level"] = 0
        else:
            # Both directions, and layers that set several states, stand side by side.
            beside = direction == "backward" if said["steps"] else np.array_equal(layer.inputs, layers[place - 1].inputs)
            said["level"] = described[place - 1]["level"] + (not beside)
        recurring = _family(layer) if recurs else recurring
        if last is not None and last["block"] == block and direction is None and last["direction"] is None:
            last["layers"].append(place)
        else:
            group = {"layers": [place], "steps": said["steps"], "backwards": said["backwards"], "block": block}
            groups.append({**group, "direction": direction})
    return groups
