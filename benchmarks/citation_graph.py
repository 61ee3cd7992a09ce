from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_graphs:citation"
TORCH = "benchmarks._torch_graphs:citation"
SPEKTRAL = "benchmarks._spektral_graphs:citation"

PAGE = Page(
    name="citation_graph",
    title=(
        "Training step (forward, backward, Adam; float32) of a two-layer GCN on a "
        "whole graph of Cora's size, nodes x edges x features."
    ),
    entries=[
        Entry("ours, layout, TF jit", "tensorflow", OURS, ours=True),
        Entry(
            "ours, sparse features, TF jit",
            "tensorflow",
            OURS,
            {"sparse": True},
            ours=True,
        ),
        Entry("ours, layout, JAX", "jax", OURS, ours=True),
        Entry("ours, sparse features, JAX", "jax", OURS, {"sparse": True}, ours=True),
        Entry("ours, edge list, TF jit", "tensorflow", OURS, {"layout": False}),
        Entry("Spektral, sparse, TF graph", "tf_keras", SPEKTRAL),
        Entry("Spektral, dense, TF graph", "tf_keras", SPEKTRAL, {"dense": True}),
        Entry("PyG, edge_index", "torch", TORCH),
        Entry("PyG, CSR", "torch", TORCH, {"compressed": True}),
    ],
    cases={
        "2708 x 10556 x 1433": {
            "nodes": 2708,
            "edges": 10556,
            "dim": 1433,
            "words": 18,
        }
    },
    small={"nodes": 20, "edges": 60, "dim": 30, "words": 4},
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
