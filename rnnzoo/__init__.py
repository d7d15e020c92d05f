"""rnnzoo: a zoo of vanilla recurrent networks for Keras 3 on TensorFlow.

Public names load on first use (PEP 562), so that `import rnnzoo` does not import TensorFlow.
"""

import contextlib
import importlib
import os
import sys

# Keras picks its backend, and TensorFlow decides what to log, when they are first imported; both can be set outside.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# onnxruntime would make a folder in ~/.cache when it is imported, in which it counts what it is used for.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

_HOMES = {
    "one_to_one": "architectures.one_to_one",
    "one_to_many": "architectures.one_to_many",
    "many_to_one": "architectures.many_to_one",
    "many_to_many": "architectures.many_to_many",
    "encoder_decoder": "architectures.encoder_decoder",
    "bidirectional": "architectures.bidirectional",
    "deep": "architectures.deep",
    "Preset": "registry",
    "list_presets": "registry",
    "load_preset": "registry",
    "build": "building",
    "decode": "decoding",
    "train": "training",
    "resume": "training",
    "sweep": "sweeping",
    "fit": "fitting",
    "pack": "packing",
    "evaluate": "evaluating",
    "generate": "generating",
    "Predictor": "predicting",
    "from_preset": "predicting",
    "Stream": "streaming",
    "export": "exporting",
    "verify": "verifying",
    "RnnzooError": "errors",
    "InputError": "errors",
    "TrainingError": "errors",
    "ExportError": "errors",
    "DataError": "errors",
    "MissingDataError": "errors",
    "RunInterrupted": "errors",
    "WorkerLost": "errors",
    "MissingExtraError": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'rnnzoo' has no attribute '{name}'")
    module = f"rnnzoo.{_HOMES[name]}"
    try:
        with quiet_import() if _HOMES[name] not in ("registry", "errors") else contextlib.nullcontext():
            value = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "keras"):
            raise
        from rnnzoo.errors import MissingExtraError

        raise MissingExtraError(
            f"rnnzoo.{name} needs TensorFlow and Keras, and {error.name} is not installed: pip install rnnzoo; without "
            "them, `rnnzoo run` asks ONNX and LiteRT exports"
        ) from None
    globals()[name] = value
    return value


@contextlib.contextmanager
def quiet_import():
    """A context in which nothing reaches file descriptor 2 if TensorFlow is first imported in it.

    Its C++ start-up lines go there whatever TF_CPP_MIN_LOG_LEVEL says; that variable holds from then on. Errors are
    Python exceptions, and reach the user as ever.
    """
    with quiet() if "tensorflow" not in sys.modules else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def quiet():
    """A context in which nothing reaches file descriptor 2: for libraries that log there whatever they are told."""
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


def __dir__():
    return sorted({*globals(), *__all__})
