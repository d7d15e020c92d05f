"""LiteRT: small files of built-in operations for phones and other small machines, one sample at a time."""

import io
import math
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

from rnnzoo.architectures import encoder_decoder
from rnnzoo.errors import InputError, MissingDataError
from rnnzoo.evaluating import held_out, read_split
from rnnzoo.exporting._spec import describe, write_description
from rnnzoo.exporting._tflite import signature, tflite
from rnnzoo.running import load
from rnnzoo.running._litert import LiteRTModel, require_interpreter
from rnnzoo.stepping import step_model

# Where nobody says how many timesteps: as many as the longest training example has, but this many at least.
TIMESTEPS = 64
# Every timestep is written out in the graph: 1,024 of them are about half a megabyte, and convert in seconds.
MOST_TIMESTEPS = 1024
# By how much int8 may lower the share of right answers, and on how many examples that is looked at.
TOLERANCE, EXAMPLES = 0.01, 500


def require():
    """Raises `MissingExtraError` where what runs the format is not installed."""
    require_interpreter()


def write(predictor, path, proof=None, *, timesteps=None, int8=False, tolerance=None):
    """Writes the `.tflite` files of a trained model, and `rnnzoo.json`, which says what goes into them and comes out.

    Each is of a batch of 1 and has named inputs and outputs (signature `serving_default`).

    - `step.tflite` takes one timestep and the states, zeros at first, and gives outputs and new states: any length streams
      through it. Of what writes its answer it takes the token that was written before, as `fed`.
    - `model.tflite` takes a whole sequence of `timesteps`, shorter ones padded at the end. What reads both directions has
      nothing else: its every output needs the whole sequence.
    - `read.tflite`, of an encoder-decoder, takes one timestep of the source and the encoder's states, and gives new ones and
      those that the step begins with. `start.tflite` gives those of a whole source of `timesteps` where the encoder reads
      both directions, and of the one input of what writes without a source.

    A path that ends in `.tflite` becomes one file: the step (or the model), and after it an archive (ZIP) of the others and
    the description, which what runs LiteRT models ignores, as it does the associated files of LiteRT's own metadata.

    Args:
        predictor: the `Predictor`.
        path: a `pathlib.Path`: an empty folder, or a file that is not there.
        proof: what the models must give (see `_proof.draw`), kept as `proof.json`; `None` for none.
        timesteps: of whole sequences; the longest training example's, at least 64, if `None`. Where nothing in a sequence
            is padding, every whole sequence must be of that length.
        int8: whether weights of 1,024 numbers and more are stored as 8-bit integers.
        tolerance: by how much that may lower the share of right answers, on up to 500 examples of the first test set that
            are not too long; 0.01 if `None`.

    Raises:
        InputError: an argument is out of range or goes with nothing, int8 costs more than the tolerance, or the model needs
            what LiteRT does not have built in.
    """
    if tolerance is not None and not int8:
        raise InputError("tolerance goes with int8")
    tolerance = TOLERANCE if tolerance is None else tolerance
    if not 0 <= tolerance <= 1:
        raise InputError(f"tolerance must be from 0 to 1, not {tolerance}")
    if path.suffix == ".tflite":
        with TemporaryDirectory() as folder:
            description = _write_folder(predictor, Path(folder), proof, timesteps, int8, tolerance)
            path.write_bytes(_one_file(Path(folder), description))
        return
    _write_folder(predictor, path, proof, timesteps, int8, tolerance)


def _write_folder(predictor, folder, proof, timesteps, int8, tolerance):
    """Writes the files, and returns their description."""
    decoder = predictor.serving.decoder
    parts, note = _parts(predictor, decoder)
    timesteps, more = _whole(predictor, parts, timesteps)
    if timesteps is None and more:
        del parts["model"]
    description = describe(predictor, "litert")
    description |= {"timesteps": timesteps, "int8": None, "note": note or more, "first": None}
    models = _write_models(parts, folder, timesteps, False)
    if int8:
        before = _size(folder)
        models = _write_models(parts, folder, timesteps, True)
        description["int8"] = {"tolerance": tolerance, "bytes": {"float": before, "int8": _size(folder)}}
        write_description(folder, {**description, "models": models})
        description["int8"] |= _metrics(predictor, load(folder), tolerance)
    description["first"] = models["step" if "step" in models else "model"]["file"]
    write_description(folder, {**description, "models": models}, proof)
    return {**description, "models": models}


def _parts(predictor, decoder):
    """The Keras models that become files, by their roles, and a line about what there is not, or `None`."""
    model, name = predictor.model, predictor.preset.name
    if decoder is not None:
        if predictor.preset.architecture != "encoder_decoder":
            return {"start": decoder.start, "step": decoder.step}, None
        try:
            return {"read": encoder_decoder.reading(model), "step": decoder.step}, None
        except InputError:
            note = f"{name} reads its source in both directions, and the whole of it at once"
            return {"start": decoder.start, "step": decoder.step}, note
    if not has_time(model):
        return {"model": model}, None
    if any(isinstance(layer, keras.layers.Bidirectional) for layer in model.layers):
        note = f"{name} has no step: it reads both directions of time, and its every output needs the whole sequence"
        return {"model": model}, note
    return {"step": step_model(model), "model": model}, None


def has_time(model):
    """Whether a model reads sequences."""
    return any(None in tensor.shape[1:] for tensor in model.inputs if tensor.name != "target")


def _whole(predictor, parts, timesteps):
    """How many timesteps a whole sequence has, `None` where there is none, and why there is none that could be, if so."""
    sequences = any(has_time(part) for part in parts.values())
    if timesteps is not None:
        if not sequences:
            raise InputError(
                f"{predictor.preset.name} has no part that takes a whole sequence: timesteps goes with what has"
            )
        if isinstance(timesteps, bool) or not isinstance(timesteps, int) or not 1 <= timesteps <= MOST_TIMESTEPS:
            raise InputError(f"timesteps must be a whole number from 1 to {MOST_TIMESTEPS:,}, not {timesteps}")
        return timesteps, None
    if not sequences:
        return None, None
    kind, own = predictor.task.input, predictor.preset.own_data
    longest = getattr(kind, "timesteps", None)  # of all sequences alike
    if longest is None:
        inputs = _training_inputs(predictor, own)
        longest = max(kind.steps(kind.check(raw)) for raw in inputs)
    timesteps = max(longest, TIMESTEPS) if kind.pads else longest
    if timesteps <= MOST_TIMESTEPS:
        return timesteps, None
    trained = f"{predictor.preset.name} was trained on {timesteps:,} timesteps"
    if "model" in parts and "step" in parts:
        return (
            None,
            f"{trained}: it is written as a step alone; --timesteps writes whole sequences, too, up to {MOST_TIMESTEPS:,}",
        )
    raise InputError(f"{trained}; give timesteps, up to {MOST_TIMESTEPS:,}")


def _training_inputs(predictor, own):
    """What is trained on, of the `Source` `own` or of the task; where its data are absent, raw inputs as they occur."""
    task = predictor.task
    if own is not None and own.sha256:  # of data that is streamed, those held out are at hand
        return held_out(predictor).inputs
    if own is not None:
        return task.cut(read_split(own, task)[0]).inputs
    try:
        return task.train().inputs
    except MissingDataError:
        return task.raw_inputs()


def _write_models(parts, folder, timesteps, int8):
    """Writes a file a part, and returns what `rnnzoo.json` says of them."""
    models = {}
    for role, part in parts.items():
        path = folder / f"{role}.tflite"
        path.write_bytes(tflite(part, timesteps, int8))
        inputs, outputs = signature(LiteRTModel(path))
        models[role] = {"file": path.name, "inputs": inputs, "outputs": outputs}
    return models


def _size(folder):
    """How many bytes the models of a folder have."""
    return sum(path.stat().st_size for path in folder.glob("*.tflite"))


def _metrics(predictor, runner, tolerance):
    """The metrics of the Keras model and of int8 files on the same examples.

    Raises:
        InputError: those of the files are worse by more than `tolerance`.
    """
    task, examples = predictor.task, predictor.task.cut(held_out(predictor))
    most = runner.timesteps
    fitting = [i for i, raw in enumerate(examples.inputs) if most is None or task.input.steps(task.input.check(raw)) <= most]
    if not fitting:
        raise InputError(f"{predictor.preset.name}: int8 is judged by test examples, and none has so few timesteps")
    examples = examples.take(fitting[:: math.ceil(len(fitting) / EXAMPLES)])
    checked = predictor.check(examples.inputs)
    scores = {
        side: {name: float(f"{value:.6g}") for name, value in task.score(examples, one.predict(checked)).items()}
        for side, one in (("float", predictor), ("int8", runner))
    }
    before, after = (scores[side][task.metric] for side in ("float", "int8"))
    if before - after > tolerance:
        raise InputError(
            f"{predictor.preset.name}: int8 lowers {task.metric} from {before:.4g} to {after:.4g} on {len(checked)} "
            f"examples, by more than the tolerance {tolerance:g}; export without it, or raise the tolerance"
        )
    return {"examples": len(checked), **scores}


def _one_file(folder, description):
    """The bytes of the one file that holds all of a folder."""
    first = description["first"]
    content = io.BytesIO((folder / first).read_bytes())
    content.seek(0, io.SEEK_END)
    with zipfile.ZipFile(content, "a") as archive:
        for path in sorted(path for path in folder.iterdir() if path.name != first):
            # Of one date: the same model gives the same bytes.
            info = zipfile.ZipInfo(path.name)
            info.compress_type = zipfile.ZIP_STORED if path.suffix == ".tflite" else zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    return content.getvalue()
