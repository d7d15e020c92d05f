"""Outputs are whole or absent."""

import errno
import os
import shutil

import pytest

from rnnzoo.errors import InputError
from rnnzoo.files import NotWritten, fresh_output


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_it_appears_when_all_went_well(tmp_path):
    with fresh_output(tmp_path / "a" / "b" / "file.txt") as partial:
        partial.write_text("whole")
        assert not (tmp_path / "a" / "b" / "file.txt").exists() and partial.suffix == ".txt"
    assert names(tmp_path) == ["a", "a/b", "a/b/file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_a_failure(error, tmp_path):
    with pytest.raises(error), fresh_output(tmp_path / "new" / "run", folder=True) as partial:
        (partial / "half").write_text("half")
        raise error
    assert names(tmp_path) == []


def test_what_was_there_stays_when_its_replacement_fails(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="no"), fresh_output(path, force=True) as partial:
        partial.write_text("half")
        raise ValueError("no")
    assert path.read_text() == "old" and names(tmp_path) == ["file.txt"]
    with fresh_output(path, force=True) as partial:
        partial.write_text("new")
    assert path.read_text() == "new" and names(tmp_path) == ["file.txt"]


def test_only_a_marked_folder_is_replaced(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    for force, message in ((False, "exists"), (True, "did not write")):
        with pytest.raises(InputError, match=message), fresh_output(folder, force, marker="mark"):
            pass
    (folder / "mark").write_text("")
    with fresh_output(folder, force=True, marker="mark", folder=True) as partial:
        (partial / "mark").write_text("")
    assert names(tmp_path) == ["folder", "folder/mark"]


def test_a_folder_in_the_place_of_a_file_is_not_replaced(tmp_path):
    (tmp_path / "file.txt").mkdir()
    (tmp_path / "file.txt" / "precious").write_text("mine")
    line = f"^{tmp_path / 'file.txt'}: a folder in the place of a file is not replaced$"
    with pytest.raises(InputError, match=line), fresh_output(tmp_path / "file.txt", force=True):
        pass
    assert (tmp_path / "file.txt" / "precious").read_text() == "mine"


def test_an_output_that_appeared_in_the_meantime_is_kept(tmp_path):
    with pytest.raises(InputError, match="exists"), fresh_output(tmp_path / "run") as partial:
        partial.write_text("mine")
        (tmp_path / "run").write_text("theirs")
    assert (tmp_path / "run").read_text() == "theirs" and names(tmp_path) == ["run"]


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), fresh_output(tmp_path / "file" / "run"):
        pass


FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    "error",
    [
        lambda partial: OSError(errno.ENOSPC, FULL),
        lambda partial: OSError(errno.ENOSPC, FULL, str(partial / "weights")),
        lambda partial: OSError(errno.ENOSPC, FULL, "source", None, str(partial / "copy")),
        lambda partial: shutil.Error([("source", str(partial), f"[Errno 28] {FULL}: '{partial}'")]),
        lambda partial: RuntimeError(f"{partial}/variables.tempstate; {FULL} [Op:SaveV2]"),  # TensorFlow's are none of these
    ],
)
def test_a_full_disk_is_told_by_the_name_of_the_output(error, tmp_path):
    """Without temporary names, whoever noticed it; and where one output is made in another, by the outer name."""
    run = tmp_path / "run"
    with pytest.raises(NotWritten) as told, fresh_output(run, folder=True) as outer, fresh_output(outer / "part") as inner:
        raise error(inner)
    assert str(told.value) == f"{tmp_path / 'run'}: cannot be written: {FULL}" and names(tmp_path) == []


def test_what_cannot_be_written_is_told_by_the_name_of_the_output(tmp_path):
    """Errors of reading are not, nor are those of other places."""
    with pytest.raises(NotWritten) as told, fresh_output(tmp_path / "file") as partial:
        (partial / "in a file that is not there").write_text("")
    assert str(told.value) == f"{tmp_path / 'file'}: cannot be written: No such file or directory"
    with pytest.raises(InputError, match=f"^{tmp_path / 'file'}: not right$"), fresh_output(tmp_path / "file") as partial:
        raise InputError(f"{partial}: not right")
    for error in (FileNotFoundError(errno.ENOENT, "none", "elsewhere"), ConnectionResetError(errno.ECONNRESET, "reset")):
        with pytest.raises(type(error)) as found, fresh_output(tmp_path / "file"):
            raise error
        assert found.value is error
