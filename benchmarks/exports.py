"""Exports: whether every preset gives the same in every format, how large the files are, and how long one sample takes.

    python benchmarks/exports.py             # all, about 6 minutes; writes benchmarks/EXPORTS.md and exports.json
    python benchmarks/exports.py --quick     # a part of it, less than a minute; prints the table and writes nothing
    python benchmarks/exports.py --changed   # presets whose weights have changed since; the rest stays as it was measured
    python benchmarks/exports.py --tables    # measures nothing: EXPORTS.md from exports.json

Two kinds of cases, each measured in a process of its own, pinned to one core (and to two), in which the sides take turns:

- `size`: one sample at (1, 100, 64, 128), batch, timesteps, features and units, random weights, with a readout of one
  output. `keras` is a `tf.function` of stock Keras layers with an input signature, which is what one call after another
  costs at the least, `predict` their `keras.Model.predict`; the others have the same weights, as they are exported.
- `preset`: one sample of each preset, token ids or vectors in and the model's outputs out; what writes its answer writes it.

Parity and start-up are what `rnnzoo verify` says, in processes that have nothing but the runtime.
"""

import datetime
import tempfile
import time
from pathlib import Path

import measure as shared

FOLDER = Path(__file__).parent
RESULTS, TABLE = FOLDER / "exports.json", FOLDER / "EXPORTS.md"
# What was asked for of a single sample: stock Keras's compiled function over the faster of LiteRT and ONNX.
BAR = 9
TIMESTEPS, FEATURES, UNITS = 100, 64, 128
SIDES = {
    "predict": "`keras.Model.predict`",
    "keras": "Keras, compiled",
    "torch": "PyTorch",
    "saved-model": "SavedModel",
    "onnx": "ONNX",
    "litert": "LiteRT",
}


def cases(quick):
    """The dicts that `measure` takes; fewer and shorter where it is to be quick."""
    from rnnzoo.registry import list_presets

    names = list_presets()
    seconds = 0.2 if quick else 1
    found = [{"kind": "size", "cores": cores, "seconds": 0.5 if quick else 4} for cores in (1, 2)[: 2 - quick]]
    return found + [
        {"kind": "preset", "name": name, "cores": 1, "seconds": seconds} for name in names[: 2 if quick else None]
    ]


def measure(case):
    """Interleaved medians and quartiles of each side in milliseconds; of what is not installed, nothing."""
    sides = size_sides(case["cores"]) if case["kind"] == "size" else preset_sides(case["name"], case["cores"])
    # So short that many calls are one measurement.
    figures, repeats = {}, {}
    for name, step in sides.items():
        step()
        begin = time.perf_counter()
        step()
        repeats[name] = max(1, min(100, round(0.01 / (time.perf_counter() - begin))))
    repeated = {
        name: (lambda step=step, count=repeats[name]: [step() for _ in range(count)]) for name, step in sides.items()
    }
    for name, timed in shared.interleaved(repeated, case["seconds"], least=10).items():
        figures[name] = {key: round(value / repeats[name], 5) for key, value in timed.items()}
    return figures


def size_sides(cores):
    """Name -> a function that takes one sample through a recurrent layer and a readout of random weights."""
    import keras
    import numpy as np
    import tensorflow as tf

    import rnnzoo
    from rnnzoo.exporting._onnx import _sealed, _whole
    from rnnzoo.exporting._tflite import tflite
    from rnnzoo.running._litert import LiteRTModel

    keras.utils.set_random_seed(0)
    inputs = keras.Input((TIMESTEPS, FEATURES), name="inputs")
    stock = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.SimpleRNN(UNITS)(inputs)))
    ours = rnnzoo.many_to_one(features=FEATURES, outputs=1, units=UNITS)
    ours.set_weights(stock.get_weights())
    sample = np.random.default_rng(0).normal(size=(1, TIMESTEPS, FEATURES)).astype(np.float32)
    spec = [tf.TensorSpec([1, TIMESTEPS, FEATURES], tf.float32)]
    function = tf.function(lambda x: stock(x, training=False), input_signature=spec)
    sides = {
        "predict": lambda: stock.predict(sample, verbose=0),
        "keras": lambda: function(sample).numpy(),
        "saved-model": saved(ours, sample),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(tflite(ours, TIMESTEPS))
        litert = LiteRTModel(path, threads=cores)
    sides["litert"] = lambda: litert.run({"inputs": sample})["outputs"]
    about = {"rnnzoo_version": "", "description": "", "preset": "size"}
    sides["onnx"] = onnx_side(_sealed(_whole(ours, None), "model", about), sample, cores)
    torch = shared.import_torch()
    if torch:
        sides["torch"] = torch_side(torch, [("rnn", UNITS, 1)], 1, sample)
    expected = sides["keras"]()
    for name in set(sides) - {"torch"}:  # whose weights are others
        np.testing.assert_allclose(np.ravel(sides[name]()), np.ravel(expected), rtol=1e-4, atol=1e-5)
    return sides


def preset_sides(name, cores):
    """Name -> a function that takes one sample of a preset through it."""
    import numpy as np
    import tensorflow as tf

    import rnnzoo
    from rnnzoo.running import load
    from rnnzoo.serving import Serving
    from rnnzoo.verifying import draw

    zoo = rnnzoo.from_preset(name)
    raw = zoo.check(draw(zoo)["raw"][:1])
    sample = zoo.task.input.front(zoo.task.input.tensor(raw)).numpy()
    serving, model = Serving(zoo.model, zoo.task), zoo.model
    function = tf.function(serving.scores_of, input_signature=[tf.TensorSpec((1, *sample.shape[1:]), sample.dtype)])
    # A teacher-forced model has two inputs, by their names.
    steps = zoo.scores(raw).shape[1] if serving.decoder is not None else 0
    given = {"source": sample, "target": np.ones((1, steps), np.int32)} if isinstance(model.input, dict) else sample
    sides = {"predict": lambda: model.predict(given, verbose=0), "keras": lambda: function(sample).numpy()}
    with tempfile.TemporaryDirectory() as folder:
        for format in ("saved-model", "onnx", "litert"):
            path = Path(folder) / format
            try:
                rnnzoo.export(zoo, path, format=format, verify=False)
            except rnnzoo.MissingExtraError:
                continue
            if format == "saved-model":
                sides[format] = signature(tf.saved_model.load(str(path / "1")), "scores", sample)
            elif format == "onnx":
                sides[format] = onnx_side((path / "model.onnx").read_bytes(), sample, cores)
            else:
                runner = load(path)
                sides[format] = lambda runner=runner: runner.run(sample)
    torch = shared.import_torch()
    if torch:
        layers, outputs = shape_of(model)
        embedding = f"{sequence_name(model)}_embedding"
        if embedding in {layer.name for layer in model.layers}:  # PyTorch is given what it would look up
            vectors = model.get_layer(embedding)(sample).numpy()
        elif sample.dtype == np.int32:
            vectors = np.eye(len(zoo.task.input.alphabet) + 2, dtype=np.float32)[sample]
        else:
            vectors = sample
        sides["torch"] = torch_side(torch, layers, outputs, vectors, steps)
    return sides


def sequence_name(model):
    """What the input of a model is called that is not the target."""
    return next(tensor.name for tensor in model.inputs if tensor.name != "target")


def saved(model, sample):
    """A SavedModel of a Keras model, called by its signature."""
    import keras
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        spec = tf.TensorSpec([None, None, sample.shape[-1]], tf.float32, name="inputs")
        archive.add_endpoint("scores", lambda inputs: {"scores": model(inputs)}, input_signature=[spec])
        archive.write_out(folder, verbose=False)
        return signature(tf.saved_model.load(folder), "scores", sample)


def signature(loaded, name, sample):
    """A function that calls one of a SavedModel's signatures, which keep the model alive."""
    import tensorflow as tf

    call = loaded.signatures[name]
    (key,) = call.structured_input_signature[1]
    return lambda: (loaded, call(**{key: tf.constant(sample)})["scores"].numpy())[1]


def onnx_side(data, sample, cores):
    """A function that runs an ONNX model by onnxruntime's own API."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = cores
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    return lambda: session.run(["outputs"], {source.name: sample})[0]


def shape_of(model):
    """What a model is made of: (kind, units, directions) of its layers, and the width of what comes out."""
    import keras

    layers = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Bidirectional):
            layers.append(("rnn", layer.forward_layer.units, 2))
        elif isinstance(layer, keras.layers.SimpleRNN):
            layers.append(("decoder" if layer.name.startswith("decoder") else "rnn", layer.units, 1))
        elif layer.name.startswith("decoder"):
            layers += [("decoder", layer.units, 1)] * layer.layers
        elif isinstance(layer, keras.layers.Dense) and layer.name != "readout":
            layers.append(("dense", layer.units, 1))
    return layers, model.outputs[0].shape[-1]


def torch_side(torch, layers, outputs, sample, steps=0):
    """A function that takes vectors through PyTorch layers of the same sizes, of random weights and tanh; writes `steps`."""
    width, parts, sample = sample.shape[-1], [], torch.from_numpy(sample)
    for kind, units, directions in layers:
        if kind == "dense":
            parts.append((kind, torch.nn.Linear(width, units)))
        elif kind == "rnn":
            parts.append((kind, torch.nn.RNN(width, units, batch_first=True, bidirectional=directions == 2)))
        else:
            fed = outputs if not any(one == "decoder" for one, _ in parts) else units
            parts.append((kind, torch.nn.RNN(fed, units, batch_first=True)))
        width = units * directions
    readout = torch.nn.Linear(width, outputs)

    def step():
        with torch.no_grad():
            x = sample
            for kind, part in parts:
                if kind == "rnn":
                    x, _ = part(x)
                elif kind == "dense":
                    x = torch.tanh(part(x[:, -1] if steps and x.dim() == 3 else x))
            if not steps:
                return readout(x).numpy()
            decoders = [part for kind, part in parts if kind == "decoder"]
            x = x[:, -1] if x.dim() == 3 else x
            states = [torch.zeros(1, 1, part.hidden_size) for part in decoders]
            if x.shape[-1] == decoders[0].hidden_size:
                states[0] = x[None].contiguous()
            fed, written = torch.zeros(1, 1, outputs), []
            for _ in range(steps):
                y = fed
                for i, part in enumerate(decoders):
                    y, states[i] = part(y, states[i])
                written.append(int(readout(y)[0, 0].argmax()))
                fed = torch.nn.functional.one_hot(torch.tensor([[written[-1]]]), outputs).float()
            return written

    return step


def parity(names):
    """What `rnnzoo verify` says of every preset: name -> format -> figures."""
    import rnnzoo
    from rnnzoo.registry import load_preset

    found = {}
    for name in names:
        found[name] = {"weights_sha256": load_preset(name).metadata()["weights_sha256"], "formats": {}}
        for one in rnnzoo.verify(name):
            if one.checked is None:
                found[name]["formats"][one.format] = {"missing": one.missing}
                continue
            difference = one.checked.difference
            found[name]["formats"][one.format] = {
                "largest": difference.largest,
                "limit": one.limit,
                "answers": difference.answers,
                "different": len(difference.different),
                "bytes": one.bytes,
                "start_up": round(one.checked.start_up, 2),
                "note": one.checked.export.description.get("note"),
            }
    return found


def run(quick):
    """Everything measured."""
    begin, chosen = time.perf_counter(), cases(quick)
    names = [case["name"] for case in chosen if case["kind"] == "preset"]
    figures = [[case, shared.in_own_process("exports", case)] for case in chosen]
    about = {
        "date": datetime.date.today().isoformat(),
        "processor": shared.processor(),
        "versions": shared.versions("torch", "onnxruntime", "ai-edge-litert"),
    }
    results = {"about": about, "figures": figures, "parity": parity(names)}
    about["seconds"] = round(time.perf_counter() - begin)
    return results


def changed(results):
    """The results with the presets measured again whose weights are others now, and without those that are gone."""
    from rnnzoo.registry import list_presets, load_preset

    begin, names, parities = time.perf_counter(), list_presets(), results["parity"]
    before = {name: found["weights_sha256"] for name, found in parities.items()}
    anew = [name for name in names if load_preset(name).metadata()["weights_sha256"] != before.get(name)]
    kept = {case["name"]: [case, found] for case, found in results["figures"] if case["kind"] == "preset"}
    for case in cases(False):
        if case.get("name") in anew:
            kept[case["name"]] = [case, shared.in_own_process("exports", case)]
    parities = {**parities, **parity(anew)}
    sizes = [[case, found] for case, found in results["figures"] if case["kind"] != "preset"]
    figures = [*sizes, *(kept[name] for name in names)]
    about = results["about"]
    later = [*about.get("later", []), {"date": datetime.date.today().isoformat(), "presets": anew}] if anew else []
    about = {
        **about,
        "seconds": about["seconds"] + round(time.perf_counter() - begin),
        **({"later": later} if later else {}),
    }
    return {"about": about, "figures": figures, "parity": {name: parities[name] for name in names}}


def table(results):
    """The results as Markdown."""
    about = results["about"]
    later = "".join(f" {', '.join(one['presets'])}: {one['date']}." for one in about.get("later", ()))
    lines = [
        "# What every preset gives in every format",
        "",
        "Generated by `python benchmarks/exports.py`; do not edit. Latency is milliseconds for one sample, medians of calls "
        "in turns in one process on one core, token ids or vectors in and outputs out; what writes its answer writes it.",
        "",
        f"Measured on {about['date']} in {about['seconds']} s, {about['processor']}. {about['versions']}.{later}",
        "",
        "## One sample at (1, 100, 64, 128)",
        "",
        "Batch, timesteps, features, units, with a readout of one output. The bar on stock Keras's compiled function over "
        f"the faster of ONNX and LiteRT is {BAR}.",
        "",
        *_rows(
            ["cores", *SIDES.values(), "Keras, compiled / ONNX", "Keras, compiled / LiteRT"],
            map(_size_row, _of(results, "size")),
        ),
        "",
        "## Every preset: the same numbers and answers",
        "",
        "As `rnnzoo verify PRESET` finds it: the largest difference of an output on random inputs of different lengths, "
        "relative to the largest output, in processes that have nothing but the runtime (limit 1e-5, of LiteRT 1e-4); how "
        "many answers are the same; bytes of all files; seconds from the start of a process to its first answer.",
        "",
        *_rows(
            ["preset", "format", "largest difference", "answers", "bytes", "first answer after", "note"],
            [row for name, found in results["parity"].items() for row in _parity_rows(name, found["formats"])],
        ),
        "",
        "## Every preset: one sample",
        "",
        "`keras.Model.predict` of what writes its answer is one pass over what was written, not the writing. PyTorch is "
        "`nn.RNN` and `nn.Linear` of the same sizes, tanh and random weights, over one-hot vectors.",
        "",
        *_rows(
            ["preset", *SIDES.values()], [[f"`{case['name']}`", *_times(found)] for case, found in _of(results, "preset")]
        ),
        "",
    ]
    return "\n".join(lines)


def _of(results, kind):
    return [(case, figures) for case, figures in results["figures"] if case["kind"] == kind]


def _rows(heads, rows):
    return [f"| {' | '.join(map(str, row))} |" for row in [heads, ["---"] * len(heads), *rows]]


def _times(figures):
    return [f"{figures[name]['median']:.3g}" if name in figures else "not installed" for name in SIDES]


def _size_row(pair):
    case, figures = pair
    ratios = {name: figures["keras"]["median"] / figures[name]["median"] for name in ("onnx", "litert") if name in figures}
    met = case["cores"] > 1 or max(ratios.values(), default=0) >= BAR
    shown = [f"{ratios[name]:.1f}" if name in ratios else "not installed" for name in ("onnx", "litert")]
    return [case["cores"], *_times(figures), *(shown if met else [f"**{one}**" for one in shown])]


def _parity_rows(name, formats):
    for format, found in formats.items():
        if "missing" in found:
            yield [f"`{name}`", format, found["missing"], "", "", "", ""]
            continue
        wrong = found["different"] or (found["limit"] is not None and found["largest"] > found["limit"])
        largest = f"**{found['largest']:.1e}**" if wrong else f"{found['largest']:.1e}"
        same = f"{found['answers'] - found['different']} of {found['answers']}"
        size, seconds = f"{found['bytes']:,}", f"{found['start_up']:.2f}"
        yield [f"`{name}`", format, largest, same, size, seconds, found["note"] or ""]


def main():
    """Parses the command line and does it."""
    shared.command_line(__doc__, RESULTS, TABLE, run, table, changed=changed)


if __name__ == "__main__":
    main()
