from benchmarks._page import Entry, Page
from benchmarks.harness import main
from benchmarks.self_attention import OURS, PRODUCTS, TORCH, sizes

MASKED = "benchmarks._keras_heads:masked_window"
OUR_MASK = "benchmarks._keras_heads:own_masked_window"
WINDOW = {"window": 128}

PAGE = Page(
    name="window_attention",
    title=(
        "Training step (forward, backward, Adam; float32) of self-attention that sees "
        "128 steps to each side, batch x time x width x heads."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, WINDOW, ours=True),
        Entry("ours, JAX", "jax", OURS, WINDOW, ours=True),
        Entry("ours without a window, TF jit", "tensorflow", OURS),
        Entry("ours, a mask of all pairs, TF jit", "tensorflow", OUR_MASK, WINDOW),
        Entry("keras MHA, masked, TF jit", "tensorflow", MASKED, WINDOW),
        Entry(
            "keras MHA, masked, TF graph", "tensorflow", MASKED, {"jit": False} | WINDOW
        ),
        Entry("torch SDPA without a window", "torch", TORCH),
        Entry("matrix products alone, TF graph", "tensorflow", PRODUCTS, {"seen": 384}),
    ],
    cases={"1 x 4096 x 512 x 8": sizes(1, 4096, 512, 8)},
    small=sizes(1, 512, 16, 2),
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
