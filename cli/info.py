"""`rnnzoo info`: everything about one preset."""

import click

from rnnzoo.cli._shared import as_json, print_json, print_metrics, print_table, seen
from rnnzoo.registry import load_preset


@click.command("info")
@click.argument("preset")
@as_json
def command(preset, as_json):
    """Show a PRESET (or a run's folder): its recipe, its scores, example answers, its limits."""
    preset = load_preset(preset)
    metadata = preset.metadata() if preset.has_weights else None
    if as_json:
        print_json({"name": preset.name, "folder": str(preset.folder), **preset.content(), "metadata": metadata})
        return
    click.echo(seen(f"{preset.name}: {preset.description}"))
    if preset.limits:
        click.echo(seen(f"Limits: {preset.limits}"))
    click.echo()
    content = preset.content()
    rows = [["architecture", preset.architecture], *_flat("model", content.get("model", {}))]
    rows += [["task", preset.task], *_flat("task_options", content.get("task_options", {}))]
    rows += [
        *_flat("initial", content.get("initial", {})),
        *([["frozen", ", ".join(preset.frozen)]] if preset.frozen else []),
    ]
    rows += _flat("training", content["training"])
    if metadata:
        rows.append(["parameters", f"{metadata.get('parameters', 0):,}"])
    rows.append(["folder", preset.folder])
    print_table(["key", "value"], rows)
    if metadata is None:
        click.echo(f"\nIt has no trained weights yet: rnnzoo train {preset.name}")
        return
    click.echo()
    print_metrics(metadata["metrics"])
    click.echo()
    examples = metadata.get("examples", [])
    print_table(["input", "answer"], [[one.get("input"), one.get("shown", one.get("answer"))] for one in examples])


def _flat(prefix, table):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}.{key}", value)
        else:
            yield [f"{prefix}.{key}", value]
