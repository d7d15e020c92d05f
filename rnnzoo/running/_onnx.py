"""ONNX models, run by `onnxruntime` alone."""

import hashlib
import re

import numpy as np

from rnnzoo.bounded import first_line, from_json, regular
from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.running._description import BYTES, check_layout

# An entry `location` in a model's bytes, however its lengths are written: weights that lie in a file of any name.
_ELSEWHERE = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
_KINDS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxModel:
    """An `.onnx` file that `rnnzoo export` wrote.

    Args:
        path: the file.
        threads: how many threads it may use: the models are small, and waking threads takes longer than they save.

    Raises:
        InputError: there is no such file, or it is truncated, altered or no export of rnnzoo's.
        MissingExtraError: `onnxruntime` is not installed.

    Attributes:
        inputs: name -> (shape, dtype): a tuple, with a string for a dimension of any size, and a NumPy dtype.
        outputs: the same of what comes out.
        metadata: strings to strings.
    """

    def __init__(self, path, threads=1):
        runtime = require_runtime()
        try:
            data = regular(path, BYTES)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
        body = data[: -len(seal(b""))]
        if data != body + seal(body):
            raise InputError(
                f"{path}: the checksum at its end is absent or wrong: it is truncated, was altered or is no ONNX export of "
                "rnnzoo's"
            )
        if _ELSEWHERE.search(body):
            raise InputError(f"{path}: has weights in another file, which no export of rnnzoo's has")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 4  # what is wrong is raised
        try:
            self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes of errors have nothing else in common
            raise InputError(f"{path}: cannot be loaded as an ONNX model: {first_line(error)}") from None
        try:
            self.inputs, self.outputs = map(_described, (self._session.get_inputs(), self._session.get_outputs()))
        except KeyError as error:
            raise InputError(f"{path}: takes or gives {error}, which no export of rnnzoo's does") from None
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, arrays):
        """A dict of arrays, one an input and of its shape -> a dict of arrays, one an output.

        Raises:
            InputError: an input is missing, unknown, of another shape, or holds what the model has no place for.
        """
        if set(arrays) != set(self.inputs):
            raise InputError(f"inputs {', '.join(sorted(arrays))}; expected {', '.join(sorted(self.inputs))}")
        given = {name: np.asarray(array, self.inputs[name][1]) for name, array in arrays.items()}
        try:
            results = self._session.run(None, given)
        except Exception as error:
            raise InputError(f"the model refuses its input: {first_line(error)}") from None
        return dict(zip(self.outputs, results, strict=True))


def open_model(path):
    """One of the models of an export's folder."""
    return OnnxModel(path)


def open_file(path):
    """The description and the models of a file that stands alone: that of whole sequences.

    Raises:
        InputError: it is another one of an export's models.
    """
    model = OnnxModel(path)
    try:
        description = from_json(model.metadata["rnnzoo"])
        role = description["role"]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: does not say what it is ({first_line(error)}); export again") from None
    if role != "model":
        raise InputError(f"{path}: is the {role} of a model, for programs; give its folder")
    check_layout(description, path)
    return description, {"model": model}


def require_runtime():
    """The module `onnxruntime`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("ONNX models are run by onnxruntime: pip install 'rnnzoo[onnx]'") from None
    return onnxruntime


def seal(data):
    """What an exported file ends with: the entry `rnnzoo_sha256` of the model's metadata, the checksum of all before it.

    Protocol buffers that follow each other are read as one message, so that the bytes of one more entry, appended, are a
    part of the model for whatever reads it.
    """
    key, digest = b"rnnzoo_sha256", hashlib.sha256(data).hexdigest().encode()
    entry = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([len(digest)]) + digest  # fields 1 and 2, strings
    return b"\x72" + bytes([len(entry)]) + entry  # field 14 of a ModelProto: metadata_props


def _described(nodes):
    return {one.name: (tuple(one.shape), np.dtype(_KINDS[one.type])) for one in nodes}
