from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_graphs:convolution"
TORCH = "benchmarks._torch_graphs:convolution"
SPEKTRAL = "benchmarks._spektral_graphs:convolution"


def sizes(nodes: int, edges: int, dim: int, directed: int = 0) -> dict[str, int]:
    return {"nodes": nodes, "edges": edges, "dim": dim, "directed": directed}


PAGE = Page(
    name="graph_convolution",
    title=(
        "Forward and backward (to weights and nodes; float32) of one normalised graph "
        "convolution, nodes x edges x width."
    ),
    entries=[
        Entry("ours, layout, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, layout, JAX", "jax", OURS, ours=True),
        Entry("ours, edge list, TF jit", "tensorflow", OURS, {"layout": False}),
        Entry("PyG, CSR", "torch", TORCH, {"compressed": True}),
        Entry("PyG, edge_index", "torch", TORCH),
        Entry("Spektral, sparse, TF graph", "tf_keras", SPEKTRAL),
    ],
    cases={
        "100k x 1M x 128": sizes(100_000, 1_000_000, 128),
        "100k x 1M x 128, directed": sizes(100_000, 1_000_000, 128, directed=1),
        "10k x 20k x 64": sizes(10_000, 20_000, 64),
        "10k x 100k x 64": sizes(10_000, 100_000, 64),
        "10k x 400k x 64": sizes(10_000, 400_000, 64),
    },
    small=sizes(100, 400, 8),
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
