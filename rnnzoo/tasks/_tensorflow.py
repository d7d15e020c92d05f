"""TensorFlow, imported when it is first used: what only checks and describes inputs and answers runs without it."""

import importlib


class _TensorFlow:
    """Stands for the module."""

    def __getattr__(self, name):
        return getattr(importlib.import_module("tensorflow"), name)


tf = _TensorFlow()
