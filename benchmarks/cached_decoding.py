from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_writers:cached"
UNCACHED = "benchmarks._keras_writers:uncached"
HUB = "benchmarks._keras_writers:keras_hub_gpt2"
TORCH = "benchmarks._torch_writer:cached"


def sizes(batch: int, tokens: int) -> dict[str, int]:
    return {
        "batch": batch,
        "prompt": 16,
        "tokens": tokens,
        "layers": 4,
        "dim": 256,
        "heads": 8,
        "vocabulary": 2000,
    }


PAGE = Page(
    name="cached_decoding",
    title=(
        "Greedy decoding (float32) with a decoder-only Transformer of 4 layers, width "
        "256, 8 heads and 2000 token ids, from prompts of 16 tokens, batch x tokens."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, TF graph", "tensorflow", OURS, {"jit": False}, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("ours without a cache, TF jit", "tensorflow", UNCACHED),
        Entry("keras-hub GPT2CausalLM, TF jit", "tensorflow", HUB),
        Entry("keras-hub GPT2CausalLM, TF graph", "tensorflow", HUB, {"jit": False}),
        Entry("keras-hub GPT2CausalLM, JAX", "jax", HUB),
        Entry("torch loop, SDPA and a cache", "torch", TORCH),
    ],
    cases={
        "1 x 64": sizes(1, 64),
        "1 x 256": sizes(1, 256),
        "32 x 64": sizes(32, 64),
    },
    small=sizes(1, 1),
    rate=("tokens", lambda sizes: sizes["batch"] * sizes["tokens"]),
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
