"""Records what Spektral's `GCNConv` answers, which wants Keras 2.

TF_USE_LEGACY_KERAS=1 python -m tests.layers.record_spektral_gcn
"""

from pathlib import Path

import numpy as np

RECORD = Path(__file__).with_name("spektral_gcn.npz")


def main():
    from spektral.layers import GCNConv

    rng = np.random.default_rng(0)
    # Directed and weighted, with a loop; nothing reaches the last node.
    adjacency = np.where(rng.random((7, 7)) < 0.4, rng.uniform(0.5, 2.0, (7, 7)), 0.0)
    adjacency[2, 2], adjacency[-1] = 1.5, 0.0
    nodes = rng.normal(size=(7, 5)).astype("float32")
    record = {"adjacency": adjacency.astype("float32"), "nodes": nodes}
    matrix = GCNConv.preprocess(record["adjacency"]).astype("float32")
    for name, layer in {
        "wide": GCNConv(8, activation="relu"),
        "narrow": GCNConv(3, use_bias=False),
    }.items():
        layer([nodes, matrix])
        weights = [rng.normal(size=w.shape).astype("float32") for w in layer.weights]
        layer.set_weights(weights)
        record[f"{name}_outputs"] = layer([nodes, matrix]).numpy()
        for weight, value in zip(layer.weights, weights, strict=True):
            kind = weight.name.split("/")[-1].removesuffix(":0")
            record[f"{name}_{kind}"] = value
    np.savez_compressed(RECORD, **record)


if __name__ == "__main__":
    main()
