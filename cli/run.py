"""`rnnzoo run`: answers from an exported model, without TensorFlow."""

import click

from rnnzoo.cli._shared import PATH, as_json


@click.command("run")
@click.argument("export", type=PATH)
@click.argument("samples", nargs=-1)
@click.option("--file", "file", type=PATH, help="Read samples from a file, one a line.")
@as_json
def command(export, samples, file, as_json):
    """Answer SAMPLES with an EXPORT: a folder or a file that `rnnzoo export --format onnx` wrote.

    Answers and messages are those of `rnnzoo predict`, and so are SAMPLES: raw inputs, `-` for standard input, or the name
    of a file, one a line. TensorFlow is not needed, nor waited for.
    """
    from rnnzoo.cli.predict import answer_all, check_samples
    from rnnzoo.running import load

    check_samples(samples, file)
    answer_all(load(export), samples, file, as_json)
