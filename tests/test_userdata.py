"""A user's own examples, in the formats that people have them in."""

import json

import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo.building import create_task, new_task
from rnnzoo.cli.main import cli
from rnnzoo.registry import Source, load_preset
from rnnzoo.tasks._task import Examples
from rnnzoo.userdata import read

EXAMPLES = Examples(["007", "12"], [7, 3])
SAME = {
    "plain.csv": "007,7\n12,3\n",
    "quoted.csv": '"007","7"\r\n\r\n"12", 3\r\n',
    "bom.csv": "\ufeff007,7\n12,3",
    "header.csv": "digits,sum\n007,7\n12,3\n",
    "swapped.csv": "number,Label, INPUT \n1,7,007\n2,3,12\n",
    "plain.tsv": "007\t7\n12\t3\n",
    "header.tsv": 'text\tanswer\tnotes\n007\t7\t\n12\t3\ta "quote\n',
    "objects.jsonl": '{"digits": "007", "sum": 7}\n\n{"answer": "3", "note": null, "input": 12}\n',
    "pairs.ndjson": '["007", 7]\n[12, "3"]\n',
    "no-ending": "007,7\n12,3\n",
}


@pytest.fixture(scope="module")
def task():
    return create_task(load_preset("digit-sum"))


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", SAME)
def test_the_same_examples_in_every_format(name, task, tmp_path):
    found = read(Source(written(tmp_path, name, SAME[name])), task)
    assert found.examples[:2] == EXAMPLES[:2] and found.notices() == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("named.csv", "id,number,total\nx,007,7\ny,12,3\n"),
        ("named.jsonl", '{"total": 7, "number": "007"}\n{"number": 12, "total": 3}'),
    ],
)
def test_columns_by_name(name, text, task, tmp_path):
    path = written(tmp_path, name, text)
    assert read(Source(path, columns=("number", "total")), task).examples[:2] == EXAMPLES[:2]
    with pytest.raises(rnnzoo.InputError, match=rf"{name}, line 1: .*'?(numero|number)"):
        read(Source(path, columns=("numero", "total")), task)


def test_answers_at_every_timestep(tmp_path):
    running = create_task(load_preset("digit-sum-running"))
    both = create_task(load_preset("digit-sum-both-ways"))
    path = written(tmp_path, "a.jsonl", '{"digits": "12", "answer": [1, 3]}')
    assert read(Source(path), running).examples.answers == [[1, 3]]
    path = written(tmp_path, "b.jsonl", '["12", [[1, 3], [3, 2]]]')
    assert read(Source(path), both).examples.answers == [[(1, 3), (3, 2)]]


def test_what_of_json_is_no_label(tmp_path):
    """Numbers and booleans are labels; null, lists and objects are none, and are counted."""
    lines = ['["fine", true]', '["dull", null]', '["odd", ["a"]]', '["odd", {"a": 1}]', '[null, "a"]', '["bad", 0]']
    path = written(tmp_path, "a.jsonl", "\n".join(lines))
    sentiment = new_task(load_preset("sentiment"))
    found = read(Source(path, skip_bad=True), sentiment)
    assert found.examples.answers == ["true", "0"] and len(found.skipped) == 4
    with pytest.raises(rnnzoo.InputError, match=r"a\.jsonl, line 2: `sentiment` is null$"):
        read(Source(path), sentiment)
    path = written(tmp_path, "b.jsonl", '{"digits": "12", "answer": [1, null]}')
    with pytest.raises(rnnzoo.InputError, match=r"line 1: `running_sums` has null in it$"):
        read(Source(path), create_task(load_preset("digit-sum-running")))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "12\t3\n13\n", r"line 2: 1 field; expected 2"),
        ("a.csv", "id,digits,sum\n1,12,3\n2,13\n", r"line 3: 2 fields; expected 3, as the header has"),
        ("a.csv", "input,text,sum\n", r"line 1: more than one column may be the input or the answer"),
        ("a.jsonl", '["12", 3]\n{"digits": "12"', r"line 2: no JSON: "),
        ("a.jsonl", '{"digits": "12"}', r'line 1: expected \{"digits": \.\.\., "sum": \.\.\.\} or a pair'),
        ("a.jsonl", "12", r"line 1: expected \{"),
        ("a.jsonl", "[" * 100_000, r"line 1: no JSON"),
        ("a.jsonl", '{"digits": null, "sum": 3}', r"line 1: `digits` is null"),
        ("a.jsonl", '["12", 3]\n["12", null]', r"line 2: `sum` is null"),
        ("a.jsonl", '{"digits": "12", "sum": {"a": 3}}', r"line 1: `sum` is an object; expected text or a number"),
        ("a.jsonl", '["12", [3]]', r"line 1: `sum` is a list; expected text or a number"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(name, text, message, task, tmp_path):
    path = written(tmp_path, name, text)
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        read(Source(path), task)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_bad_rows_can_be_left_out_and_are_counted(task, tmp_path):
    path = written(tmp_path, "a.csv", "007,7\nx,1\n12,3\n12\n,\n1,2,3\n")
    found = read(Source(path, skip_bad=True), task)
    assert found.examples[:2] == EXAMPLES[:2] and len(found.skipped) == 4
    first, *lines, last = found.notices()
    assert first == "4 of 6 examples were skipped:" and last == "and 1 more"
    assert [line.split(": ")[0] for line in lines] == [f"{path}, line {n}" for n in (2, 4, 5)]
    path.write_text("x,1\n")
    with pytest.raises(rnnzoo.InputError, match=r"a\.csv: nothing but bad lines, the first: .*line 1: 'x' at position 1"):
        read(Source(path, skip_bad=True), task)


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{a}{b}\t{a * b}" for a in range(10) for b in range(10)]
    written(tmp_path, "mine.tsv", "\n".join(["number\tproduct", *rows, "x\t3"]))
    call = [
        "train",
        "digit-sum",
        "--data",
        "mine.tsv",
        "--columns",
        "number,product",
        "--set",
        "training.epochs=1",
        "-o",
        "run",
    ]
    done = CliRunner().invoke(cli, call)
    assert done.exit_code == 2 and "mine.tsv, line 102: 'x' at position 1" in done.stderr
    done = CliRunner().invoke(cli, [*call, "--skip-bad", "--valid", "0.1", "--json"])
    assert done.exit_code == 0, done.output
    assert "Note: 1 of 101 examples were skipped:" in done.stderr
    metadata = json.loads(done.stdout)
    assert metadata["dataset"]["training_examples"] == 90 and metadata["metrics"]["held_out"]["examples"] == 10
    data = load_preset(tmp_path / "run").data
    assert (data.file, data.valid, data.skip_bad, data.columns) == ("data.tsv", 0.1, True, ("number", "product"))
    evaluated = CliRunner().invoke(cli, ["evaluate", "run", "--json"])
    assert json.loads(evaluated.stdout) == metadata["metrics"]
    on_all = ["evaluate", "digit-sum", "--data", "mine.tsv", "--columns", "number,product", "--skip-bad", "--json"]
    assert json.loads(CliRunner().invoke(cli, on_all).stdout)["data"]["examples"] == 100
    for wrong, message in (
        (["train", "digit-sum", "--skip-bad"], "--skip-bad goes with --data"),
        (["train", "digit-sum", "--valid", "0.5"], "--valid goes with --data"),
        (["evaluate", "digit-sum", "--columns", "a,b"], "--columns goes with --data"),
        (["evaluate", "digit-sum", "--data", "mine.tsv", "--columns", "a"], "expected two names"),
        (["train", "digit-sum", "--data", "mine.tsv", "--valid", "1"], "1.0 is not in the range 0<x<1"),
    ):
        done = CliRunner().invoke(cli, wrong)
        assert done.exit_code == 2 and message in done.stderr


@pytest.mark.slow
def test_a_run_from_before_its_preset_said_how_its_data_are_read(tmp_path):
    data = written(tmp_path, "mine.csv", "".join(f"{a}{b},{a * b}\n" for a in range(10) for b in range(10)))
    run = rnnzoo.train("digit-sum", run_dir=tmp_path / "run", data=data, overrides=["training.epochs=1"])
    path = tmp_path / "run" / "preset.toml"
    text = path.read_text()
    path.write_text(text[: text.index("[data]")])
    assert rnnzoo.evaluate(tmp_path / "run") == run.metrics
    again = rnnzoo.train(tmp_path / "run", run_dir=tmp_path / "again")
    assert again.metrics == run.metrics and again.metadata["dataset"]["sha256"] == run.metadata["dataset"]["sha256"]
