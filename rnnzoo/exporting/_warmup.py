"""Requests that TensorFlow Serving runs before a model takes others, so that nobody waits for its first calls."""

import tensorflow as tf


def write_warmup(path, model, requests):
    """Writes `assets.extra/tf_serving_warmup_requests`: a TFRecord of PredictionLog messages.

    The messages are encoded here, by the protocol buffers' wire format, because TensorFlow does not bring TensorFlow
    Serving's own: all of their fields that are needed are messages and strings, which are written as a tag, a length and
    the content. Field numbers are those of tensorflow_serving/apis/{prediction_log,predict,model}.proto.

    Args:
        path: the file.
        model: the model's name.
        requests: pairs of a signature's name and a dict of its inputs as tensors.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            spec = _field(1, model.encode()) + _field(3, signature.encode())  # ModelSpec: name, signature_name
            request = _field(1, spec)  # PredictRequest: model_spec, inputs (a map: entries of key and value)
            for name, tensor in inputs.items():
                value = tf.make_tensor_proto(tensor).SerializeToString()
                request += _field(2, _field(1, name.encode()) + _field(2, value))
            writer.write(_field(6, _field(1, request)))  # PredictionLog: predict_log; PredictLog: request


def _field(number, content):
    """A length-delimited field (wire type 2)."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
