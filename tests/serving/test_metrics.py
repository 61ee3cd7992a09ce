"""Counting, timing, and the page that Prometheus reads."""

import sys
import threading

import pytest

from keras_attn.serving.server.metrics import Metrics


def samples(page):
    """Each sample's value by its name and labels; every line is one or a type."""
    lines = page.splitlines()
    values = dict(
        line.rsplit(" ", 1) for line in lines if not line.startswith("# TYPE ")
    )
    return {name: float(value) for name, value in values.items()}


def test_requests():
    metrics = Metrics()
    for _ in range(3):
        metrics.count_request("dates", "OK")
    metrics.count_request("dates", "NOT_FOUND")
    name = ":tensorflow:serving:request_count"
    page = metrics.render()
    assert f"# TYPE {name} counter\n" in page
    assert samples(page) == {
        f'{name}{{model_name="dates",status="OK"}}': 3,
        f'{name}{{model_name="dates",status="NOT_FOUND"}}': 1,
    }


def test_a_counter_is_asked_by_its_tensorflow_name():
    metrics = Metrics()
    metrics.count_request("dates", "OK")
    metrics.count_request("dates", "OK")
    metrics.observe_runtime("dates", "Predict", 1.0)
    assert metrics.value("/tensorflow/serving/request_count") == 2
    assert metrics.value("/tensorflow/serving/runtime_latency") == 0
    assert metrics.value("/tensorflow/serving/unheard_of") == 0


def test_latency_has_tensorflow_servings_buckets():
    metrics = Metrics()
    for seconds in (9e-6, 10e-6, 17e-6, 100e-6, 1e6):
        metrics.observe_request("dates", "Predict", "GRPC", seconds)
    name = ":tensorflow:serving:request_latency"
    labels = 'model_name="dates",API="Predict",entrypoint="GRPC"'
    page = metrics.render()
    values = samples(page)
    assert f"# TYPE {name} histogram\n" in page
    buckets = {
        line.split('le="')[1].split('"')[0]: value
        for line, value in values.items()
        if line.startswith(f"{name}_bucket{{{labels},le=")
    }
    assert len(buckets) == 34
    assert list(buckets)[:5] == ["10", "18", "32.4", "58.32", "104.976"]
    assert list(buckets)[-2:] == ["1.47476e+09", "+Inf"]
    assert list(buckets.values()) == [1, 3, 3, 3, *[4] * 29, 5]
    assert values[f"{name}_count{{{labels}}}"] == 5
    assert values[f"{name}_sum{{{labels}}}"] == pytest.approx(1e12 + 136)


def test_every_metric_has_its_name_and_labels():
    metrics = Metrics()
    metrics.observe_runtime("m", "Predict", 1e-3)
    metrics.count_examples("m", 5)
    metrics.observe_warmup("/m/1", "OK", 0.5, records=4)
    metrics.observe_queuing("pool", 1e-4)
    metrics.observe_batch([1, 2], padding=1)
    values = samples(metrics.render())
    serving = ":tensorflow:serving:"
    batching = f"{serving}batching_session:"
    expected = {
        f'{serving}runtime_latency_sum{{model_name="m",API="Predict",runtime="TF1"}}': (
            1000
        ),
        f'{serving}request_example_counts_sum{{model="m"}}': 5,
        f'{serving}request_example_count_total{{model="m"}}': 5,
        f'{serving}model_warmup_latency_sum{{model_path="/m/1",status="OK"}}': 5e5,
        f"{serving}model_warmup_records_read{{}}": 4,
        f'{batching}queuing_latency_sum{{thread_pool_name="pool"}}': 100,
        f"{batching}wrapped_run_count{{}}": 1,
        f'{batching}padding_size_sum{{execution_batch_size="4"}}': 1,
        f"{batching}input_batch_size_sum{{}}": 3,
        f"{batching}input_batch_size_count{{}}": 2,
        f"{batching}processed_batch_size_sum{{}}": 4,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_labels_are_escaped():
    metrics = Metrics()
    metrics.count_request('a"b\\c\nd', "OK")
    assert r'model_name="a\"b\\c\nd",status="OK"} 1' in metrics.render()


@pytest.fixture
def busy_switching():
    """Threads take turns so often that each race is lost by some."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_lose_nothing(busy_switching):
    metrics = Metrics()

    def work():
        for _ in range(5000):
            metrics.count_request("m", "OK")
            metrics.observe_runtime("m", "Predict", 1e-6)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        metrics.render()
    values = samples(metrics.render())
    count = ':tensorflow:serving:request_count{model_name="m",status="OK"}'
    runtime = ':tensorflow:serving:runtime_latency_{}{{model_name="m",API="Predict",'
    assert values[count] == 40_000
    for kind in ("count", "sum"):
        assert values[runtime.format(kind) + 'runtime="TF1"}'] == pytest.approx(40_000)


def test_prometheus_reads_the_page():
    parser = pytest.importorskip("prometheus_client.parser")
    metrics = Metrics()
    metrics.count_request('a"b\\c\nd', "OK")
    metrics.observe_request("m", "predict", "REST", 0.01)
    families = {
        family.name: family
        for family in parser.text_string_to_metric_families(metrics.render())
    }
    (sample,) = families[":tensorflow:serving:request_count"].samples
    assert sample.labels == {"model_name": 'a"b\\c\nd', "status": "OK"}
    assert sample.value == 1
    latency = families[":tensorflow:serving:request_latency"]
    assert latency.type == "histogram"
    assert [s.value for s in latency.samples if s.name.endswith("_count")] == [1]
