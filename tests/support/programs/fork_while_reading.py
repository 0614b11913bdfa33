"""Forks while a stream of batches is read, in one of the ways below.

Arguments: the path of an array, the name of the function, and "plain" or "transform".
"""

from __future__ import annotations

import os
import sys
import threading
import warnings

import numpy as np

import npyfast

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads

path, way, kind = sys.argv[1:]
options = {"transform": lambda x: -x, "transform_threads": 3} if kind == "transform" else {}
made = npyfast.batches(path, 9, True, seed=1, epochs=2, **options)
wanted = [batch.tolist() for batch in made]


def check(stream, first):
    for batch in wanted[first:]:
        assert next(stream).tolist() == batch
    assert next(stream, None) is None


def child(work):
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        return
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def after(batches):
    stream = iter(made)
    for _ in range(batches):
        next(stream)
    return stream


def both_go_on():
    stream = after(17)
    child(lambda: check(stream, 17))
    check(stream, 17)


def the_child_begins_anew():
    stream = after(1)
    child(lambda: check(iter(made), 0))
    check(stream, 1)


def the_child_drops_what_it_inherited():
    streams = [after(1) for _ in range(20)]

    def work():
        streams.clear()
        check(iter(made), 0)

    child(work)
    for stream in streams:
        check(stream, 1)


def a_child_of_a_child():
    stream = after(1)

    def work():
        next(stream)
        child(lambda: check(stream, 2))
        check(stream, 2)

    child(work)
    check(stream, 1)


def a_state():
    stream = after(1)
    state = stream.get_state()
    for _ in range(9):
        next(stream)

    def work():
        assert stream.position == divmod(10, len(made) // 2)
        stream.set_state(state)
        check(stream, 1)

    child(work)
    check(stream, 10)


def a_closed_stream_stays_closed():
    stream = after(1)
    stream.close()

    def work():
        assert next(stream, None) is None

    child(work)


def at_any_moment():
    for k in range(len(wanted) if options else 100):
        stream = after(k)
        child(lambda stream=stream, k=k: check(stream, k))


def rows():
    opened = npyfast.open(path)
    large = np.arange(len(opened)).repeat(40)
    opened.gather(large, threads=3)
    child(lambda: opened.gather(large, threads=3))
    opened.gather(large, threads=3)


def while_another_thread_reads():
    stream = iter(npyfast.batches(path, 9, True, seed=1, epochs=300))
    reader = threading.Thread(target=lambda: [None for _ in stream])
    reader.start()
    for _ in range(20):
        child(lambda: check(iter(made), 0))
    reader.join()


def while_another_thread_reads_what_is_transformed():
    stream = iter(npyfast.batches(path, 9, epochs=-1, transform=lambda x: x, transform_threads=3))
    reader = threading.Thread(target=lambda: [None for _ in stream])
    reader.start()
    for _ in range(20):
        child(lambda: (next(stream), check(iter(made), 0)))
    stream.close()
    reader.join()


def what_has_been_counted():
    stream = after(1)
    before = made.statistics.batches

    def work():
        check(stream, 1)
        assert made.statistics.batches - before == len(wanted) - 1
        assert stream.position == (2, 0)

    child(work)


def the_child_ends_as_usual():
    stream = after(1)
    pid = os.fork()
    if not pid:
        sys.exit(next(stream).tolist() != wanted[1])
    assert os.waitpid(pid, 0)[1] == 0


globals()[way]()
