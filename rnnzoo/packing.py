"""A user's examples packed into shards."""

from pathlib import Path

from rnnzoo import shards
from rnnzoo.building import new_task
from rnnzoo.registry import Preset, Source, load_preset
from rnnzoo.tasks._task import plain
from rnnzoo.userdata import each, files_of, nothing_in, text_of


def pack(
    preset,
    data,
    output,
    *,
    columns=None,
    skip_bad=False,
    count=shards.SHARDS,
    seed=0,
    force=False,
    notice=None,
    progress=None,
):
    """Packs examples for a preset into a folder of TFRecord shards, which `rnnzoo.train` takes as `data`.

    The folder's form is that of `rnnzoo.shards`. Every example is checked, and put into a shard that is drawn, so that data
    in any order are mixed well when they are streamed.

    Args:
        preset: a `Preset`, a name or a folder.
        data: what `rnnzoo.train` takes as `data`, a path or pattern; or a list of such.
        output: the folder.
        columns: what a header calls the input and the answer, a pair, or where they
            stand where there is none, `("1", "2")`; found by itself if `None`.
        skip_bad: whether rows that are wrong are left out; they are an error otherwise.
        count: of the shards.
        seed: of the draws.
        force: whether such a folder that is there is replaced.
        notice: called with lines that say what was skipped.
        progress: called with how many examples are packed, now and then.

    Returns:
        What `shards.json` holds: a dict.

    Raises:
        InputError: a row is wrong, or the output exists.
    """
    preset = preset if isinstance(preset, Preset) else load_preset(preset)
    task, skipped = new_task(preset, own=True), []
    sources = [Source(Path(path), 0.2, skip_bad, columns) for path in (data if isinstance(data, list) else [data])]

    def examples():
        found = False
        for source in sources:
            for given, answer in each(source, files_of(source.path, task), task, skipped.append):
                found = True
                yield given, text_of(plain(answer))
        if not found:
            raise nothing_in(sources[0].path, task, skipped)

    options = {"task": preset.task, "count": count, "seed": seed, "force": force, "progress": progress}
    manifest = shards.write(examples(), output, **options)
    if skipped and notice is not None:
        notice(f"{len(skipped):,} of {len(skipped) + manifest['examples']:,} examples were skipped, the first: {skipped[0]}")
    return manifest
