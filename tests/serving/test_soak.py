"""The soak in its short form; `python -m tests.serving.soak` is the long one."""

import pytest

from tests.serving.soak import VERSION_SIZE, Swapper, server_flags, soak

BATCHING = "max_batch_size { value: 64 } max_enqueued_batches { value: 100 }"


@pytest.mark.slow
def test_no_request_fails_while_versions_are_swapped(tmp_path, serve):
    swapper = Swapper(tmp_path / "offset")
    (tmp_path / "batching.config").write_text(BATCHING)
    server = serve(
        *server_flags(tmp_path / "offset"),
        "--enable_batching=true",
        f"--batching_parameters_file={tmp_path / 'batching.config'}",
    )
    report = soak(server.address(), server.pid, swapper, swaps=8, requests=3000)
    print(report)
    assert not report.failures
    assert report.swaps >= 8
    assert report.requests >= 3000
    # The first versions still fill the allocator's pools; a version that is not freed
    # shows at once.
    assert report.growth < VERSION_SIZE / 2
