"""Trains every preset with several seeds, ships the first seed's weights, and rewrites the cards and the README's tables.

    python benchmarks/scores.py                      # every preset; over six hours on 2 cores
    python benchmarks/scores.py digit-sum addition   # some of them
    python benchmarks/scores.py --runs runs/scores   # keeps the runs there: ended and called again, it goes on
    python benchmarks/scores.py --tables             # no training: cards and README from what is there

The seed decides initial weights and order of examples; all seeds are judged by the same held-out examples, none of which
any of them was trained on. Nothing is chosen by those scores: the weights that ship are those of the preset's own seed.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import rnnzoo
from rnnzoo.cards import card, results_csv, results_page, update_readme
from rnnzoo.curves import draw_curve, is_of
from rnnzoo.drawing import draw
from rnnzoo.registry import (
    CARD,
    CURVE,
    DIAGRAM,
    HISTORY,
    LEARNED,
    METADATA,
    SEEDS,
    UNFINISHED,
    WEIGHTS,
    WRITTEN,
    override,
    presets_folder,
)
from rnnzoo.runs import run_state

SEED_COUNT = 3
# More epochs than a picture can show are not shipped.
ROWS = 500


def main():
    """Parses the command line and does it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", help="presets to train; every one if none is named")
    parser.add_argument("--tables", action="store_true", help="train nothing; rewrite cards, tables and README")
    parser.add_argument("--seeds", type=int, help=f"how many of them; as many as there were, or {SEED_COUNT}, if not given")
    parser.add_argument("--runs", type=Path, help="a folder for the runs, which are gone on with where it has some")
    arguments = parser.parse_args()
    if not arguments.tables:
        for name in arguments.presets or rnnzoo.list_presets():
            preset = rnnzoo.load_preset(name)
            with tempfile.TemporaryDirectory() as scratch:
                score(preset, arguments.seeds or seeds_before(preset), (arguments.runs or Path(scratch)) / name)
    for name in rnnzoo.list_presets():
        write_card(rnnzoo.load_preset(name))
    for name, text in (("RESULTS.md", results_page()), ("results.csv", results_csv())):
        (presets_folder() / name).write_text(text, encoding="utf-8")
    readme = Path(__file__).parent.parent / "README.md"
    readme.write_text(update_readme(readme.read_text(encoding="utf-8")), encoding="utf-8")


def seeds_before(preset):
    """With how many seeds the figures that ship were measured."""
    path = preset.folder / SEEDS
    return len(json.loads(path.read_text(encoding="utf-8"))["seeds"]) if path.is_file() else SEED_COUNT


def trained(preset, seed, run_dir):
    """The `Run` of a seed: the one that is there, or was begun, if it is of this recipe; else a new one."""
    state = run_state(run_dir)
    if state is not None:
        there = rnnzoo.load_preset(run_dir / UNFINISHED if (run_dir / UNFINISHED).is_dir() else run_dir)
        if there.content() == override(preset, [f"training.seed={seed}"]).content():
            return rnnzoo.resume(run_dir)
    return rnnzoo.train(preset, seed=seed, run_dir=run_dir, force=True)


def score(preset, count, runs):
    """Trains a preset with its own seed and the ones after it, and writes weights, metadata and seeds into its folder."""
    seeds, twin = {}, {}
    for seed in range(preset.training.seed, preset.training.seed + count):
        run = trained(preset, seed, runs / str(seed))
        seeds[str(seed)] = run.metrics
        report(preset.name, seed, run.metadata["training_seconds"], run.metrics)
        if preset.twin:
            twin[str(seed)] = score_twin(preset, seed)
            report(f"{preset.name} (twin)", seed, 0, twin[str(seed)])
    how = "" if count == SEED_COUNT else f" --seeds {count}"
    result = {"command": f"python benchmarks/scores.py {preset.name}{how}", "seeds": seeds}
    if twin:
        result["twin"] = {"description": preset.twin.description, "seeds": twin}
    shipped = runs / str(preset.training.seed)
    for file in (WEIGHTS, METADATA, *([LEARNED] if (shipped / LEARNED).is_file() else [])):
        shutil.copyfile(shipped / file, presets_folder() / preset.name / file)
    (presets_folder() / preset.name / HISTORY).write_text(thinned((shipped / HISTORY).read_text(encoding="utf-8")))
    (presets_folder() / preset.name / SEEDS).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def thinned(history):
    """A history with at most `ROWS` of its epochs, evenly spaced, the last one among them."""
    head, *rows = history.splitlines(keepends=True)
    step = -(-len(rows) // ROWS)
    return "".join([head, *reversed(rows[::-1][::step])])


def score_twin(preset, seed):
    """The metrics of the preset's twin, trained with the same recipe."""
    training = preset.training.model_copy(update={"seed": seed})
    twin = preset.model_copy(
        update={"architecture": preset.twin.architecture, "model": {**preset.model, **preset.twin.model}}
        | {"training": training, "twin": None}
    )
    from rnnzoo.building import create_task
    from rnnzoo.predicting import Predictor
    from rnnzoo.recipes import fit

    task = create_task(twin)
    return rnnzoo.evaluate(Predictor(fit(twin, task).model, twin, task))


def write_card(preset):
    """Writes the model card of a preset that has weights, and its pictures."""
    if preset.has_weights:
        draw(rnnzoo.build(preset), preset.folder / DIAGRAM)
        history, curve = preset.folder / HISTORY, preset.folder / CURVE
        if history.is_file() and not (curve.is_file() and is_of(curve, history)):
            draw_curve(history, curve)
        draw_written(preset)
        path = preset.folder / SEEDS
        seeds = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        (preset.folder / CARD).write_text(card(preset, preset.metadata(), seeds), encoding="utf-8")


def draw_written(preset):
    """Draws what the weights wrote, as the metadata have it, where that is music."""
    from rnnzoo.building import create_task
    from rnnzoo.piano_roll import draw_roll
    from rnnzoo.tasks._notes import LOWEST, frames_of

    task, written = create_task(preset), preset.metadata().get("written")
    if written and task.answer.kind == "notes":
        draw_roll(frames_of(written["texts"][0].split()), preset.folder / WRITTEN, first=LOWEST, unit=task.frame)


def report(name, seed, seconds, metrics):
    """One line a run."""
    print(f"{name} seed {seed}: {seconds:g} s {json.dumps(metrics)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
