from benchmarks._page import Entry, Page
from benchmarks.harness import main
from benchmarks.self_attention import PAGE as TRAINING

KERAS = "benchmarks._keras_heads:forward"
FLAX = "benchmarks._flax_heads:forward"
OURS = {"make": "ours"}
THEIRS = {"make": "theirs"}

PAGE = Page(
    name="attention_forward",
    title=(
        "Forward pass (float32) of multi-head self-attention, "
        "batch x time x width x heads."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", KERAS, OURS, ours=True),
        Entry("ours, TF graph", "tensorflow", KERAS, OURS | {"jit": False}, ours=True),
        Entry("ours, JAX", "jax", KERAS, OURS, ours=True),
        Entry("keras MHA, TF jit", "tensorflow", KERAS, THEIRS),
        Entry("keras MHA, TF graph", "tensorflow", KERAS, THEIRS | {"jit": False}),
        Entry("keras MHA, JAX", "jax", KERAS, THEIRS),
        Entry("flax nnx.MultiHeadAttention", "jax", FLAX),
        Entry("torch SDPA", "torch", "benchmarks._torch_heads:forward"),
    ],
    cases=TRAINING.cases,
    small=TRAINING.small,
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
