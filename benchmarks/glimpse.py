from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_glimpses:training_step"
PRODUCTS = "benchmarks._products:glimpse_products"
TORCH = "benchmarks._torch_glimpses:training_step"

PAGE = Page(
    name="glimpse",
    title=(
        "Training step (forward, backward, Adam; float32) of recurrent visual "
        "attention with REINFORCE: one pass over each image, batch x image, glimpses."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, TF graph", "tensorflow", OURS, {"jit": False}, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("torch, by index", "torch", TORCH),
        Entry("torch, grid_sample", "torch", TORCH, {"retina": "grid_sample"}),
        Entry("torch.compile, by index", "torch", TORCH, {"compiled": True}),
        Entry(
            "torch.compile, grid_sample",
            "torch",
            TORCH,
            {"compiled": True, "retina": "grid_sample"},
        ),
        Entry("matrix products alone, TF graph", "tensorflow", PRODUCTS),
    ],
    cases={
        "128 x 28 x 28, 6 of 8 x 8": {
            "batch": 128,
            "side": 28,
            "size": 8,
            "glimpses": 6,
            "units": 256,
        }
    },
    small={"batch": 2, "side": 6, "size": 2, "glimpses": 2, "units": 8},
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
