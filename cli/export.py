"""`rnnzoo export`: a trained model in a format that runs elsewhere."""

from pathlib import Path

import click

from rnnzoo.cli._shared import PATH, as_json, force, print_json, with_weights


@click.command("export")
@click.argument("preset")
@click.option("--format", default="saved-model", show_default=True, help="saved-model, onnx, litert, keras, or all.")
@click.option(
    "-o",
    "--output",
    type=PATH,
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
    has them step, start and sample. `onnx` needs onnxruntime, `litert` ai-edge-litert; `rnnzoo run` asks them. `keras` is
    the plain Keras model. The preprocessing is described as JSON beside each. `all` writes each into a folder of its own.

    What was written is asked in a process that has nothing but what runs it. Where its outputs or answers are not those of
    the Keras model, nothing is left and the exit code is 1.
    """
    loaded = with_weights(preset)
    import rnnzoo

    path, verified = Path(loaded.name) if output is None else output, []
    options = {"timesteps": timesteps, "int8": int8, "tolerance": tolerance}
    rnnzoo.export(preset, path, format=format, force=force, report=verified.append, **options)
    from rnnzoo.exporting import FORMATS

    if as_json:
        print_json({"path": str(path), "format": format, "preset": loaded.name, "exports": [*map(_plain, verified)]})
        return
    for one in verified:
        name, told = one.export.description["format"], one.export.description
        place = path if format in FORMATS else path / name
        holds = "one file" if place.is_file() else FORMATS[name].holds
        click.echo(f"{name}: {place} ({holds})")
        found = one.difference
        click.echo(f"  verified: off by {found.largest:.1e} at the most, {found.same} answers the same")
        if told.get("timesteps"):
            click.echo(f"  whole sequences have {told['timesteps']} timesteps")
        if told.get("int8"):
            click.echo(f"  {_int8(told['int8'])}")
        if told.get("note"):
            click.echo(f"  {told['note']}")


def _int8(told):
    """What weights of 8 bits cost, in words."""
    before, after = told["float"], told["int8"]
    changes = ", ".join(f"{name} {before[name]:.6g} -> {after[name]:.6g}" for name in before)
    smaller = " -> ".join(f"{size:,}" for size in told["bytes"].values())
    return f"int8: {smaller} bytes; {changes}, on {told['examples']} example{'' if told['examples'] == 1 else 's'}"


def _plain(one):
    found = one.difference
    told = {
        key: one.export.description[key] for key in ("format", "timesteps", "int8", "note") if key in one.export.description
    }
    different = len(found.different)
    return {**told, "largest_difference": found.largest, "answers": found.answers, "different_answers": different}
