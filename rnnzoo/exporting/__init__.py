"""Trained models in formats that run elsewhere."""

from rnnzoo.exporting import _saved_model
from rnnzoo.exporting._export import ALL, FORMATS, Format, export
from rnnzoo.verifying import draw

__all__ = ["ALL", "FORMATS", "Format", "export", "write_saved_model"]


def write_saved_model(predictor, folder):
    """Writes `FOLDER/1/`, the SavedModel of a `Predictor`, into an empty folder; see `export`."""
    _saved_model.write(predictor, folder, draw(predictor))
