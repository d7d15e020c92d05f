"""SavedModels: raw input in, answer out, nothing but TensorFlow needed."""

import shutil

import keras
import tensorflow as tf

from rnnzoo.serving import Serving


def write_saved_model(predictor, folder):
    """Writes `FOLDER/1/`."""
    task = predictor.task
    spec = tf.TensorSpec(task.input.spec.shape, task.input.spec.dtype, name=task.input.name)
    archive = keras.export.ExportArchive()
    archive.track(predictor.model)
    # Named after the signature that TensorFlow Serving calls when none is named.
    archive.add_endpoint("serving_default", Serving(predictor.model, task).answers, input_signature=[spec])
    archive.write_out(str(folder / "1"), verbose=False)
    shutil.rmtree(folder / "1" / "assets", ignore_errors=True)


def write(predictor, path):
    """What `export` calls."""
    write_saved_model(predictor, path)
