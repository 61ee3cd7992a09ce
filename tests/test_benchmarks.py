import json

import numpy as np
import pytest

from benchmarks import attention_memory, harness
from benchmarks._page import Entry, Page
from benchmarks._serving_goals import verdicts
from benchmarks._statistics import estimate_median, estimate_ratio

TOYS = """
import time

def sleeper(log, name, seconds):
    def step():
        with open(log, "a") as file:
            file.write(name + "\\n")
        time.sleep(seconds)
    return step

def broken(log):
    raise OSError("no such device")
"""


@pytest.fixture
def log(tmp_path, monkeypatch):
    (tmp_path / "toys.py").write_text(TOYS)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "log"


def toy(name, seconds=0.002, ours=False):
    options = {"name": name, "seconds": seconds}
    return Entry(name, f"python {name}", "toys:sleeper", options, ours)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(3, 0, 2), (5, 0, 4), (6, 0, 5), (9, 1, 7), (11, 1, 9), (25, 7, 17)],
)
def test_the_interval_is_the_tabulated_pair_of_order_statistics(count, low, high, rng):
    samples = rng.permutation(count).astype(float)
    assert estimate_median(samples) == ((count - 1) / 2, low, high)


def test_the_interval_covers_the_median_as_often_as_it_says(rng):
    samples = rng.exponential(size=(2000, 11))
    estimates = [estimate_median(row) for row in samples]
    covered = [low <= np.log(2) <= high for _, low, high in estimates]
    assert 0.95 <= np.mean(covered) <= 1.0


def test_a_ratio_is_taken_round_by_round():
    quiet_then_busy = [1.0, 1.0, 10.0, 10.0, 10.0, 1.0]
    twice_as_slow = [2.0 * sample for sample in quiet_then_busy]
    assert estimate_ratio(twice_as_slow, to=quiet_then_busy) == (2.0, 2.0, 2.0)


def test_entries_take_turns(log):
    entries = [toy("a"), toy("b"), toy("c")]
    rows = harness.measure(entries, {"log": log}, rounds=7, seconds=0)
    assert [len(row["samples_ms"]) for row in rows] == [7, 7, 7]
    assert log.read_text().split()[-21:] == ["a", "b", "c"] * 7


def test_a_sample_lasts_about_as_long_as_asked_and_gives_the_time_of_one_step(log):
    (row,) = harness.measure([toy("a", 0.01)], {"log": log}, rounds=3, seconds=0.1)
    warm_up = 1 + 3
    steps_of_a_sample = (len(log.read_text().split()) - warm_up) / 3
    assert 1 < steps_of_a_sample <= 10
    assert min(row["samples_ms"]) >= 10


def test_a_step_may_do_several_of_what_is_counted(log):
    entry = Entry("a", "python", "toys:sleeper", {"name": "a", "seconds": 0.1}, per=50)
    (row,) = harness.measure([entry], {"log": log}, rounds=1, seconds=0)
    assert 2 <= row["samples_ms"][0] < 50


def test_goals_of_serving_are_judged():
    def table(**samples):
        rows = [
            {"name": n.replace("_", " "), "samples_ms": s} for n, s in samples.items()
        ]
        return {"entries": rows}

    one = {"in process, 1 row": [1.0] * 6, "ours": [1.5] * 3 + [1.7] * 3}
    one["gRPC alone"] = [0.4] * 6
    many = {
        "in process, 64 rows": [0.5] * 6,
        "in process, 16 rows": [0.8] * 6,
        "ours, batching": [0.95] * 6,
    }
    text = verdicts(
        {"mlp, 1 client": table(**one), "encoder, 64 clients": table(**many)}
    )
    assert text.splitlines() == [
        "- mlp, 1 client: a request adds to the call, ms: 0.6 (0.5-0.7), at most 0.6: "
        "met",
        "- mlp, 1 client: of that gRPC alone takes, ms: 0.4 (0.4-0.4)",
        "- mlp, 1 client: and the rest is, ms: 0.2 (0.1-0.3)",
        "- encoder, 64 clients: with batching, the time of the best batch in process, "
        "times: 1.9 (1.9-1.9), at most 1.82: nearly met",
    ]


def test_a_failure_in_a_worker_comes_with_its_traceback(log):
    entry = Entry("broken", "python", "toys:broken")
    with pytest.raises(RuntimeError, match="no such device"):
        harness.measure([entry], {"log": log}, rounds=1, seconds=0)


def test_a_page_prints_a_table_and_keeps_its_samples(log, tmp_path, capsys):
    page = Page(
        name="toys",
        title="Sleeping.",
        entries=[toy("quick", 0.001, ours=True), toy("slow", 0.02)],
        cases={"one case": {"log": str(log)}},
        small={"log": str(log)},
    )
    output = tmp_path / "results" / "toys.json"
    arguments = ["--rounds", "6", "--seconds", "0", "--output", str(output)]
    assert harness.main(page, arguments) == 0

    printed = capsys.readouterr().out
    head = "| one case | ms a step | / quick | first step, s |"
    assert head in printed.splitlines()
    report = json.loads(output.read_text())
    assert set(report) >= {"page", "date", "machine", "versions", "rounds", "cases"}
    assert report["machine"]["cores"] >= 1
    assert "keras" in report["versions"]
    quick, slow = report["cases"]["one case"]["entries"]
    assert (quick["name"], quick["ours"], slow["ours"]) == ("quick", True, False)
    assert len(quick["samples_ms"]) == len(slow["samples_ms"]) == 6
    assert min(slow["samples_ms"]) >= 20 > min(quick["samples_ms"])


def test_a_page_may_say_how_many_a_second(log, tmp_path, capsys):
    page = Page(
        name="toys",
        title="Sleeping.",
        entries=[toy("a", 0.01)],
        cases={"one case": {"log": str(log)}},
        small={"log": str(log)},
        rate=("tokens", lambda sizes: 100 * len(sizes)),
    )
    output = tmp_path / "toys.json"
    harness.main(page, ["--rounds", "1", "--seconds", "0", "--output", str(output)])
    head, _, row = capsys.readouterr().out.splitlines()[-5:-2]
    assert head == "| one case | ms a step | tokens a second | first step, s |"
    rate = float(row.split(" | ")[2])
    report = json.loads(output.read_text())
    (milliseconds,) = report["cases"]["one case"]["entries"][0]["samples_ms"]
    assert rate < 1e4
    assert rate == pytest.approx(1e5 / milliseconds, abs=0.6)  # both are rounded


def test_the_memory_page_leaves_out_what_cannot_fit(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(attention_memory, "_available", lambda: 2000.0)
    monkeypatch.setattr(attention_memory, "peak_memory", lambda *arguments: 12.3)
    output = tmp_path / "memory.json"
    arguments = ["--times", "2048", "4096", "--output", str(output)]
    assert attention_memory.main(arguments) == 0
    head, _, short, long = capsys.readouterr().out.splitlines()[-6:-2]
    names, short, long = (line.split(" | ") for line in (head, short, long))
    assert short[1:] == ["12"] * 4 + ["12 |"]
    for name, cell in zip(names[1:], long[1:], strict=True):
        left_out = cell == "not run: 2048 in 4 matrices"
        assert left_out == name.startswith("keras MHA")
    rows = json.loads(output.read_text())["cases"]["4096"]["entries"]
    assert [row.get("needs_mib") for row in rows] == [None, None, 2048, 2048, None]


def test_a_page_without_a_fitting_entry_says_what_there_is(capsys):
    page = Page("toys", "Sleeping.", [toy("quick"), toy("slow")], {}, {})
    assert harness.main(page, ["--only", "fast"]) == 2
    assert "quick, slow" in capsys.readouterr().out


def test_the_keras_peer_of_the_decoder_computes_what_ours_computes(rng):
    import keras

    import keras_attn
    from benchmarks._keras_decoders import RecurrentDecoder

    inputs = rng.normal(size=(2, 3, 4)).astype("float32")
    memory = rng.normal(size=(2, 5, 6)).astype("float32")
    peer = RecurrentDecoder(8, unroll=False)
    expected = peer(inputs, memory)
    ours = keras_attn.AttentionDecoder(
        keras.layers.GRUCell(8), keras_attn.BahdanauAttention(8)
    )
    ours.build(inputs.shape, memory.shape)
    ours.cell.set_weights(peer.cell.gru.get_weights())
    ours.attention.query_projection.set_weights(peer.cell.query.get_weights())
    ours.attention.key_projection.set_weights(peer.keys.get_weights())
    ours.attention.scale.assign(peer.cell.scale)
    assert ours.count_params() == peer.count_params()
    np.testing.assert_allclose(ours(inputs, memory), expected, atol=1e-5)


def test_the_decoders_write_the_same_with_and_without_a_cache():
    import keras

    from benchmarks import _keras_writers as writers

    sizes = {"layers": 2, "dim": 8, "heads": 2, "vocabulary": 9}
    written = []
    for write in (writers.cached, writers.uncached):
        keras.utils.set_random_seed(0)
        step = write(batch=3, prompt=2, tokens=5, jit=False, **sizes)
        written.append(np.array(step()))
    cached, uncached = written
    np.testing.assert_array_equal(cached, uncached[:, 2:])
    assert uncached.shape == (3, 7) and (uncached > 0).all()
    assert len(np.unique(uncached)) > 3


@pytest.mark.parametrize("prompt", [1, 3])
def test_the_torch_decoder_reads_each_token_once_and_all_before_it(prompt):
    torch = pytest.importorskip("torch")
    from benchmarks._torch_writer import Decoder

    model = Decoder(vocabulary=9, length=6, layers=2, dim=8, heads=2).eval()
    tokens = torch.tensor([[3, 1, 4, 1, 5, 8], [2, 7, 1, 8, 2, 8]])
    with torch.inference_mode():
        caches = torch.full((2, 2, 2, 2, 6, 4), torch.nan)
        model(tokens[:, :prompt], caches, 0)
        for start in range(prompt, 6):
            found = model(tokens[:, start : start + 1], caches, start)
        expected = model(tokens, torch.empty(2, 2, 2, 2, 6, 4), 0)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


def test_the_torch_retina_sees_what_ours_sees(rng):
    torch = pytest.importorskip("torch")
    from benchmarks._torch_glimpses import cut
    from keras_attn.ops.glimpse import glimpse

    images = rng.random((5, 9, 8, 2)).astype("float32")
    locations = rng.uniform(-1.5, 1.5, (5, 2)).astype("float32")
    seen = cut(torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(locations), 3, 2)
    expected = glimpse(images, locations[:, None], 3, 2)[:, 0]
    np.testing.assert_allclose(seen.permute(0, 1, 3, 4, 2), expected, atol=1e-5)


def test_the_torch_network_of_glimpses_has_our_weights():
    pytest.importorskip("torch")
    import keras_attn
    from benchmarks._torch_glimpses import GlimpseNet

    sizes = {"num_glimpses": 3, "glimpse_size": 4, "units": 8}
    model = keras_attn.RecurrentAttentionModel(
        (9, 9, 1), 10, what_units=4, where_units=4, **sizes
    )
    peer = GlimpseNet(4, 3, 8, "index")
    assert sum(p.numel() for p in peer.parameters()) == model.count_params()


def test_the_beams_write_the_same():
    """Ours, the same served, and keras-hub's sampler, where nothing ends."""
    keras_hub = pytest.importorskip("keras_hub")
    import keras

    from benchmarks import _keras_beams as beams

    sizes = {"batch": 3, "source": 4, "tokens": 5, "units": 6, "vocabulary": 9}
    written = []
    for write in (beams.ours, beams.served, beams.keras_hub):
        keras.utils.set_random_seed(0)
        options = {} if write is beams.served else {"jit": False}
        written.append(np.array(write(**sizes, width=3, **options)()))
    assert keras_hub and written[0].shape == (3, 5) and (written[0] > 0).all()
    np.testing.assert_array_equal(written[1], written[0])
    np.testing.assert_array_equal(written[2], written[0])


def test_the_torch_beam_finds_the_best_of_all():
    torch = pytest.importorskip("torch")
    import itertools

    from benchmarks._torch_beam import START, Translator, search

    torch.manual_seed(1)
    model = Translator(units=4, vocabulary=5).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    source = torch.tensor([[1, 4, 2], [3, 3, 1]])

    def score(row, tokens):
        memory, keys, state = model.encode(source[row : row + 1])
        total, last = 0.0, START
        for token in tokens:
            logits, state = model.step(torch.tensor([last]), state, memory, keys)
            total += float(torch.log_softmax(logits, -1)[0, token])
            last = token
        return total

    with torch.inference_mode():
        found = search(model, source, 3, width=25).tolist()
        for row in range(2):
            ways = itertools.product(range(5), repeat=3)
            best = max(ways, key=lambda tokens: score(row, tokens))
            assert tuple(found[row]) == best
