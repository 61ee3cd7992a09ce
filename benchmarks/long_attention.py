from benchmarks._page import Entry, Page
from benchmarks.harness import main
from benchmarks.self_attention import KERAS, OURS, PRODUCTS, TORCH, sizes

PAGE = Page(
    name="long_attention",
    title=(
        "Training step (forward, backward, Adam; float32) of self-attention over long "
        "sequences, batch x time x width x heads."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("keras MHA, TF graph", "tensorflow", KERAS, {"jit": False}),
        Entry("torch SDPA", "torch", TORCH),
        Entry("matrix products alone, TF graph", "tensorflow", PRODUCTS),
    ],
    cases={
        "1 x 4096 x 512 x 8": sizes(1, 4096, 512, 8),
        "1 x 8192 x 512 x 8": sizes(1, 8192, 512, 8),
    },
    small=sizes(1, 1040, 16, 2),
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
