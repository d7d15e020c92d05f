"""Exported models, run without TensorFlow: NumPy, and what runs the format."""

from rnnzoo.running._runner import Runner, load

__all__ = ["Runner", "load"]
