"""Scripts that fork while a stream of batches is being read."""

from __future__ import annotations

# What each of them begins with; its argument is the path of an array.
PRELUDE = """\
import os, sys, warnings
import numpy as np, npyfast

warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
path = sys.argv[1]
made = npyfast.batches(path, 9, True, seed=1, epochs=2)
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

"""

BODIES = {
    "both go on": """
        stream = iter(made)
        for _ in range(17):
            next(stream)
        child(lambda: check(stream, 17))
        check(stream, 17)
        """,
    "the child begins anew": """
        stream = iter(made)
        next(stream)
        child(lambda: check(iter(made), 0))
        check(stream, 1)
        """,
    "the child lets go of what it inherited": """
        streams = [iter(made) for _ in range(20)]
        for stream in streams:
            next(stream)
        def work():
            global stream
            streams.clear()
            del stream
            check(iter(made), 0)
        child(work)
        for stream in streams:
            check(stream, 1)
        """,
    "a child of a child": """
        stream = iter(made)
        next(stream)
        def work():
            next(stream)
            child(lambda: check(stream, 2))
            check(stream, 2)
        child(work)
        check(stream, 1)
        """,
    "a state": """
        stream = iter(made)
        next(stream)
        state = stream.get_state()
        for _ in range(9):
            next(stream)
        def work():
            assert stream.position == divmod(10, len(made) // 2)
            stream.set_state(state)
            check(stream, 1)
        child(work)
        check(stream, 10)
        """,
    "a closed stream stays closed": """
        stream = iter(made)
        next(stream)
        stream.close()
        def work():
            assert next(stream, None) is None
        child(work)
        """,
}
