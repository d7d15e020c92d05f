"""`rnnzoo data`: examples of one's own, packed."""

import click

from rnnzoo.cli._shared import PATH, as_json, columns_option, force, notice, print_json, skip_bad_option
from rnnzoo.registry import load_preset


@click.group("data", no_args_is_help=False)
def command():
    """Examples of your own."""


@command.command("pack")
@click.argument("preset")
@click.argument("data", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The folder of shards to write.")
@click.option("--shards", "count", type=click.IntRange(1, 1024), default=16, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Which shard an example is put into; 0.")
@columns_option
@skip_bad_option
@force
@as_json
def pack(preset, data, output, count, seed, columns, skip_bad, force, as_json):
    """Pack examples for a PRESET, from files, folders or patterns, into TFRecord shards with a checksum each.

    `rnnzoo train PRESET --data FOLDER` takes them; more than memory holds are streamed.
    """
    import rnnzoo

    preset = load_preset(preset)  # what is wrong is said before TensorFlow is imported
    options = {"columns": columns, "skip_bad": skip_bad, "count": count, "seed": seed, "force": force, "notice": notice}
    manifest = rnnzoo.pack(preset, list(data), output, **options)
    if as_json:
        print_json({"path": str(output), **manifest})
        return
    size = sum(shard["bytes"] for shard in manifest["shards"])
    click.echo(f"{manifest['examples']:,} examples in {len(manifest['shards'])} shards, {size / 1e6:,.1f} MB: {output}")
