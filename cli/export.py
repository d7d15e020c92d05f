"""`rnnzoo export`: a trained model in a format that runs elsewhere."""

from pathlib import Path

import click

from rnnzoo.cli._shared import as_json, force, print_json
from rnnzoo.registry import load_preset


@click.command("export")
@click.argument("preset")
@click.option("--format", default="saved-model", show_default=True, help="saved-model, onnx, litert, keras, or all.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The folder to write (or NAME.onnx, NAME.tflite); ./PRESET if not given.",
)
@click.option("--timesteps", type=int, help="LiteRT: of a whole sequence; the longest training example's, at least 64.")
@click.option("--int8", is_flag=True, help="LiteRT: store large weights as 8-bit integers.")
@click.option("--tolerance", type=float, help="LiteRT: by how much int8 may lower the share of right answers; 0.01.")
@force
@as_json
def command(preset, format, output, timesteps, int8, tolerance, force, as_json):
    """Export the trained weights of a PRESET (or a run's folder) with the preprocessing: raw input in, answer out.

    `saved-model` needs TensorFlow alone where it runs, and has the endpoints serving_default, scores, and where the model
    has them step, start and sample. `onnx` needs onnxruntime, `litert` ai-edge-litert; `rnnzoo run` asks them. `keras` is the plain Keras model. The
    preprocessing is described as JSON beside each. `all` writes each into a folder of its own.
    """
    loaded = load_preset(preset)
    loaded.metadata()
    import rnnzoo

    path = rnnzoo.export(preset, Path(loaded.name) if output is None else output, format=format, force=force)
    from rnnzoo.exporting import FORMATS

    if as_json:
        print_json({"path": str(path), "format": format, "preset": loaded.name})
    elif format in FORMATS:
        click.echo(f"{format}: {path} ({FORMATS[format].holds})")
    else:
        click.echo("\n".join(f"{name}: {path / name} ({each.holds})" for name, each in FORMATS.items()))
