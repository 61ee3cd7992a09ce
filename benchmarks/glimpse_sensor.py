from benchmarks._page import Entry, Page
from benchmarks.harness import main

OURS = "benchmarks._keras_glimpses:sensor"
TORCH = "benchmarks._torch_glimpses:sensor"

PAGE = Page(
    name="glimpse_sensor",
    title=(
        "The retina alone (float32), batch x image, scales x glimpse. `grid_sample` "
        "takes single points where the others take means."
    ),
    entries=[
        Entry("ours, TF jit", "tensorflow", OURS, ours=True),
        Entry("ours, TF graph", "tensorflow", OURS, {"jit": False}),
        Entry("ours, JAX", "jax", OURS, ours=True),
        Entry("torch, by index", "torch", TORCH),
        Entry("torch, grid_sample", "torch", TORCH, {"retina": "grid_sample"}),
    ],
    cases={
        f"{batch} x {side} x {side} x {channels}, {scales} x {size} x {size}": {
            "batch": batch,
            "side": side,
            "channels": channels,
            "size": size,
            "scales": scales,
        }
        for batch, side, channels, size, scales in (
            (128, 28, 1, 8, 1),
            (128, 60, 1, 12, 3),
            (32, 224, 3, 32, 3),
        )
    },
    small={"batch": 2, "side": 6, "channels": 1, "size": 2, "scales": 1},
)

if __name__ == "__main__":
    raise SystemExit(main(PAGE))
