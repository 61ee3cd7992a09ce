"""Many requests at once: order, bounds, errors and the line on the terminal."""

import asyncio
import io
import itertools
import os
import pty
import time

import numpy as np
import pytest

from keras_attn.serving import AsyncClient, Client, InvalidArgumentError, ServingError
from keras_attn.serving.client.progress import Progress
from tests.serving.fronts import GrpcFront


@pytest.fixture(params=["sync", "async"])
def answers_of(request):
    """Runs `predict_many` of either client to its end."""

    def run_sync(address, requests, **options):
        with Client(address, "toolbox", timeout=30) as client:
            return list(client.predict_many(requests, **options))

    def run_async(address, requests, **options):
        async def collect():
            async with AsyncClient(address, "toolbox", timeout=30) as client:
                stream = client.predict_many(requests, **options)
                return [answer async for answer in stream]

        return asyncio.run(collect())

    return run_sync if request.param == "sync" else run_async


def echo(values):
    return ({"x": [float(value)]} for value in values)


def test_answers_come_in_order(address, answers_of):
    steps = [40_000, 1, 20_000, 2, 3, 10_000, 4] * 3  # slow ones before quick ones
    requests = [{"steps": count} for count in steps]
    answers = answers_of(address, requests, signature_name="count", concurrency=4)
    assert [int(answer["done"]) for answer in answers] == steps


def test_an_error_takes_the_place_of_its_answer(address, answers_of):
    good = {"x": np.zeros((1, 3))}
    requests = [good, {"x": [[1.0]]}, good, {"z": 1}, good]
    answers = answers_of(address, requests, concurrency=2)
    assert [type(answer) for answer in answers[::2]] == [dict] * 3
    assert isinstance(answers[1], InvalidArgumentError)
    assert isinstance(answers[3], ValueError)
    assert not isinstance(answers[3], ServingError)
    assert "Expected: x: float32" in str(answers[3])


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_than_asked_for_are_under_way(
    embedded_address, answers_of, concurrency
):
    front = GrpcFront(embedded_address, delay=0.02)
    with front.run() as address:
        answers = answers_of(
            address, echo(range(12)), signature_name="echo", concurrency=concurrency
        )
    assert [answer["x"].tolist() for answer in answers] == [[i] for i in range(12)]
    assert front.most_at_once == concurrency


def test_requests_without_end_are_taken_as_answers_are(client):
    taken = itertools.count()
    requests = ({"x": [float(next(taken))]} for _ in itertools.repeat(None))
    stream = client.predict_many(requests, concurrency=3, signature_name="echo")
    first = [next(stream)["x"].item() for _ in range(20)]
    stream.close()
    assert first == list(range(20))
    assert next(taken) <= 20 + 2 * 3


def test_requests_may_come_as_they_please(address):
    async def collect():
        async def requests():
            for value in range(5):
                await asyncio.sleep(0.001)
                yield {"x": [float(value)]}

        async with AsyncClient(address, "toolbox", timeout=30) as client:
            stream = client.predict_many(requests(), signature_name="echo")
            return [answer["x"].item() async for answer in stream]

    assert asyncio.run(collect()) == [0, 1, 2, 3, 4]


def test_leaving_an_asynchronous_stream_ends_its_requests(embedded_address):
    async def leave(address):
        async with AsyncClient(address, "toolbox", timeout=30) as client:
            endless = echo(itertools.count())
            stream = client.predict_many(endless, signature_name="echo")
            answer = await anext(stream)
            running, start = len(asyncio.all_tasks()), time.monotonic()
            await stream.aclose()
            seconds = time.monotonic() - start
            return answer["x"].item(), running, len(asyncio.all_tasks()), seconds

    with GrpcFront(embedded_address, delay=0.5).run() as address:
        answer, running, left, seconds = asyncio.run(leave(address))
    assert answer == 0
    assert running > 8
    assert left == 1
    assert seconds < 0.4  # they were not waited for


def test_an_error_of_the_iterable_is_its_own(client):
    def requests():
        yield {"x": [1.0]}
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(client.predict_many(requests(), signature_name="echo"))


def test_concurrency_is_checked_at_once(client):
    with pytest.raises(ValueError, match="`concurrency` must be at least 1"):
        client.predict_many([], concurrency=0)


def drawn(total, steps):
    """What a terminal gets to see."""
    control, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        with Progress(total, True, stream) as bar:
            for _ in range(steps):
                bar.advance()
        text = ""
        while not text.endswith("\n"):
            text += os.read(control, 10_000).decode()
    os.close(control)
    return text.replace("\r\n", "\n")


def test_a_terminal_shows_how_far_it_is():
    first, *_, last = drawn(4, 4).split("\r")[1:]
    assert first.startswith("[" + "#" * 7 + " " * 23 + "] 1/4 answers, ")
    assert last.startswith("[" + "#" * 30 + "] 4/4 answers, ")
    assert last.endswith("/s \n")
    assert "\r3 answers, " in drawn(None, 3)


def test_nothing_is_shown_elsewhere(client, capsys):
    stream = io.StringIO()
    with Progress(2, True, stream) as bar:
        bar.advance()
    assert stream.getvalue() == ""
    list(client.predict_many(echo(range(3)), signature_name="echo", progress=True))
    assert capsys.readouterr() == ("", "")
