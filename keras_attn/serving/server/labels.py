"""Labels of versions, such as `stable` and `canary`."""

from collections.abc import Callable, Iterable, Mapping

from keras_attn.serving.server.config import ModelConfig
from keras_attn.serving.server.status import failed_precondition

Labels = Mapping[str, Mapping[str, int]]
"""By name of the model and label."""


def assign_labels(
    configs: Iterable[ModelConfig],
    assigned: Labels,
    is_available: Callable[[str, int], bool],
    also_unavailable: bool = False,
) -> Labels:
    """The labels that hold once these models are configured.

    Args:
        configs: The models with the labels they are to have.
        assigned: The labels so far.
        is_available: Whether a version of a model serves.
        also_unavailable: Whether a label may point to a version that does not serve,
            as long as no other version had it.

    Raises:
        StatusError: A label names a version that it must not.
    """
    for config in configs:
        before = assigned.get(config.name, {})
        for label, version in config.labels.items():
            is_moved = before.get(label, version) != version
            if is_available(config.name, version):
                continue
            if is_moved or not also_unavailable:
                raise failed_precondition(
                    f"Request to assign label to version {version} of model "
                    f"{config.name}, which is not currently available for inference"
                )
    return {config.name: dict(config.labels) for config in configs}
