"""`rnnzoo export`: a trained model in a format that runs elsewhere."""

from pathlib import Path

import click

from rnnzoo.cli._shared import as_json, force, print_json
from rnnzoo.registry import load_preset


@click.command("export")
@click.argument("preset")
@click.option("--format", "format", default="saved-model", show_default=True, help="What to write: saved-model or onnx.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The folder to write (or NAME.onnx); ./PRESET if not given."
)
@force
@as_json
def command(preset, format, output, force, as_json):
    """Export the trained weights of a PRESET (or a run's folder) with the preprocessing: raw input in, answer out.

    A SavedModel needs TensorFlow alone. ONNX models need onnxruntime; `rnnzoo run` asks them.
    """
    loaded = load_preset(preset)
    loaded.metadata()
    import rnnzoo

    path = rnnzoo.export(preset, Path(loaded.name) if output is None else output, format=format, force=force)
    if as_json:
        print_json({"path": str(path), "format": format, "preset": loaded.name})
    elif format == "onnx":
        click.echo(f"ONNX: {path} (ask it: rnnzoo run {path} SAMPLES)")
    else:
        click.echo(f"SavedModel: {path} (version folder {path / '1'}, signature serving_default)")
