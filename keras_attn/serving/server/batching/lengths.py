"""Padding that a model can tell from data: it is told the `lengths` of its rows."""

from collections.abc import Sequence

import numpy as np

from keras_attn.serving.server.batching.task import Task

ALIAS = "lengths"

_INTEGERS = frozenset((3, 9))  # int32 and int64, as TensorFlow numbers its types


class Lengths:
    """Which inputs say how long rows are, and what of an output padding has added.

    Args:
        signatures: The signatures of a model, by name.
    """

    def __init__(self, signatures: dict):
        self._names = set()
        self._fixed: dict[str, frozenset[int]] = {}
        for signature in signatures.values():
            for alias, info in signature.inputs.items():
                self._fixed[info.name] = _fixed_axes(info)
                if alias == ALIAS and info.dtype in _INTEGERS and _is_vector(info):
                    self._names.add(info.name)
            for info in signature.outputs.values():
                self._fixed[info.name] = _fixed_axes(info)

    def are_told(self, feeds: tuple[str, ...]) -> bool:
        """Whether lengths are among the inputs."""
        return not self._names.isdisjoint(feeds)

    def cut(
        self,
        feeds: Sequence[str],
        tasks: Sequence[Task],
        padded: Sequence[np.ndarray],
        answers: Sequence[dict[str, np.ndarray]],
    ) -> list[dict[str, np.ndarray]]:
        """Takes off the outputs what padding has added to them.

        Only dimensions that the signature leaves open can have grown, and only those
        of the size of a padded input are taken to have.
        """
        cut = []
        for task, answer in zip(tasks, answers, strict=True):
            own = self._own_sizes(feeds, task.arrays, padded)
            cut.append({n: self._cut(n, output, own) for n, output in answer.items()})
        return cut

    def _own_sizes(
        self,
        feeds: Sequence[str],
        arrays: Sequence[np.ndarray],
        padded: Sequence[np.ndarray],
    ) -> dict[int, int]:
        """From the size of a padded dimension to what it was for one request.

        Sizes that stand for several are left out: an output of that size cannot be
        told to have grown from one or the other.
        """
        found: dict[int, set[int]] = {}
        for name, own, common in zip(feeds, arrays, padded, strict=True):
            for axis in range(1, own.ndim):
                if axis not in self._fixed[name]:
                    found.setdefault(common.shape[axis], set()).add(own.shape[axis])
        return {size: own.pop() for size, own in found.items() if len(own) == 1}

    def _cut(self, name: str, output: np.ndarray, own: dict[int, int]) -> np.ndarray:
        fixed = self._fixed[name]
        kept = [
            slice(None if axis in fixed else own.get(size))
            for axis, size in enumerate(output.shape[1:], 1)
        ]
        return output[(slice(None), *kept)]


def _fixed_axes(info) -> frozenset[int]:
    """The dimensions that the signature gives a size."""
    if info.tensor_shape.unknown_rank:
        return frozenset()
    return frozenset(a for a, d in enumerate(info.tensor_shape.dim) if d.size >= 0)


def _is_vector(info) -> bool:
    return not info.tensor_shape.unknown_rank and len(info.tensor_shape.dim) == 1
