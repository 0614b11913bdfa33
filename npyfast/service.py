"""Runs processes of tf.data service with npyfast's ops loaded.

Start one dispatcher, and at least one worker on each machine:

    python -m npyfast.service dispatcher --port 5050
    python -m npyfast.service worker --dispatcher HOST:5050 --address THIS_HOST

Each prints one line when it is ready, which ends in its address, and serves until SIGTERM or
SIGINT. `--help` lists the options; docs/scale-out.md is the guide.

Every process that receives a dataset of `npyfast.dataset` must have loaded npyfast's ops. Your own
worker program therefore needs this line before it starts its
`tf.data.experimental.service.WorkerServer`:

    import npyfast.service

The import raises ImportError if TensorFlow is missing or the ops cannot be loaded.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from npyfast._engines.op_library import load
from npyfast._engines.tensors import import_tensorflow

_PROGRAM = "python -m npyfast.service"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _StartError(Exception):
    """Why a server cannot be started, in one sentence."""


def _port(text: str) -> int:
    """A port to listen on; 0: any free one."""
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is an integer from 0 to 65535, not {text!r}")
    return int(text)


def _split_address(text: str) -> tuple[str, int | None]:
    """The host and the port of HOST[:PORT]; None without a port."""
    # An IPv6 address is in brackets, because it contains colons.
    match = re.fullmatch(r"(\[[^][/]+\]|[^][:/\s]+)(?::([0-9]{1,5}))?", text)
    port = int(match[2]) if match and match[2] else None
    if match is None or port == 0 or (port or 0) > 65535:
        raise argparse.ArgumentTypeError(
            f"an address is HOST:PORT, such as 10.0.0.5:5050 or [::1]:5050, not {text!r}"
        )
    return match[1], port


def _dispatcher_address(text: str) -> tuple[str, int]:
    host, port = _split_address(text)
    if port is None:
        raise argparse.ArgumentTypeError(f"the port is missing: HOST:PORT, not {text!r}")
    return host, port


def _milliseconds(text: str) -> int:
    """A time in seconds, converted to the milliseconds that TensorFlow takes."""
    try:
        milliseconds = int(float(text) * 1000)
    except (ValueError, OverflowError):
        milliseconds = 0
    if not 1 <= milliseconds < 1 << 53:
        raise argparse.ArgumentTypeError(f"a time is a number of seconds above 0, not {text!r}")
    return milliseconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Runs a process of tf.data service with npyfast's ops loaded, until SIGTERM or "
        "SIGINT. When it is ready it prints one line, which ends in its address. It listens on all "
        "network interfaces and does not authenticate: keep it inside a trusted network.",
    )
    roles = parser.add_subparsers(dest="role", required=True, metavar="dispatcher|worker")

    def add_role(name: str, purpose: str) -> argparse.ArgumentParser:
        role = roles.add_parser(name, help=purpose, description=f"{purpose.capitalize()}.")
        role.add_argument(
            "--port",
            type=_port,
            default=0,
            help="TCP port to listen on; 0: any free one (default: 0)",
        )
        return role

    dispatcher = add_role("dispatcher", "hands out the work; one for each service")
    dispatcher.add_argument(
        "--work-dir",
        metavar="DIR",
        help="fault-tolerant mode: keep a journal in DIR, so that a dispatcher restarted with the "
        "same DIR and the same --port continues (default: no journal)",
    )

    worker = add_role("worker", "makes the batches; any number for each service")
    worker.add_argument(
        "--dispatcher",
        required=True,
        type=_dispatcher_address,
        metavar="HOST:PORT",
        help="where the dispatcher listens",
    )
    worker.add_argument(
        "--address",
        type=_split_address,
        metavar="HOST[:PORT]",
        help="where other machines reach this worker; without PORT, the port it listens on "
        "(default: localhost, which works only for clients on this machine)",
    )
    worker.add_argument(
        "--heartbeat",
        type=_milliseconds,
        metavar="SECONDS",
        help="time between two reports to the dispatcher (default: TensorFlow's)",
    )
    worker.add_argument(
        "--wait",
        type=_milliseconds,
        metavar="SECONDS",
        default=60_000,
        help="how long to wait for the dispatcher to be started (default: 60)",
    )
    return parser


def _check_port(port: int) -> None:
    """Raises _StartError unless the port is free."""
    # gRPC silently shares a port with another process; each would then get some of the calls.
    if port == 0:
        return
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    try:
        socket.create_server(
            ("", port), family=family, dualstack_ipv6=family == socket.AF_INET6
        ).close()
    except OSError as error:
        raise _StartError(
            f"cannot listen on port {port}: {os.strerror(error.errno or 0)}"
        ) from None


def _wait_for(host: str, port: int, milliseconds: int) -> None:
    """Waits until a process listens there. Raises _StartError after the given time."""
    # TensorFlow would wait forever, and handle no signal meanwhile.
    deadline = time.monotonic() + milliseconds / 1000
    while True:
        try:
            socket.create_connection((host.strip("[]"), port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise _StartError(
                    f"no dispatcher can be reached at {host}:{port} "
                    f"({error.strerror or error}): start it first, or check --dispatcher"
                ) from None
        time.sleep(0.2)


def _start_dispatcher(options: argparse.Namespace) -> tuple[Any, str]:
    """A running dispatcher, and its address."""
    service = import_tensorflow().data.experimental.service
    _check_port(options.port)
    if options.work_dir is not None:
        try:
            os.makedirs(options.work_dir, exist_ok=True)
        except OSError as error:
            raise _StartError(f"--work-dir {options.work_dir}: {error.strerror}") from None
    server = service.DispatchServer(
        service.DispatcherConfig(
            port=options.port,
            work_dir=options.work_dir,
            fault_tolerant_mode=options.work_dir is not None,
        )
    )
    return server, server.target.split("://")[1]


def _start_worker(options: argparse.Namespace) -> tuple[Any, str]:
    """A running worker, registered with its dispatcher, and its address."""
    service = import_tensorflow().data.experimental.service
    _check_port(options.port)
    dispatcher_host, dispatcher_port = options.dispatcher
    _wait_for(dispatcher_host, dispatcher_port, options.wait)
    host, port = options.address or ("localhost", None)
    config = service.WorkerConfig(
        dispatcher_address=f"{dispatcher_host}:{dispatcher_port}",
        worker_address=f"{host}:{port or '%port%'}",
        port=options.port,
        heartbeat_interval_ms=options.heartbeat,
    )
    # A template that contains localhost, and differs between releases.
    transfer = config.data_transfer_address.replace("localhost", host)
    server = service.WorkerServer(config._replace(data_transfer_address=transfer))
    return server, f"{host}:{port or server._address.rpartition(':')[2]}"


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """A file descriptor that becomes readable when a signal tells this process to end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    previous = [signal.signal(number, lambda *_: None) for number in _SIGNALS]
    try:
        yield reader
    finally:
        for number, handler in zip(_SIGNALS, previous, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


def _serve(options: argparse.Namespace) -> None:
    """Runs a server until a signal arrives."""
    # Servers start in C++, where no Python handler runs: let a signal end the process directly.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    tensorflow = import_tensorflow()
    # A worker uses CPUs only, and must not take GPU memory from the training.
    tensorflow.config.set_visible_devices([], "GPU")
    load()
    start = {"dispatcher": _start_dispatcher, "worker": _start_worker}[options.role]
    server, address = start(options)
    with _signals() as signalled:
        print(f"{options.role} ready at {address}", flush=True)
        os.read(signalled, 1)
        server.stop()


def _main() -> int:
    options = _parser().parse_args()
    try:
        _serve(options)
    except (_StartError, ImportError, OSError, RuntimeError) as error:
        print(f"{_PROGRAM} {options.role}: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
else:
    load()
