from benchmarks._page import Entry, Page
from benchmarks.harness import main
from benchmarks.self_attention import sizes

OURS = "benchmarks._keras_heads:transformer_block"
HUB = "benchmarks._keras_heads:hub_encoder"
TORCH = "benchmarks._torch_heads:encoder_layer"

PAGE = Page(
    name="transformer_block",
    title=(
        "Training step (forward, backward, Adam; float32) of an encoder block with a "
        "feed-forward four times as wide, batch x time x width x heads."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, TF graph", "tensorflow", OURS, {"jit": False}, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("keras-hub TransformerEncoder, TF jit", "tensorflow", HUB),
        Entry(
            "keras-hub TransformerEncoder, TF graph", "tensorflow", HUB, {"jit": False}
        ),
        Entry("keras-hub TransformerEncoder, JAX", "jax", HUB),
        Entry("torch TransformerEncoderLayer", "torch", TORCH),
    ],
    cases={
        "32 x 128 x 256 x 8": sizes(32, 128, 256, 8),
        "64 x 64 x 128 x 4": sizes(64, 64, 128, 4),
    },
    small=sizes(1, 16, 8, 2),
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
