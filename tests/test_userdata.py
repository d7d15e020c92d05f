"""A user's own examples, in the formats that people have them in."""

import csv
import json

import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo.building import create_task, new_task
from rnnzoo.cli.main import cli
from rnnzoo.registry import Source, load_preset
from rnnzoo.streamed import StreamedExamples
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
    "semicolons.csv": "007;7\n12;3\n",
    "semicolons-and-a-header.csv": 'id;Digits;Sum\n"a;b";007;7\nc,d;"12";3\n',
    "tabs.csv": "007\t7\n12\t3\n",
    "tabs-and-a-header.txt": 'digits\tsum\tnotes\n007\t7\t"a, b\n12\t3\t,\n',
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
        ("a.csv", "12;3\n13;4\n14\n", r"line 1: 1 field; expected 2, `digits,sum`; there is a semicolon where a comma is"),
        ("a.csv", "12,3\n13\t4\n", r"line 2: 1 field; expected 2, `digits,sum`; there is a tab where a comma is expected"),
        ("a.tsv", "12,3\n", r"line 1: 1 field; expected 2, `digits,sum`; there is a comma where a tab is expected"),
        ("a.tsv", "12\t3\tx\n", r"line 1: 3 fields; expected 2, `digits,sum`; --columns 1,2 says which they are$"),
        ("a.csv", "no,number,total\n", r"line 1: 3 fields; .*, or if this is a header, two of its names$"),
        ("a.csv", "number,the total\n12,3\n", r"line 1: 'n' at .*; if this is a header, --columns 'number,the total' names"),
        ("a.csv", "digits,sum\n", r"a\.csv: a header and no rows; expected lines of `digits,sum`"),
        ("a.csv", "\n \n", r"line 2: 1 field; expected 2"),
        ("a.csv", "\n\n", r"a\.csv: empty; expected lines of `digits,sum`"),
        ("a.csv", "1\x002,3\n", r"line 1: a NUL character, which is no text"),
        ("a.jsonl", '["12", "3\\u0000"]\n', r"line 1: a NUL character, which is no text"),
        ("a.csv", '12,3\n"13,4\n14,5\n', r"line 2: a quote is opened and never closed$"),
        ("a.csv", '12,3\n"13"4,4\n14,5\n', r"line 2: ',' expected after '\"'$"),
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


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "12,3\n13,4é\n14,5\n"),
        ("header.csv", "digits,sum,größe\n12,3,1\n13,4,é\n14,5,1\n"),
        ("a.tsv", "12\t3\n13\té\n14\t5\n"),
        ("a.jsonl", '["12", 3]\n["13", "é"]\n["14", 5]\n'),
    ],
)
def test_a_line_that_is_no_utf_8(name, text, task, tmp_path):
    """It is told of, and left out alone. In a header, what is not looked at does not matter."""
    path = tmp_path / name
    path.write_text(text, encoding="latin-1")
    line = 1 + text[: text.index("é")].count("\n")
    with pytest.raises(rnnzoo.InputError, match=rf"{name}, line {line}: not UTF-8$"):
        read(Source(path), task)
    found = read(Source(path, skip_bad=True), task)
    assert found.examples[:2] == (["12", "14"], [3, 5]) and found.skipped == [f"{path}, line {line}: not UTF-8"]
    for encoding in ("utf-16", "utf-32"):
        path.write_text(text, encoding=encoding)
        with pytest.raises(rnnzoo.InputError, match=rf"{name}: {encoding.upper()}; expected text in UTF-8$"):
            read(Source(path, skip_bad=True), task)


@pytest.mark.parametrize("after", ["", "x,y\n", '"a ""word""",1\n', 'the "end",2\n"two\nlines",1\n"open,3\n'])
def test_a_quote_that_is_never_closed_costs_its_line(after, tmp_path):
    """All lines around it are read, and fields of several lines are."""
    sentiment = new_task(load_preset("sentiment"))
    lines = [f"film {i},{i % 2}" for i in range(60)]
    path = written(tmp_path, "a.csv", "\n".join([*lines[:2], '"stray,1', *lines[2:], after]))
    with pytest.raises(rnnzoo.InputError, match=r"a\.csv, line 3: a quote is opened and never closed$"):
        read(Source(path), sentiment)
    found = read(Source(path, skip_bad=True), sentiment)
    whole = list(csv.reader(after.removesuffix('"open,3\n').splitlines(keepends=True)))
    assert found.examples.inputs == [line.split(",")[0] for line in lines] + [row[0] for row in whole]
    assert len(found.skipped) == 1 + after.count("open")


def test_a_header_that_is_not_known_is_no_example(tmp_path):
    rows = "".join(f"film {i},{('good', 'bad')[i % 2]}\n" for i in range(60))
    sentiment = new_task(load_preset("sentiment"))
    path = written(tmp_path, "a.csv", "comment,rating\n" + rows)
    said = r"a\.csv, line 1 looks like a header; name its columns with --columns comment,rating, or give a header of known"
    for options in ({}, {"skip_bad": True}, {"columns": ("1", "2")}):
        with pytest.raises(rnnzoo.InputError, match=said):
            read(Source(path, **options), sentiment)
    with pytest.raises(rnnzoo.InputError, match=said):
        StreamedExamples(Source(path), sentiment)
    with pytest.raises(rnnzoo.InputError, match=said):
        rnnzoo.pack("sentiment", path, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()
    assert len(read(Source(path, columns=("comment", "rating")), sentiment).examples.inputs) == 60
    (tmp_path / "parts").mkdir()
    for i in range(3):
        written(tmp_path / "parts", f"{i}.csv", "comment,rating\n" + rows)
    with pytest.raises(rnnzoo.InputError, match=r"0\.csv, line 1 looks like a header"):
        read(Source(tmp_path / "parts"), sentiment)


@pytest.mark.parametrize(
    "text",
    [
        "fine,good\nodd,bad\ndull,bad\n",  # without the first there would be one label
        "A film.,rating\n" + "a,good\nb,bad\n" * 9,  # no head of a column
        "comment,rating\n" + "a,good\nb,bad\n" * 9 + "c,rating\n",
        "comment,rating\n" + "a,good\nb,bad\n" * 9 + "c,odd\n",
    ],
)
def test_a_first_example_is_no_header(text, tmp_path):
    sentiment = new_task(load_preset("sentiment"))
    assert len(read(Source(written(tmp_path, "a.csv", text)), sentiment).examples.inputs) == text.count("\n")


NAMES = {
    "one.csv": "name\nemma\nanna\n",
    "none.csv": "emma\n\nanna\n",
    "more.csv": "name,sex\nemma,F\nanna,F\n",
    "label.csv": "sex,Label\nF,emma\nF,anna\n",
    "semicolons.csv": "Sex;Name\nF;emma\nF;anna\n",
    "pairs.csv": "start,emma\nstart,anna\n",
    "pairs-and-a-header.csv": "start,name\nstart,emma\nstart,anna\n",
    "plain.txt": "emma\nanna\n",
    "a.jsonl": '"emma"\n{"name": "anna", "sex": "F"}\n',
    "pairs.jsonl": '["start", "emma"]\n{"start": "start", "name": "anna"}\n',
}


@pytest.mark.parametrize("name", NAMES)
def test_answers_alone_where_inputs_say_nothing(name, tmp_path):
    names = create_task(load_preset("baby-names"))
    found = read(Source(written(tmp_path, name, NAMES[name])), names)
    assert found.examples[:2] == (["start"] * 2, ["emma", "anna"])


def test_a_name_in_a_column_of_ones_own(tmp_path):
    names = create_task(load_preset("baby-names"))
    path = written(tmp_path, "a.csv", "emma,F\nanna,F\n")
    with pytest.raises(rnnzoo.InputError, match=r"line 1: 2 fields; expected 1, `name`; --columns 1,1 says which it is$"):
        read(Source(path), names)
    assert read(Source(path, columns=("1", "1")), names).examples.answers == ["emma", "anna"]
    path = written(tmp_path, "b.csv", "sex,first\nF,emma\n")
    assert read(Source(path, columns=("sex", "first")), names).examples.answers == ["emma"]


@pytest.mark.parametrize("name", ["fra.txt", "fra.csv", "fra.tsv"])
def test_columns_by_where_they_stand(name, tmp_path):
    """As in the files of www.manythings.org/anki: a third column says whose the sentences are."""
    translation = create_task(load_preset("translation"))
    lines = ["Go.\tVa !\tCC-BY 2.0", '"Hi," he said.\t« Salut », dit-il.\tCC-BY 2.0', "I see, yes.\tJe vois.\tCC-BY 2.0"]
    path = written(tmp_path, name, "\n".join(lines))
    said = r"line 1: 3 fields; expected 2, `english,french`; --columns 1,2 says which they are$"
    with pytest.raises(rnnzoo.InputError, match=said):
        read(Source(path), translation)
    found = read(Source(path, columns=("1", "2")), translation).examples
    assert found[:2] == (["Go.", '"Hi," he said.', "I see, yes."], ["Va !", "« Salut », dit-il.", "Je vois."])
    with pytest.raises(rnnzoo.InputError, match=rf"{name}, line 1: no column 4; there are 3$"):
        read(Source(path, columns=("1", "4")), translation)


def test_columns_by_where_they_stand_in_other_formats(task, tmp_path):
    for name, text in (
        ("a.jsonl", '["a", 7, "007"]\n["b", 3, 12]\n'),
        ("a.csv", "a,7,007\nb,3,12\n"),
        ("header.csv", "id,sum,digits\na,7,007\nb,3,12\n"),
        ("semicolons.csv", "a;7;007\nb;3;12\n"),
    ):
        assert read(Source(written(tmp_path, name, text), columns=("3", "2")), task).examples[:2] == EXAMPLES[:2]
    path = written(tmp_path, "a.csv", "1,2\n1,1\n")
    assert read(Source(path, columns=("2", "1")), task).examples[:2] == (["2", "1"], [1, 1])
    path = written(tmp_path, "b.jsonl", '["a"]\n')
    with pytest.raises(rnnzoo.InputError, match=r"line 1: expected a list of 2 or more"):
        read(Source(path, columns=("1", "2")), task)


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
