from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_beams:ours"
SERVED = "benchmarks._keras_beams:served"
HUB = "benchmarks._keras_beams:keras_hub"
TORCH = "benchmarks._torch_beam:loop"


def sizes(batch: int) -> dict[str, int]:
    return {
        "batch": batch,
        "source": 50,
        "tokens": 50,
        "units": 256,
        "vocabulary": 4000,
        "width": 5,
    }


PAGE = Page(
    name="beam_search",
    title=(
        "Beam search (float32; 5 beams, 50 tokens read and 50 written, 4000 ids) with "
        "a bidirectional GRU encoder and a GRU decoder with additive attention, width "
        "256, by the size of the batch."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, TF graph", "tensorflow", OURS, {"jit": False}, ours=True),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("ours, served over gRPC", "tensorflow", SERVED),
        Entry("keras-hub BeamSampler, TF jit", "tensorflow", HUB),
        Entry("keras-hub BeamSampler, TF graph", "tensorflow", HUB, {"jit": False}),
        Entry("keras-hub BeamSampler, JAX", "jax", HUB),
        Entry("torch loop", "torch", TORCH),
    ],
    cases={"1": sizes(1), "64": sizes(64)},
    small={**sizes(1), "tokens": 2},
    rate=("sentences", lambda sizes: sizes["batch"]),
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
