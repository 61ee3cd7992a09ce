from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_decoders:attention_decoder"
CELL = "benchmarks._keras_decoders:recurrent_cell"
LOOP = "benchmarks._torch_decoder:loop_decoder"

PAGE = Page(
    name="decoder",
    title=(
        "Training step (forward, backward, Adam; float32) of a GRU decoder with "
        "additive attention."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, TF graph", "tensorflow", OURS, {"jit": False}, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("keras RNN, TF graph", "tensorflow", CELL, {"jit": False}),
        Entry("keras RNN, TF jit", "tensorflow", CELL),
        Entry("keras RNN unrolled, TF jit", "tensorflow", CELL, {"unroll": True}),
        Entry("keras RNN, JAX", "jax", CELL),
        Entry("torch loop, keys once", "torch", LOOP),
        Entry("torch loop, keys each step", "torch", LOOP, {"keys_once": False}),
    ],
    cases={
        "64 x 40 x 40 x 256": {"batch": 64, "source": 40, "target": 40, "units": 256}
    },
    small={"batch": 2, "source": 3, "target": 4, "units": 8},
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
