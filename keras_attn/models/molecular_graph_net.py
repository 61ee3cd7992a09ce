import keras
from keras import layers, ops

from keras_attn.layers._checks import check_counts
from keras_attn.layers._graph_layer import check_choice
from keras_attn.layers.attention_pooling import AttentionPooling
from keras_attn.layers.edge_conv import EdgeConv
from keras_attn.layers.graph_pooling import GraphPooling
from keras_attn.models._configured import ConfiguredModel
from keras_attn.ops.graph_pooling import MODES
from keras_attn.ops.memory import zero_masked

TASKS = ("regression", "classification")
POOLINGS = ("attention", *MODES)


@keras.saving.register_keras_serializable("keras_attn")
class MolecularGraphNet(ConfiguredModel):
    """A graph network that tells properties of molecules from their atoms and bonds.

    Atoms exchange messages along their bonds in residual layers of `EdgeConv`, then
    are pooled to one row a molecule, of which a small network makes one number a task.

    A functional model on a dict of padded graphs, as `keras_attn.data.GraphBatch`
    yields them: `nodes` `(batch, atoms, node_features)`, `edges` int32 `(batch, bonds,
    2)` with receiver -1 for padding, `edge_features` `(batch, bonds, edge_features)`
    and `nodes_mask` bool `(batch, atoms)`. The output, `(batch, num_tasks)`, holds
    values or, for classification, logits. Labels may be missing; see
    `KnownLabelsLoss`.

    Args:
        num_tasks: Int, number of properties.
        task: `"regression"` or `"classification"`, each task a yes or no; decides on
            what is served.
        node_features, edge_features: Ints, widths of the rows of atoms and bonds. The
            defaults are those of `keras_attn.data.molecules`.
        units: Int, width of the layers.
        num_layers: Int, number of convolutions.
        pooling: `"attention"`, `"sum"`, `"mean"` or `"max"`; or several of them, whose
            rows are put side by side: of these the sum alone knows how many atoms
            there are.
        dropout: Float in [0, 1), after each convolution and in the head.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.MolecularGraphNet(12, task="classification")
        >>> crossentropy = keras.losses.BinaryCrossentropy(from_logits=True)
        >>> model.compile(
        ...     "adam", keras_attn.KnownLabelsLoss(crossentropy), jit_compile=True
        ... )
        >>> model.fit(keras_attn.data.GraphBatch(graphs, batch_size=64))

    Reference:
        Hu et al., 2020, https://arxiv.org/abs/1905.12265 (bonds in messages). Li et
        al., 2016, https://arxiv.org/abs/1511.05493 (attention pooling).
    """

    arguments = (
        "num_tasks",
        "task",
        "node_features",
        "edge_features",
        "units",
        "num_layers",
        "pooling",
        "dropout",
    )

    def __init__(
        self,
        num_tasks,
        task="regression",
        node_features=55,
        edge_features=12,
        units=128,
        num_layers=4,
        pooling="attention",
        dropout=0.1,
        dtype=None,
        **kwargs,
    ):
        check_choice("task", task, TASKS)
        poolings = (pooling,) if isinstance(pooling, str) else tuple(pooling)
        for name in poolings or (None,):
            check_choice("pooling", name, POOLINGS)
        check_counts(num_tasks=num_tasks)
        check_counts(num_layers=num_layers)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        inputs = {
            "nodes": keras.Input((None, node_features), name="nodes"),
            "edges": keras.Input((None, 2), dtype="int32", name="edges"),
            "edge_features": keras.Input((None, edge_features), name="edge_features"),
            "nodes_mask": keras.Input((None,), dtype="bool", name="nodes_mask"),
        }
        network = _Network(units, num_layers, num_tasks, poolings, dropout, policy)
        outputs, _ = network(inputs)
        super().__init__(inputs, outputs, **kwargs)
        self.network = network
        self.num_tasks, self.task = num_tasks, task
        self.node_features, self.edge_features = node_features, edge_features
        self.units, self.num_layers = units, num_layers
        self.pooling = pooling if isinstance(pooling, str) else list(poolings)
        self.dropout = dropout
        self.policy = policy

    def explain(self, inputs):
        """Answers, and says which atoms the answers come from, in inference.

        Args:
            inputs: Dict of tensors, the inputs of the model.

        Returns:
            Dict of `values`, or of `probabilities` for classification, float32
            `(batch, num_tasks)`, and with `"attention"` in `pooling` of the
            `attention_scores`, float32 `(batch, atoms)`, that sum to one.
        """
        outputs, scores = self.network(inputs, training=False)
        outputs = ops.cast(outputs, "float32")
        if self.task == "regression":
            answer = {"values": outputs}
        else:
            answer = {"probabilities": ops.sigmoid(outputs)}
        if scores is not None:
            answer["attention_scores"] = ops.cast(scores, "float32")
        return answer

    def serving_signatures(self):
        """What a server offers of this model, for `keras_attn.serving.export`.

        `serving_default` takes `nodes`, `edges` and `edge_features` of padded graphs
        and `lengths`, int32 `(batch,)`, the number of atoms of each, in place of the
        mask; it answers as `explain` does. Edges with receiver -1 are padding, and so
        are those from an atom to itself, of which a molecule has none: a server that
        pads requests to one shape fills up with equal numbers.

        Returns:
            Dict `{name: (function, {input: tf.TensorSpec})}`.
        """
        from keras_attn.models._molecular_signatures import signatures

        return signatures(self)


class _Network:
    """The layers, called on symbolic inputs and on tensors alike."""

    def __init__(self, units, num_layers, num_tasks, poolings, dropout, policy):
        def dense(name, size, activation=None):
            return layers.Dense(size, activation, dtype=policy, name=name)

        def drop(name):
            return layers.Dropout(dropout, dtype=policy, name=f"{name}_dropout")

        self.atom = dense("atom", units)
        self.blocks = [
            (
                layers.LayerNormalization(dtype=policy, name=f"norm_{i}"),
                EdgeConv(units, 2 * units, dtype=policy, name=f"conv_{i}"),
                drop(f"conv_{i}"),
            )
            for i in range(num_layers)
        ]
        self.norm = layers.LayerNormalization(dtype=policy, name="norm")
        self.attention = None
        if "attention" in poolings:
            self.attention = AttentionPooling(units, dtype=policy, name="pooling")
        self.poolings = [
            GraphPooling(mode, dtype=policy, name=f"{mode}_pooling")
            for mode in poolings
            if mode != "attention"
        ]
        self.hidden = dense("hidden", units, "relu")
        self.dropout = drop("hidden")
        self.outputs = dense("outputs", num_tasks)

    def __call__(self, inputs, training=None):
        """Returns the outputs and the attention, `None` where there is none."""
        mask = inputs["nodes_mask"]
        bonds = {name: inputs[name] for name in ("edges", "edge_features")}
        atoms = self.atom(zero_masked(inputs["nodes"], mask))
        for norm, convolution, dropout in self.blocks:
            heard = convolution(norm(atoms), nodes_mask=mask, **bonds)
            atoms = atoms + dropout(heard, training=training)
        atoms = self.norm(atoms)
        pooled, scores = [pool(atoms, nodes_mask=mask) for pool in self.poolings], None
        if self.attention is not None:
            attended, scores = self.attention(
                atoms, nodes_mask=mask, return_attention_scores=True
            )
            pooled.append(attended)
        pooled = ops.concatenate(pooled, axis=-1)
        hidden = self.dropout(self.hidden(pooled), training=training)
        return self.outputs(hidden), scores
