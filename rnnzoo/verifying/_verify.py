"""Whether exports give what the Keras model gives, each asked in a process that has nothing but its runtime."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import rnnzoo
from rnnzoo.errors import ExportError, InputError, MissingExtraError
from rnnzoo.registry import PRESET, load_preset
from rnnzoo.runs import SAVED_MODEL
from rnnzoo.verifying._checking import Checked, check, find, require_proof
from rnnzoo.verifying._proof import FILE, draw, limit


class Verified(NamedTuple):
    """What became of one export.

    Attributes:
        format: its format, and what else tells it from others.
        checked: what it gave; `None` where it could not be asked.
        missing: why it could not, in words: an extra that is not installed, or what the format does not have; else `None`.
        bytes: the size of its files, without `proof.json`.
        wrong: what is wrong with it, in words, or `None`.
    """

    format: str
    checked: Checked | None = None
    missing: str | None = None
    bytes: int | None = None
    wrong: str | None = None

    @property
    def limit(self):
        """The largest relative difference that it may have; `None` for weights of 8 bits."""
        return None if self.checked is None else limit(self.checked.export.description)


def verify(source, *, seed=0, progress=None):
    """Holds exports against the Keras model: outputs for random ids or vectors of random lengths, and answers to raw inputs.

    Of a preset or a run, every format is written into a temporary folder and asked, and so is the SavedModel in a run's
    folder. Of an export, it is held against what the Keras model gave when it was written, which is with it in `proof.json`:
    the weights that it was made of are not needed, nor is TensorFlow for ONNX and LiteRT.

    Args:
        source: a preset's name, the folder of a run, of an export or of one of all formats, or an export's file.
        seed: of what is drawn for a preset or a run.
        progress: called with the name of each format before it is asked.

    Returns:
        A list of `Verified`.

    Raises:
        InputError: there is no such preset, run or export, or the export is truncated or altered; it says which file.
        MissingExtraError: what runs the export is not installed.
    """
    progress = progress or (lambda name: None)
    path = Path(source)
    if (path / PRESET).is_file() or not path.exists():
        return _of_preset(source, seed, progress)
    found = [find(path)]
    if found == [None] and path.is_dir():  # of all formats, each in a folder of its name
        found = [find(part) for part in sorted(path.iterdir()) if part.is_dir()]
    found = [export for export in found if export is not None]
    if not found:
        raise InputError(f"{path}: no export that rnnzoo wrote, and no preset or run; expected a folder that holds one")
    results = []
    for export in found:
        require_proof(export)
        format = export.description["format"]
        progress(format)
        results.append(_asked(format, export))
    return results


def _of_preset(name, seed, progress):
    with rnnzoo.quiet_import():
        from rnnzoo.exporting import FORMATS
        from rnnzoo.predicting import from_preset

    preset = load_preset(name)
    predictor = from_preset(name)
    proof, results = draw(predictor, seed), []
    own = None if preset.folder is None else preset.folder / SAVED_MODEL / preset.name
    if own is not None and own.is_dir():
        progress("saved-model")
        results.append(_asked(f"saved-model ({own})", find(own)._replace(proof=proof)))
    with TemporaryDirectory() as folder:
        for format, each in FORMATS.items():
            progress(format)
            place = Path(folder) / format
            place.mkdir()
            try:
                each.load().write(predictor, place, proof)
            except MissingExtraError as error:
                results.append(Verified(format, missing=str(error)))
            except InputError as error:  # what the format does not have
                results.append(Verified(format, missing=str(error), wrong=str(error)))
            else:
                results.append(_asked(format, find(place)))
    return results


def _asked(format, export):
    path = export.path
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file() and one.name != FILE]
    size = sum(file.stat().st_size for file in files)
    try:
        (checked,) = check([export])
    except ExportError as error:
        return Verified(format, missing=str(error), bytes=size, wrong=str(error))
    return Verified(format, checked, None, size, checked.wrong)
