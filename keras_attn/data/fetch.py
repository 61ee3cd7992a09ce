"""Files of public data sets: found on disk or downloaded, and always verified."""

import gzip
import hashlib
import http.client
import os
import sys
import tempfile
import urllib.request
import warnings
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

CHUNK = 1 << 16
TIMEOUT = 30.0  # seconds without an answer
GZIP_BEGIN = b"\x1f\x8b"


class FetchError(RuntimeError):
    """A data file could not be had, or its content is not the expected one."""


def fetch(
    name: str,
    url: str,
    sha256: str,
    uncompressed: bool = False,
    other_edition: bool = False,
) -> Path:
    """Returns the path of a verified data file, downloading it at most once.

    The file is looked for in the folder `KERAS_ATTN_DATA` (an offline mirror, laid
    out as `<data set>/<file>`), then in the cache, and is downloaded from `url` to
    the cache if neither has it. The cache is `KERAS_ATTN_CACHE`, or `keras_attn` in
    the user's cache folder. A download goes to a temporary file and takes its name
    only once its content is verified, so nothing half-written is ever found.

    Some public files are another edition of the known one, and nobody says which
    digest is theirs. With `other_edition` a download is taken as it is, zipped or
    not, with a warning unless it is the known one; its digest is recorded beside it,
    in `<file>.sha256`, and from then on the file is held to that.

    Args:
        name: String, `"<data set>/<file>"`.
        url: String, the public address of the file.
        sha256: String, the expected SHA-256 in hexadecimal.
        uncompressed: Boolean, whether `sha256` is that of the content of a gzip
            file, instead of that of the file as it is stored.
        other_edition: Boolean, whether `url` may serve other content than that of
            `sha256`.

    Returns:
        The path of the file, in the mirror or in the cache.

    Raises:
        FetchError: If there is no way to the file, or its content is not the
            expected one. The message names the file, the address and the digests.
    """
    mirror = os.environ.get("KERAS_ATTN_DATA")
    mirrored = Path(mirror).expanduser() / name if mirror else None
    cached = cache_folder() / name
    for path in filter(None, (mirrored, cached)):
        if path.is_file():
            advice = "Delete it to have it downloaded again."
            record = _record(path)
            if other_edition and record.is_file():
                _verify(path, path, url, record.read_text().strip(), False, advice)
            else:
                _verify(path, path, url, sha256, uncompressed, advice)
            return path
    _download(cached, url, sha256, uncompressed, other_edition, mirrored)
    return cached


def cache_folder() -> Path:
    """Returns the folder that downloads are kept in; it may not exist yet."""
    if chosen := os.environ.get("KERAS_ATTN_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "keras_attn"


def open_content(path: Path) -> BinaryIO:
    """Opens a file, or what is in it if it is a gzip file."""
    with open(path, "rb") as file:
        zipped = file.read(2) == GZIP_BEGIN
    return cast(BinaryIO, gzip.open(path)) if zipped else open(path, "rb")


def digest(path: Path, uncompressed: bool = False) -> str:
    """Returns the SHA-256 of a file, or of the content of a gzip file."""
    with gzip.open(path) if uncompressed else open(path, "rb") as file:
        return _digest(file)


def _digest(file: Any) -> str:
    state = hashlib.sha256()
    while chunk := file.read(CHUNK):
        state.update(chunk)
    return state.hexdigest()


def _verify(
    path: Path, shown: Path, url: str, sha256: str, uncompressed: bool, advice: str
) -> None:
    try:
        actual = digest(path, uncompressed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        actual = f"none, as it is not a whole gzip file ({error})"
    if actual != sha256.lower():
        content = "uncompressed content" if uncompressed else "file"
        raise FetchError(
            f"`{shown}` is not the expected file of {url}.\n"
            f"Expected SHA-256 of the {content}: {sha256}\n"
            f"Received: {actual}\n{advice}"
        )


def _record(path: Path) -> Path:
    """Where the digest of a file of another edition is kept."""
    return path.with_name(f"{path.name}.sha256")


def _accept(path: Path, partial: Path, url: str, sha256: str) -> None:
    """Takes a download for what it is, and records that."""
    received = digest(partial)
    with open_content(partial) as content:
        known = _digest(content) == sha256.lower()
    if not known:
        warnings.warn(
            f"`{path.name}` of {url} could not be verified: the digest of this edition "
            f"is not published. From now on it is held to the one received: {received}",
            stacklevel=4,
        )
    _record(path).write_text(f"{received}\n")


def _download(
    path: Path,
    url: str,
    sha256: str,
    uncompressed: bool,
    other_edition: bool,
    mirrored: Path | None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            _copy(url, file, path.name)
        if other_edition:
            _accept(path, partial, url, sha256)
        else:
            advice = "The public file has changed, or the connection altered it."
            _verify(partial, path, url, sha256, uncompressed, advice)
        partial.replace(path)
    except (OSError, http.client.HTTPException) as error:
        places = f"`{path}`" if mirrored is None else f"`{mirrored}` or `{path}`"
        raise FetchError(
            f"`{path.name}` is not on this machine and could not be downloaded from "
            f"{url}: {error or type(error).__name__}\n"
            f"Expected SHA-256: {sha256}\n"
            f"Connect to the network and try again, or put the file at {places} "
            "(`KERAS_ATTN_DATA` names a folder of data sets to be used offline)."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(url: str, file: BinaryIO, name: str) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        total = int(response.headers.get("Content-Length") or 0)
        received = 0
        while chunk := response.read(CHUNK):
            file.write(chunk)
            received += len(chunk)
            _show_progress(name, received, total)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if received < total:
        raise ConnectionError(
            f"the connection ended after {received:,} of {total:,} bytes"
        )


def _show_progress(name: str, received: int, total: int) -> None:
    if sys.stderr.isatty():
        share = f" of {total:,} ({received / total:.0%})" if total else ""
        line = f"\rDownloading {name}: {received:,}{share} bytes"
        print(line, end="", file=sys.stderr, flush=True)
