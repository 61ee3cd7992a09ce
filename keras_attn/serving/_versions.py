"""Version folders of a model repository: `<model>/<integer>/`."""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

# What renaming a folder onto something that is already there raises.
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def next_version(model_folder: Path) -> int:
    """One more than the highest integer name in `model_folder`, at least 1.

    A server reads `00000012` as 12, and so does this; other names do not count.
    """
    names = [child.name for child in model_folder.iterdir()]
    return max((int(n) for n in names if n.isascii() and n.isdecimal()), default=0) + 1


@contextlib.contextmanager
def staging(model_folder: Path) -> Iterator[Path]:
    """An empty folder inside `model_folder`, on its file system, for one export.

    Its name is no integer, so that no server takes it for a version. Whatever is
    left of it at the end is removed, and on a failure also the parent folders that
    were made for it.
    """
    parents = (model_folder, *model_folder.parents)
    created = [parent for parent in parents if not parent.exists()]
    folder = model_folder / f".export-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True)
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another export may live there by now
            for parent in created:
                parent.rmdir()
        raise
    shutil.rmtree(folder, ignore_errors=True)


def publish(staged: Path, sign: Callable[[int], None]) -> Path:
    """Renames `staged` to the next version beside it, and returns that folder.

    `sign(version)` writes what depends on the number; it is called again when
    another export has taken the number first.
    """
    model_folder = staged.parent
    while True:
        version = next_version(model_folder)
        sign(version)
        target = model_folder / str(version)
        try:
            os.rename(staged, target)
        except OSError as error:
            if error.errno not in _TAKEN or not target.exists():
                raise
        else:
            return target
