"""The newest request wins, what runs can be stopped, and errors end nothing."""

import threading
import time

import pytest

from workbench.explorer.worker import Worker, turn


@pytest.fixture
def worker():
    failures = []
    made = Worker(failures.append)
    made.failures = failures
    yield made
    made.close()


def test_what_waits_is_replaced_by_what_is_newer(worker):
    started, go, done = threading.Event(), threading.Event(), []

    def first(task):
        started.set()
        go.wait(5)
        done.append(("first", task.stopped))

    worker.ask("slow", first)
    assert started.wait(5)
    for i in range(20):
        worker.ask("slider", lambda task, i=i: done.append(("slider", i)))
    go.set()
    assert worker.wait(5)
    assert done == [("first", False), ("slider", 19)]


def test_a_newer_request_stops_the_one_that_runs(worker):
    seen = []

    def endless(task):
        while not task.stopped:
            time.sleep(0.001)
        seen.append("stopped")

    worker.ask("answer", endless)
    worker.ask("answer", lambda task: seen.append("second"))
    assert worker.wait(5)
    assert seen in (["stopped", "second"], ["second"])  # or it was replaced before it began


def test_stop_leaves_off_and_forgets(worker):
    started, seen = threading.Event(), []

    def endless(task):
        started.set()
        while not task.stopped:
            time.sleep(0.001)

    worker.ask("a", endless)
    assert started.wait(5)
    worker.ask("b", lambda task: seen.append("b"))
    worker.stop()
    assert worker.wait(5)
    assert seen == []


def test_errors_are_told_and_the_thread_goes_on(worker):
    seen = []
    worker.ask("a", lambda task: 1 / 0)
    assert worker.wait(5)
    worker.ask("a", lambda task: seen.append("on"))
    assert worker.wait(5)
    assert worker.failures == ["ZeroDivisionError: division by zero"]
    assert seen == ["on"]


def test_it_tells_what_it_is_at():
    told = []
    worker = Worker(lambda message: None, told.append)
    worker.ask("a", lambda task: None)
    assert worker.wait(5)
    worker.close()
    assert told[-2:] == ["a", ""]


def test_closed_it_has_no_thread_and_takes_nothing():
    worker = Worker(lambda message: None)
    worker.ask("a", lambda task: None)
    assert worker.wait(5)
    worker.close()
    worker.ask("a", lambda task: None)
    assert not worker._thread.is_alive()


def test_a_model_runs_one_thing_at_a_time(tiny):
    inside, most = [], []

    def work():
        with turn(tiny):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5
