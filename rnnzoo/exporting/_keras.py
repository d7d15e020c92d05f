"""The plain Keras model, and what stands around it as JSON."""

from rnnzoo.exporting._spec import describe, write_description


def write(predictor, folder, proof=None):
    """Writes `FOLDER/model.keras` and `FOLDER/rnnzoo.json`; see `rnnzoo.exporting.export`."""
    predictor.model.save(folder / "model.keras")
    write_description(folder, describe(predictor, "keras"), proof)
