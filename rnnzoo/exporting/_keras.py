"""The plain Keras model, and what stands around it as JSON."""

from rnnzoo.exporting._about import about, checksums, write_json


def write_keras(predictor, folder):
    """Writes `FOLDER/model.keras` and `FOLDER/preprocessing.json`; see `rnnzoo.exporting.export`."""
    predictor.model.save(folder / "model.keras")
    files = checksums(folder)
    write_json(folder / "preprocessing.json", {"format": "keras", **about(predictor), "sha256": files})
