"""Dtype policies of layers whose sublayers have been quantized."""

import keras

PolicyMap = keras.dtype_policies.DTypePolicyMap


def serialized_policy(layer, policy):
    """Config of a layer's dtype policy, with those that quantization has put in.

    `quantize` gives a policy to each sublayer that it reaches. A layer made from a
    config without them would have no place for the quantized weights.

    Args:
        layer: Layer or model.
        policy: Dtype policy that it was made with.

    Returns:
        The config, for the argument `dtype`.
    """
    given = isinstance(policy, PolicyMap)
    policies = dict(policy) if given else {}
    for sublayer in layer._flatten_layers(include_self=False):
        if sublayer.quantization_mode is not None:
            policies[sublayer.path] = policy_at(sublayer.dtype_policy, sublayer.path)
    if policies:
        default = policy.default_policy if given else policy
        policy = PolicyMap(default.name, policies)
    return keras.dtype_policies.serialize(policy)


def policy_at(policy, path):
    """What a policy, be it a map, says of the layer at a path.

    A Keras layer that has quantized weights is saved by its own policy only, not by
    what a map says of it.
    """
    return policy[path] if isinstance(policy, PolicyMap) else policy
