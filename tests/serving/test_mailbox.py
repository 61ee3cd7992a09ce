"""Answers that threads hand to an event loop."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from keras_attn.serving.server.batching.mailbox import Mailbox


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


async def begin(mailbox, answers):
    waiting = [asyncio.create_task(mailbox.receive(answer)) for answer in answers]
    await asyncio.sleep(0)
    return waiting


def test_a_loop_is_woken_once_for_a_batch():
    mailbox, answers = Mailbox(), [Future() for _ in range(64)]

    def compute():
        for number, answer in enumerate(answers):
            answer.set_result(number)
        mailbox.send()

    async def main():
        waiting = await begin(mailbox, answers)
        loop, wakes = asyncio.get_running_loop(), []
        wake = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *call: wakes.append(wake(*call))
        in_thread(compute)
        assert await asyncio.gather(*waiting) == list(range(64))
        assert len(wakes) == 1

    asyncio.run(main())


def test_an_answer_that_was_sent_before_it_is_waited_for():
    mailbox, answer = Mailbox(), Future()
    answer.set_result(1)
    mailbox.send()
    assert asyncio.run(asyncio.wait_for(mailbox.receive(answer), 5)) == 1


def test_errors_are_raised():
    mailbox, answer = Mailbox(), Future()

    async def main():
        (waiting,) = await begin(mailbox, [answer])
        answer.set_exception(KeyError("x"))
        mailbox.send()
        with pytest.raises(KeyError):
            await waiting

    asyncio.run(main())


def test_who_stops_waiting_cancels_the_answer_and_no_other():
    mailbox, answers = Mailbox(), [Future(), Future()]

    async def main():
        gone, waiting = await begin(mailbox, answers)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert answers[0].cancelled()
        answers[1].set_result(2)
        mailbox.send()
        assert await waiting == 2

    asyncio.run(main())


def test_loops_of_several_threads():
    mailbox, answers = Mailbox(), [Future() for _ in range(3)]
    results = []
    ready = threading.Barrier(4)

    async def wait_for(answer):
        (waiting,) = await begin(mailbox, [answer])
        ready.wait(10)
        results.append(await waiting)

    threads = [
        threading.Thread(target=asyncio.run, args=[wait_for(answer)], daemon=True)
        for answer in answers
    ]
    for thread in threads:
        thread.start()
    ready.wait(10)
    for number, answer in enumerate(answers):
        answer.set_result(number)
    mailbox.send()
    for thread in threads:
        thread.join(10)
    assert sorted(results) == [0, 1, 2]
