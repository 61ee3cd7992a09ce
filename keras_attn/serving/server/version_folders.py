"""The versions of a model on disk."""

import os
from collections.abc import Iterable
from pathlib import Path

from keras_attn.serving.server.config import ModelConfig
from keras_attn.serving.server.status import invalid_argument

_HIGHEST = 2**63 - 1


def find_versions(config: ModelConfig) -> tuple[dict[int, Path], list[str]]:
    """The versions that are to serve of those below the base path.

    Returns:
        `(paths, remarks)`: the folder of each version, and what someone should know.

    Raises:
        StatusError: The base path cannot be listed.
    """
    try:
        names = os.listdir(config.base_path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise invalid_argument(
            f"Could not find base path {config.base_path} for servable {config.name} "
            f"with error {getattr(error, 'strerror', None) or error}"
        ) from None
    folders, remarks = index_versions(names)
    chosen = config.policy.choose(folders)
    for version in sorted((config.policy.specific or frozenset()) - chosen):
        remarks.append(
            f"Version {version} of servable {config.name}, which was requested to be "
            "served as a 'specific' version in the servable's version policy, was not "
            "found in the file system"
        )
    if not chosen:
        remarks.append(
            f"No versions of servable {config.name} found under base path "
            f"{config.base_path}. Name its version folders as numbers, e.g. 1."
        )
    base = Path(config.base_path)
    return {version: base / folders[version] for version in chosen}, remarks


def index_versions(names: Iterable[str]) -> tuple[dict[int, str], list[str]]:
    """Names that are numbers, by that number; zeros may lead.

    Returns:
        `(folders, remarks)`: with a remark for each number that has several names, of
        which the last in alphabetical order counts.
    """
    folders: dict[int, str] = {}
    remarks = []
    for name in names:
        if not (name.isascii() and name.isdecimal()):
            continue
        number = int(name)
        if number > _HIGHEST:
            continue
        if number in folders:
            ignored, name = sorted((folders[number], name))
            remarks.append(
                f"Duplicate version directories detected. Version {number} will be "
                f"loaded from {name}, {ignored} will be ignored."
            )
        folders[number] = name
    return folders, remarks
