from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_attentions:bahdanau_attention"
KERAS = "benchmarks._keras_attentions:additive_attention"

PAGE = Page(
    name="additive_attention",
    title=(
        "Forward and backward (to weights and inputs; float32) of additive attention "
        "with all queries at once. Ours projects query and key besides."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("AdditiveAttention, TF graph", "tensorflow", KERAS, {"jit": False}),
        Entry("AdditiveAttention, TF jit", "tensorflow", KERAS),
        Entry("AdditiveAttention, JAX", "jax", KERAS),
    ],
    cases={
        "64 x 40 x 40 x 256": {"batch": 64, "queries": 40, "slots": 40, "units": 256},
        "8 x 256 x 256 x 256": {"batch": 8, "queries": 256, "slots": 256, "units": 256},
    },
    small={"batch": 2, "queries": 3, "slots": 4, "units": 8},
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
