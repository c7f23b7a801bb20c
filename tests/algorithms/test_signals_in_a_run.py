"""Signals during a run: none is lost, and none comes at a bad moment."""

import contextlib
import os
import signal
import threading
import time
from functools import partial

import pytest

from deap_nn.process import signals


def interrupted_by(body):
    """What is raised, and whether the body came to its end."""
    ended = []

    def held():
        with signals.holding_signals():
            body()
            ended.append(True)
        ended.append(False)

    with pytest.raises(KeyboardInterrupt):
        held()
    return ended


def test_a_signal_that_the_process_ignores_stays_ignored():
    """As SIGINT in a job that a shell's script started in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.interruptible():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("error", [None, ImportError("what has become of it")])
def test_an_interrupt_that_is_lost_comes_at_the_end_and_once(error):
    def lose():
        with signals.heeding_signals():
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            if error is not None:
                raise error

    for _ in range(2):
        with signals.interruptible():
            with pytest.raises(KeyboardInterrupt):
                lose()
            with signals.heeding_signals():
                signal.raise_signal(signal.SIGTERM)  # it is saving


@pytest.mark.parametrize("nested", [False, True])
def test_signals_are_held_however_many_threads_there_are(nested):
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()  # the system may give it the signal
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def body():
        with signals.holding_signals() if nested else contextlib.nullcontext():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    try:
        assert interrupted_by(body) == [True]
        assert interrupted_by(partial(signal.raise_signal, signal.SIGINT)) == [True]
    finally:
        done.set()
        other.join()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}


def test_every_signal_that_was_held_comes_and_a_handler_that_is_left_does_what_the_first_would():
    came = []
    before = {number: signal.signal(number, lambda *called: came.append(called[0])) for number in (2, 15)}
    try:
        with signals.holding_signals():
            left = signal.getsignal(15)
            for number in (15, 2, 15):
                signal.raise_signal(number)
            assert came == []
        assert sorted(came) == [2, 15]
        left(15, None)
        assert came[2:] == [15]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
