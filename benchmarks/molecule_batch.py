from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_graphs:molecules"
TORCH = "benchmarks._torch_graphs:molecules"
SPEKTRAL = "benchmarks._spektral_graphs:molecules"

PAGE = Page(
    name="molecule_batch",
    title=(
        "Training step (forward, backward, Adam; float32) of two graph convolutions "
        "and a sum over each molecule, molecules x width."
    ),
    entries=[
        Entry("ours, layout, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, layout, JAX", "jax", OURS, ours=True),
        Entry("ours, edge list, TF jit", "tensorflow", OURS, {"layout": False}),
        Entry("Spektral, dense, TF graph", "tf_keras", SPEKTRAL, {"dense": True}),
        Entry("Spektral, sparse, TF graph", "tf_keras", SPEKTRAL),
        Entry("PyG, edge_index", "torch", TORCH),
        Entry("PyG, CSR", "torch", TORCH, {"compressed": True}),
    ],
    cases={"128 x 64": {"graphs": 128, "dim": 64}},
    small={"graphs": 2, "dim": 8},
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
