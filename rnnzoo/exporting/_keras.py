"""The plain Keras model, and what stands around it as JSON."""

from rnnzoo.exporting._spec import describe, write_description
from rnnzoo.serving import Serving


def write(predictor, folder, proof=None):
    """Writes `FOLDER/model.keras` and `FOLDER/rnnzoo.json`; see `rnnzoo.exporting.export`."""
    predictor.model.save(folder / "model.keras")
    description = describe(predictor, "keras", Serving(predictor.model, predictor.task).decoder)
    write_description(folder, description, proof)
