"""Reads from a disk that does not answer, or answers late, and does one of the things below.

The disk answers nothing until this program lets it: what had to wait for it would wait forever, and
so would what needs the interpreter while somebody holds it and waits. Nothing is timed.
"""

import json
import os
import signal
import sys
import threading
import time

import numpy as np

import npyfast

slow, fast, flag, action, kind, options = sys.argv[1:]


def answer(answers):
    os.unlink(flag) if answers else open(flag, "w").close()


def fork():
    child = os.fork()
    if child == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def other_dataset():
    made = npyfast.batches(fast, 10, seed=1)
    assert sorted(np.concatenate(list(made))[:, 0].tolist()) == list(range(1000))


def source():
    """Files of one row each, or so many that they are mapped later."""
    given = json.loads(options)
    if kind == "rows":
        return npyfast.batches(npyfast.source(slow, per_file="row"), 10, **given)
    return npyfast.batches(slow, 10, seed=3, **given)


def interrupt(signum, frame):
    raise KeyboardInterrupt


def hangs():
    made = source()
    answer(False)
    got = []
    reader = threading.Thread(target=lambda: got.extend(made))
    reader.start()
    time.sleep(0.5)
    assert not got
    for _ in range(3):
        fork()
        other_dataset()
    answer(True)
    reader.join()
    assert sorted(np.concatenate(got)[:, 0].tolist()) == list(range(300))
    print("fine")


def dropped():
    made = source()
    answer(False)
    begun = []

    def begin():
        iterator = iter(made)
        begun.append(iterator)
        next(iterator)

    reader = threading.Thread(target=begin, daemon=True)
    reader.start()
    deadline = time.monotonic() + 20
    while not begun and time.monotonic() < deadline:
        time.sleep(0.01)
    if begun:
        time.sleep(0.2)
        begun[0].close()
        reader.join()
        del made
        begun.clear()
    other_dataset()
    print("fine")
    sys.stdout.flush()
    os._exit(0)


def interrupted():
    signal.signal(signal.SIGALRM, interrupt)
    made = source()
    iterator = iter(made)
    answer(False)
    got, interrupts = [], 0
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.25)
            batch = next(iterator, None)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts == 3:
                answer(True)
            continue
        if batch is None:
            break
        got.append(batch)
    assert interrupts >= 3, interrupts
    assert np.concatenate(got)[:, 0].tolist() == list(range(300))
    print("fine")


globals()[action]()
