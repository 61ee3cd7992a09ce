"""The signature under which a network of molecules is served."""

import tensorflow as tf

from keras_attn.models._requests import kept


def signatures(model):
    """Returns `{name: (function, {input: tf.TensorSpec})}`, see `MolecularGraphNet`."""

    def molecules(inputs):
        nodes, edges = inputs["nodes"], inputs["edges"]
        senders, receivers = tf.unstack(edges, axis=-1)
        receivers = tf.where(senders == receivers, -1, receivers)
        return model.explain(
            {
                "nodes": nodes,
                "edges": tf.stack([senders, receivers], axis=-1),
                "edge_features": inputs["edge_features"],
                "nodes_mask": kept("lengths", inputs, "nodes"),
            }
        )

    def spec(name, dtype, *shape):
        return tf.TensorSpec((None, *shape), dtype, name=name)

    inputs = (
        spec("nodes", tf.float32, None, model.node_features),
        spec("edges", tf.int32, None, 2),
        spec("edge_features", tf.float32, None, model.edge_features),
        spec("lengths", tf.int32),
    )
    return {"serving_default": (molecules, {each.name: each for each in inputs})}
