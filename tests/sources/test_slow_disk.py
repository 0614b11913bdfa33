"""A disk that does not answer stops nobody but who reads from it, and nobody is deaf meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import processes
import pytest
import slow_disk

pytestmark = pytest.mark.usefixtures("native")

START = """
    import os, signal, sys, threading, time
    import numpy as np
    import npyfast

    slow, fast, flag = sys.argv[1:4]

    def answer(answers):
        os.unlink(flag) if answers else open(flag, "w").close()

    class Ticks:
        # The longest time between two turns of a thread that does nothing else.
        def __init__(self):
            self.longest, self.going = 0.0, True
            self.thread = threading.Thread(target=self.run, daemon=True)
            self.thread.start()
        def run(self):
            last = time.monotonic()
            while self.going:
                time.sleep(0.005)
                now = time.monotonic()
                self.longest = max(self.longest, now - last)
                last = now
        def end(self):
            self.going = False
            self.thread.join()
            return self.longest

    def within(seconds, what, *arguments):
        begin = time.monotonic()
        result = what(*arguments)
        took = time.monotonic() - begin
        assert took < seconds, f"{what} took {took}"
        return result

    def fork():
        child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

    def other_dataset():
        made = npyfast.batches(fast, 10, seed=1)
        assert sorted(np.concatenate(list(made))[:, 0].tolist()) == list(range(1000))
"""

# What a stream of the slow disk is: files of a row each, or so many that they are mapped later.
SOURCES = {
    "rows": 'npyfast.batches(npyfast.source(slow, per_file="row"), 10, threads={threads})',
    "shards": 'npyfast.batches(slow, 10, seed=3, readahead="{readahead}", threads={threads})',
}
CASES = [
    ("rows", {"threads": 1}),
    ("rows", {"threads": 16}),
    *(("shards", {"threads": 2, "readahead": r}) for r in ("auto", "off", "whole", "rows")),
]
cases = pytest.mark.parametrize(
    ("kind", "options"), CASES, ids=[f"{k}-{'-'.join(map(str, o.values()))}" for k, o in CASES]
)


def run(tmp_path: Any, script: str, kind: str, options: dict[str, Any], **variables: str) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    for i in range(300):
        row = np.full(8, i)
        np.save(slow / f"{i:03}.npy", row if kind == "rows" else row[None])
    fast = tmp_path / "fast.npy"
    np.save(fast, np.repeat(np.arange(1000)[:, None], 8, axis=1))
    source = SOURCES[kind].format(**options)
    process = processes.start(
        START + script.replace("SOURCE", source),
        slow,
        fast,
        tmp_path / "flag",
        backend="native",
        LD_PRELOAD=slow_disk.library(),
        SLOW_FOLDER=str(slow),
        SLOW_FLAG=str(tmp_path / "flag"),
        **variables,
    )
    assert processes.finish(process)[0] == "fine"


HANGS = """
    made = SOURCE
    answer(False)
    ticks = Ticks()
    got = []
    reader = threading.Thread(target=lambda: got.extend(made))
    reader.start()
    time.sleep(0.5)
    assert not got
    for _ in range(3):
        within(2, fork)
        within(5, other_dataset)
    assert ticks.end() < 1
    answer(True)
    reader.join()
    assert sorted(np.concatenate(got)[:, 0].tolist()) == list(range(300))
    print("fine")
"""


@cases
def test_a_disk_that_hangs_stops_nobody_else(
    tmp_path: Any, kind: str, options: dict[str, Any]
) -> None:
    run(tmp_path, HANGS, kind, options)


DROPPED = """
    made = SOURCE
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
        within(1, begun[0].close)
        reader.join()
        made = None
        within(2, begun.clear)
    within(5, other_dataset)
    print("fine")
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.mark.parametrize("threads", [1, 16])
def test_what_hangs_is_dropped_at_once(tmp_path: Any, threads: int) -> None:
    run(tmp_path, DROPPED, "rows", {"threads": threads})


INTERRUPTED = """
    def on_alarm(signum, frame):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, on_alarm)
    made = SOURCE
    iterator = iter(made)
    answer(False)
    got, interrupts = [], 0
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.25)
            begin = time.monotonic()
            batch = next(iterator, None)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupts += 1
            took = time.monotonic() - begin
            assert took < 0.25 + 0.3, took
            if interrupts == 3:
                answer(True)
            continue
        if batch is None:
            break
        got.append(batch)
    assert interrupts >= 3, interrupts
    assert np.concatenate(got)[:, 0].tolist() == list(range(300))
    print("fine")
"""


@pytest.mark.parametrize("threads", [1, 4])
def test_an_interrupt_gets_through_and_loses_nothing(tmp_path: Any, threads: int) -> None:
    """Each open takes 0.1 s."""
    run(tmp_path, INTERRUPTED, "rows", {"threads": threads}, SLOW_MS="100")
