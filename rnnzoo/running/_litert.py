"""LiteRT models, run by `ai-edge-litert` alone: no TensorFlow, no Keras."""

import hashlib
import io
import zipfile

import numpy as np

from rnnzoo import quiet
from rnnzoo.archives import UNPACKING, check_zip
from rnnzoo.bounded import from_json, regular
from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.running._description import BYTES, FILE, check_layout, digest


class LiteRTModel:
    """A `.tflite` file of fixed shapes with the signature `serving_default`.

    Args:
        path: the file.
        content: its bytes, where they are read already.
        threads: how many threads it may use.

    Raises:
        InputError: there is no such file, or it is damaged or has no such signature.
        MissingExtraError: `ai-edge-litert` is not installed.

    Attributes:
        inputs: name -> (shape, dtype): a tuple, the batch of 1 included, and a NumPy dtype.
        outputs: the same of what comes out.
    """

    def __init__(self, path, content=None, threads=1):
        interpreter = require_interpreter()
        try:
            content = _read(path) if content is None else content
            with quiet():  # it says which of its parts runs the model
                self._interpreter = interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
            signature = self._interpreter.get_signature_runner("serving_default")
        except (ValueError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or ["damaged"])[0]
            raise InputError(f"{path}: cannot be loaded as a LiteRT model: {reason}") from None
        details = signature.get_input_details(), signature.get_output_details()
        self.inputs, self.outputs = map(_described, details)
        # By their indices: called by its signature it would lay out its memory anew each time.
        self._given, self._found = ({name: detail["index"] for name, detail in side.items()} for side in details)

    def run(self, arrays):
        """A dict of arrays, one an input and of its shape -> a dict of arrays, one an output.

        Raises:
            InputError: an input is missing, unknown or of another shape.
        """
        if set(arrays) != set(self.inputs):
            raise InputError(f"inputs {', '.join(sorted(arrays))}; expected {', '.join(sorted(self.inputs))}")
        given = {name: np.asarray(array, self.inputs[name][1]) for name, array in arrays.items()}
        for name, array in given.items():
            if array.shape != self.inputs[name][0]:
                raise InputError(f"input '{name}' is of shape {array.shape}; expected {self.inputs[name][0]}")
        for name, array in given.items():
            self._interpreter.set_tensor(self._given[name], array)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in self._found.items()}


def open_model(path):
    """One of the models of an export's folder."""
    return LiteRTModel(path)


def open_file(path):
    """The description and the models of a file that stands alone: one model, and an archive (ZIP) of all else after it.

    Raises:
        InputError: it is truncated or altered, or one of the models of a folder.
    """
    require_interpreter()
    description, files = read_file(path)
    models = description["models"]
    return description, {role: LiteRTModel(path, files[model["file"]]) for role, model in models.items()}


def read_file(path):
    """The description in a file that stands alone, and all that is in it, name -> bytes; see `open_file`."""
    content = _read(path)
    wrong = f"{path}: it is truncated, was altered or is no LiteRT export of rnnzoo's; or it is one of a folder: give that"
    try:
        if content[-22:-18] != b"PK\5\6":  # an archive ends with this record, of 22 bytes
            raise InputError(wrong)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_zip(archive, BYTES)
            description = from_json(archive.read(FILE))
            if not isinstance(description, dict) or description.get("sha256") != digest(description):
                raise InputError(wrong)
            check_layout(description, path, ("files", "models"))
            found = {name: archive.read(name) for name in archive.namelist() if name in description["files"]}
        first = description["first"]
        found[first] = content[: description["files"][first]["bytes"]]
        for name, told in description["files"].items():
            if name not in found or hashlib.sha256(found[name]).hexdigest() != told["sha256"]:
                raise InputError(wrong)
    except InputError:
        raise
    except (*UNPACKING, LookupError, TypeError, AttributeError):
        raise InputError(wrong) from None
    return description, found


def _read(path):
    try:
        return regular(path, BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def require_interpreter():
    """The class `ai_edge_litert.interpreter.Interpreter`.

    Raises:
        MissingExtraError: `ai-edge-litert` is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingExtraError("LiteRT needs ai-edge-litert: pip install 'rnnzoo[litert]'") from None
    return Interpreter


def _described(details):
    return {name: (tuple(detail["shape"].tolist()), np.dtype(detail["dtype"])) for name, detail in details.items()}
