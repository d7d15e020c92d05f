"""Trained models in formats that run elsewhere."""

from rnnzoo.exporting._export import ALL, FORMATS, Format, export
from rnnzoo.exporting._saved_model import write as write_saved_model

__all__ = ["ALL", "FORMATS", "Format", "export", "write_saved_model"]
