"""Trained models in formats that run elsewhere."""

from rnnzoo.exporting._export import FORMATS, export
from rnnzoo.exporting._litert import write_litert
from rnnzoo.exporting._saved_model import write_saved_model

__all__ = ["FORMATS", "export", "write_litert", "write_saved_model"]
