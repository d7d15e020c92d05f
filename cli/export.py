"""`rnnzoo export`: a trained model in a format that runs elsewhere."""

import json
from pathlib import Path

import click

from rnnzoo.cli._shared import as_json, force, print_json
from rnnzoo.registry import load_preset


@click.command("export")
@click.argument("preset")
@click.option("--format", "format", default="saved-model", show_default=True, help="What to write: saved-model, litert.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder to write; ./PRESET if not given.")
@click.option("--timesteps", type=int, help="LiteRT: of a whole sequence; the longest training example's, at least 64.")
@click.option("--int8", is_flag=True, help="LiteRT: store large weights as 8-bit integers.")
@click.option("--tolerance", type=float, help="LiteRT: by how much int8 may lower the share of right answers; 0.01.")
@force
@as_json
def command(preset, format, output, timesteps, int8, tolerance, force, as_json):
    """Export the trained weights of a PRESET (or a run's folder) with the preprocessing: raw input in, answer out."""
    loaded = load_preset(preset)
    loaded.metadata()
    import rnnzoo

    path = Path(loaded.name) if output is None else output
    rnnzoo.export(preset, path, format=format, force=force, timesteps=timesteps, int8=int8, tolerance=tolerance)
    if as_json:
        told = json.loads((path / "rnnzoo.json").read_text(encoding="utf-8")) if format == "litert" else {}
        print_json({"path": str(path), **told, "format": format, "preset": loaded.name})
    elif format == "litert":
        _echo_litert(path)
    else:
        click.echo(f"SavedModel: {path} (version folder {path / '1'}, signature serving_default)")


def _echo_litert(path):
    """What was written for LiteRT: files, what int8 costs, and what there is not."""
    told = json.loads((path / "rnnzoo.json").read_text(encoding="utf-8"))
    files = ", ".join(facts["file"] for facts in told["files"].values())
    timesteps = f", whole sequences of {told['timesteps']} timesteps" if told["timesteps"] else ""
    click.echo(f"LiteRT: {path} ({files}; what goes in and out is in rnnzoo.json{timesteps})")
    if told["int8"]:
        before, after = told["int8"]["float"], told["int8"]["int8"]
        changes = ", ".join(f"{name} {before[name]:.6g} -> {after[name]:.6g}" for name in before)
        count = told["int8"]["examples"]
        smaller = " -> ".join(f"{size:,}" for size in told["int8"]["bytes"].values())
        click.echo(f"int8: {smaller} bytes; {changes}, on {count} example{'' if count == 1 else 's'}")
    if "note" in told:
        click.echo(told["note"])
