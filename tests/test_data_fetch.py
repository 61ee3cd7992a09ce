"""Fetching files: mirror, cache, download, and what can go wrong."""

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from keras_attn.data.fetch import FetchError, cache_folder, fetch

CONTENT = b"one line\nanother\n" * 9000  # more than one chunk
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        end = 100_000 if self.path == "/interrupted" else None
        self.wfile.write(CONTENT[:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = 0
        server.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_ATTN_DATA", raising=False)
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_downloads_once(server, cache):
    path = fetch("set/file", f"{server.address}/file", SHA256)
    assert path == cache / "set" / "file"
    assert path.read_bytes() == CONTENT
    assert fetch("set/file", f"{server.address}/file", SHA256) == path
    assert server.requests == 1
    assert files(cache) == [path]


def test_reads_file_addresses(tmp_path):
    (tmp_path / "public").write_bytes(CONTENT)
    path = fetch("set/file", (tmp_path / "public").as_uri(), SHA256)
    assert path.read_bytes() == CONTENT


def test_the_mirror_comes_before_the_cache(server, cache, tmp_path, monkeypatch):
    cached = fetch("set/file", f"{server.address}/file", SHA256)
    mirrored = tmp_path / "mirror" / "set" / "file"
    mirrored.parent.mkdir(parents=True)
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path / "mirror"))
    assert fetch("set/file", f"{server.address}/file", SHA256) == cached
    mirrored.write_bytes(CONTENT)
    assert fetch("set/file", f"{server.address}/file", SHA256) == mirrored
    assert server.requests == 1


def test_compares_the_uncompressed_content(tmp_path):
    for level in (1, 9):  # two files, one content
        public = tmp_path / f"{level}.gz"
        public.write_bytes(gzip.compress(CONTENT, level))
        path = fetch(f"set/{level}.gz", public.as_uri(), SHA256, uncompressed=True)
        assert path.read_bytes() == public.read_bytes()


def test_altered_content_is_refused_and_not_kept(server, cache):
    wrong = "0" * 64
    with pytest.raises(FetchError) as caught:
        fetch("set/file", f"{server.address}/file", wrong)
    for part in ("file", f"{server.address}/file", wrong, SHA256, "changed"):
        assert part in str(caught.value)
    assert not files(cache)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(CONTENT)[:-20], b""])
def test_a_broken_file_in_the_mirror_is_named(content, tmp_path, monkeypatch):
    path = tmp_path / "set" / "file.gz"
    path.parent.mkdir()
    path.write_bytes(content)
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path))
    with pytest.raises(FetchError) as caught:
        fetch("set/file.gz", "http://127.0.0.1:1/file.gz", SHA256, uncompressed=True)
    for part in (str(path), SHA256, "Delete it"):
        assert part in str(caught.value)


def test_an_interrupted_download_leaves_nothing(server, cache):
    with pytest.raises(FetchError, match=r"ended after 100,000 of 153,000 bytes"):
        fetch("set/file", f"{server.address}/interrupted", SHA256)
    assert not files(cache)
    fetch("set/file", f"{server.address}/file", SHA256)  # and nothing is in the way


def test_no_network_says_what_to_do(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_ATTN_DATA", str(tmp_path / "mirror"))
    with pytest.raises(FetchError) as caught:
        fetch("set/file", "http://127.0.0.1:1/file", SHA256)
    places = (tmp_path / "mirror" / "set" / "file", cache / "set" / "file")
    for part in ("http://127.0.0.1:1/file", SHA256, "KERAS_ATTN_DATA", *places):
        assert str(part) in str(caught.value)
    assert not files(cache)


def test_a_file_that_is_gone_says_so(server):
    with pytest.raises(FetchError, match="404"):
        fetch("set/file", f"{server.address}/missing", SHA256)


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_ATTN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "keras_attn"
