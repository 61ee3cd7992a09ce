from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_heads:self_attention"
KERAS = "benchmarks._keras_heads:keras_attention"
FLAX = "benchmarks._flax_heads:self_attention"
PRODUCTS = "benchmarks._products:attention_products"
TORCH = "benchmarks._torch_heads:self_attention"


def sizes(batch: int, time: int, dim: int, heads: int) -> dict[str, int]:
    return {"batch": batch, "time": time, "dim": dim, "heads": heads}


PAGE = Page(
    name="self_attention",
    title=(
        "Training step (forward, backward, Adam; float32) of multi-head "
        "self-attention, batch x time x width x heads."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, TF graph", "tensorflow", OURS, {"jit": False}, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("keras MHA, TF jit", "tensorflow", KERAS),
        Entry("keras MHA, TF graph", "tensorflow", KERAS, {"jit": False}),
        Entry("keras MHA, JAX", "jax", KERAS),
        Entry("flax nnx.MultiHeadAttention", "jax", FLAX),
        Entry("torch SDPA", "torch", TORCH),
        Entry("matrix products alone, TF graph", "tensorflow", PRODUCTS),
    ],
    cases={
        "32 x 128 x 256 x 8": sizes(32, 128, 256, 8),
        "8 x 512 x 512 x 8": sizes(8, 512, 512, 8),
        "1 x 2048 x 512 x 8": sizes(1, 2048, 512, 8),
        "64 x 64 x 128 x 4": sizes(64, 64, 128, 4),
    },
    small=sizes(1, 16, 8, 2),
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
