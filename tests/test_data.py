"""Data sets: downloaded once, verified, found offline. The network is a dict of address -> bytes."""

import gzip
import hashlib
import io
import stat
import urllib.error
import urllib.request
import zipfile

import pytest

import rnnzoo
from rnnzoo import data
from rnnzoo.data import DataFile, open_url

URL = "https://example.org/file"


def file_of(content, path="folder/file.txt", url=URL):
    return DataFile(path, url, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def network(tmp_path, monkeypatch):
    """Address -> what it answers with, bytes or an error; and the addresses that were asked, in `asked`."""

    class Network(dict):
        def __init__(self):
            self.asked = []

    found = Network()

    def answer(url):
        found.asked.append(url)
        if url not in found:
            raise urllib.error.URLError("no such host")
        if isinstance(found[url], Exception):
            raise found[url]
        return io.BytesIO(found[url])

    monkeypatch.setattr(data, "open_url", answer)
    monkeypatch.setenv("RNNZOO_DATA", str(tmp_path / "cache"))
    return found


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_is_downloaded_once(network, tmp_path):
    network[URL] = b"words"
    assert [data.read(file_of(b"words")) for _ in range(3)] == [b"words"] * 3
    assert network.asked == [URL]
    assert names(tmp_path) == ["cache/folder/file.txt"]


def test_of_a_gz_the_content_counts(network, tmp_path):
    network[URL] = gzip.compress(b"words", mtime=1)
    file = file_of(b"words", "folder/file.gz")
    assert data.read(file) == b"words"
    (tmp_path / "cache/folder/file.gz").write_bytes(gzip.compress(b"words", 1, mtime=2))
    assert data.read(file) == b"words" and network.asked == [URL]


def failure(call, kind=rnnzoo.DataError):
    with pytest.raises(kind) as error:
        call()
    assert type(error.value) is kind and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (urllib.error.URLError("no such host"), "no such host"),
        (TimeoutError("timed\nout"), "timed out"),
        (urllib.error.HTTPError(URL, 404, "Not Found", None, None), "Not Found"),
        (ValueError("http://example.org/file is not https"), "is not https"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_a_failed_download_says_what_to_do(error, reason, network, tmp_path):
    network[URL] = error
    text = failure(lambda: data.read(file_of(b"words")), rnnzoo.MissingDataError)
    path = tmp_path / "cache" / "folder" / "file.txt"
    assert text.startswith(f"{path}: missing, and the download failed (") and reason in text
    assert f"download {URL} to {path}, or set RNNZOO_DATA to a folder that has it as folder/file.txt" in text
    assert names(tmp_path) == [] and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("wrong", [b"wordz", b"", b"words and more", b"w" * 2**20])
def test_what_is_wrong_is_not_kept(wrong, network, tmp_path):
    network[URL] = wrong
    text = failure(lambda: data.read(file_of(b"words")))
    assert "not the file that is expected, 5 bytes" in text and "nothing was kept; download" in text
    assert names(tmp_path) == []


def test_what_is_wrong_in_the_cache_is_said_and_left(network, tmp_path):
    path = tmp_path / "cache" / "folder" / "file.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"wordz")
    text = failure(lambda: data.read(file_of(b"words")))
    assert text.startswith(f"{path}: not the file that is expected") and f"downloaded again from {URL}" in text
    assert path.read_bytes() == b"wordz" and network.asked == []
    path.unlink()
    path.mkdir()
    assert "cannot be read" in failure(lambda: data.read(file_of(b"words")))


def test_a_damaged_gz_and_one_that_never_ends(network):
    whole = gzip.compress(b"words" * 1000)
    file = file_of(b"words" * 1000, "folder/file.gz")
    for stored in (whole[:-12], b"junk", whole[:20] + b"?" + whole[21:]):
        network[URL] = stored
        assert URL in failure(lambda: data.read(file))
    network[URL] = gzip.compress(bytes(10**7))  # ten million zeros in ten thousand bytes
    assert "not the file that is expected" in failure(lambda: data.read(file))


def test_a_cache_that_cannot_be_written(network, tmp_path):
    network[URL] = b"words"
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(rnnzoo.RnnzooError, match="cache"):
        data.read(file_of(b"words"))


def test_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in (None, ""):
        monkeypatch.setenv("RNNZOO_DATA", value) if value is not None else monkeypatch.delenv("RNNZOO_DATA", raising=False)
        assert data.cache() == tmp_path / ".cache" / "rnnzoo"
    monkeypatch.setenv("RNNZOO_DATA", "~/elsewhere")
    assert data.cache() == tmp_path / "elsewhere"


def zipped(*members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, text in members:
            archive.writestr(info, text)
    return content.getvalue()


def test_members_of_an_archive(network, tmp_path):
    content = zipped(("a/b.txt", b"words"), ("a/", b""))
    network[URL] = content
    file = file_of(content, "folder/file.zip")
    assert data.read_member(file, "a/b.txt", 5) == b"words"
    assert names(tmp_path) == ["cache/folder/file.zip"]
    assert "no regular file" in failure(lambda: data.read_member(file, "a/", 100))
    assert "not in the archive" in failure(lambda: data.read_member(file, "absent", 100))
    assert "larger than 4 bytes" in failure(lambda: data.read_member(file, "a/b.txt", 4))
    junk = b"PK\3\4 junk"
    network[URL + "2"] = junk
    text = failure(lambda: data.read_member(file_of(junk, "folder/junk.zip", URL + "2"), "a", 9))
    assert "junk.zip, member a: cannot be unpacked" in text


def test_what_no_archive_should_have(network, monkeypatch):
    def refused(*members):
        content = zipped(("a.txt", b"words"), *members)
        url = f"{URL}/{hashlib.sha256(content).hexdigest()}"
        network[url] = content
        file = file_of(content, f"folder/{url[-8:]}.zip", url)
        return failure(lambda: data.read_member(file, "a.txt", 5))

    for name in ("../../escape.txt", "/etc/passwd", "a/../b", "C:\\x", "..\\x"):
        assert "leads out of it" in refused((name, b"out"))
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        link = zipfile.ZipInfo("link")
        link.external_attr = (kind | 0o777) << 16
        assert "is a link or the like" in refused((link, b"/etc/passwd"))
    monkeypatch.setattr(data, "UNPACKED", 2**20)
    assert "it unpacks to over 1,048,576 bytes" in refused(("bomb", b"\0" * 2**20))


def test_https_alone():
    for url in ("http://example.org/x", "file:///etc/passwd", "ftp://example.org/x"):
        with pytest.raises(ValueError, match="is not https"):
            open_url(url)
    handler = data._HttpsAlone()
    request = urllib.request.Request(URL)
    with pytest.raises(ValueError, match="is not https"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://example.org/x")
    assert handler.redirect_request(request, None, 302, "Found", {}, "https://example.org/x").full_url.endswith("org/x")


def test_errors_are_exit_code_1():
    assert issubclass(rnnzoo.MissingDataError, rnnzoo.DataError) and not issubclass(rnnzoo.DataError, rnnzoo.InputError)
