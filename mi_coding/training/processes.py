"""Multi-process runs, one process per host: initialization, and collective decisions.

Built on `jax.distributed`. In a run of one process every function here returns its own value without communication.
"""

import importlib.util
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax._src import distributed
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from mi_coding import interrupts
from mi_coding.errors import AgreedError, InputError, NonFiniteLossError, PeersUnavailableError, SaveError

HEARTBEAT_SECONDS = 30
"""A process that sends no heartbeat for this long counts as dead, and the others exit."""

_STOPPED, _GONE = "mi_coding_stopped", "mi_coding_gone"  # keys in the store that the processes share
_LOOK_EVERY = 0.25  # seconds
_CONNECTING = 5.0  # seconds that a signal waits while connecting; the others may never come
_CLEANING_UP = 90.0  # seconds that the others may take to stop
_WAIT_AT_THE_END = 7 * 24 * 3600  # seconds: the other processes wait while the main one evaluates
_LONGEST_TEXT = 4096  # bytes
_T = TypeVar("_T")


class ProcessSpec(NamedTuple):
    """One process of several: the address HOST:PORT of process 0, the number of processes, this one's index."""

    coordinator: str
    num_processes: int
    process_id: int


def cluster(environ: Mapping[str, str]) -> str | None:
    """The name of the scheduler that started several processes like this one, by its environment; None without one.

    A shell on one machine of a cluster does not count, nor does a single task.

    >>> step = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "a,b", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    >>> cluster(step | {"SLURM_NTASKS": "2"}), cluster(step | {"SLURM_NTASKS": "1"}), cluster({"SLURM_NTASKS": "2"})
    ('SLURM', None, None)

    Raises:
        InputError: for several processes among which JAX cannot find process 0.
    """
    return next((name for name, is_around in _CLUSTERS.items() if is_around(environ)), None)


def _slurm(environ: Mapping[str, str]) -> bool:
    step = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
    # In an interactive step of one task, SLURM_NTASKS counts the tasks of the whole job.
    tasks = environ.get("SLURM_STEP_NUM_TASKS", environ.get("SLURM_NTASKS", "1"))
    return all(name in environ for name in step) and int(tasks) > 1


def _open_mpi(environ: Mapping[str, str]) -> bool:
    several = int(environ.get("OMPI_COMM_WORLD_SIZE", "1")) > 1
    if several and "OMPI_MCA_orte_hnp_uri" not in environ:
        raise InputError(
            "this mpirun does not provide the address of process 0 (Open MPI 5 does not); expected "
            "--coordinator=HOST:PORT --num_processes=$OMPI_COMM_WORLD_SIZE --process_id=$OMPI_COMM_WORLD_RANK"
        )
    return several


def _tpu_pod(environ: Mapping[str, str]) -> bool:
    """A machine with TPUs, possibly one of a pod: JAX asks the machine itself; a single machine is a pod of one."""
    others = environ.get("JAX_PLATFORMS") and "tpu" not in environ["JAX_PLATFORMS"].split(",")
    has_chips = any(Path(path).exists() for path in ("/dev/accel0", "/dev/vfio/0"))
    return has_chips and not others and importlib.util.find_spec("libtpu") is not None


def _kubernetes(environ: Mapping[str, str]) -> bool:
    indexed = "KUBERNETES_SERVICE_HOST" in environ and "JOB_COMPLETION_INDEX" in environ
    return indexed and importlib.util.find_spec("kubernetes") is not None


_CLUSTERS: dict[str, Callable[[Mapping[str, str]], bool]] = {
    "SLURM": _slurm,
    "Open MPI": _open_mpi,
    "TPU": _tpu_pod,
    "Kubernetes": _kubernetes,
}


@contextmanager
def initialize_distributed(place: ProcessSpec | None) -> Iterator[None]:
    """A context in which the processes of a run are connected; without `place` or a scheduler there is just one.

    A process that fails by itself exits at once, without the shutdown barrier, which the others would never reach: they
    miss its heartbeat within `HEARTBEAT_SECONDS` and exit as well. Errors that all processes agree on are raised. A
    process that is stopped by a signal tells the others, and all exit together with the exit code of a stopped one.

    Args:
        place: from the command line; None lets JAX detect it where a scheduler runs.
    Raises:
        PeersUnavailableError: if the processes do not connect within five minutes.
    """
    with interrupts.deferred(_CONNECTING) as received:  # the others are about to connect, and can then be told
        if (place.num_processes > 1) if place else cluster(os.environ):
            _initialize(place)
    try:
        with _stopping_together():
            if received:
                interrupts.stop(received[0])
            yield
            if jax.process_count() > 1:
                # JAX's own barrier does not outlast the evaluation of the main process, which may take hours: jaxlib
                # 0.10.2 aborts a process that has waited in it for five minutes, whatever `shutdown_timeout_seconds`.
                multihost.get_barrier_sync_fn()(key="leave", timeout_ms=1000 * _WAIT_AT_THE_END)
    except (AgreedError, NonFiniteLossError):  # the loss is the same in all processes
        raise
    except BaseException as error:
        if jax.process_count() == 1:
            raise
        _leave(error)


def _initialize(place: ProcessSpec | None) -> None:
    jax.config.update("jax_enable_preemption_service", False)  # it would intercept SIGTERM, which the loop handles
    told = {} if place is None else place._asdict() | {"cluster_detection_method": "deactivate"}
    told["coordinator_address"] = told.pop("coordinator", None)
    try:
        jax.distributed.initialize(**told, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0][:300]
        raise PeersUnavailableError(f"the processes cannot connect to each other: {reason}") from None


@contextmanager
def _stopping_together() -> Iterator[None]:
    """A context in which a signal to one process of a run stops all of them, see `interrupts`."""
    client = distributed.global_state.client
    if client is None:
        yield
        return
    ended = threading.Event()

    def follow() -> None:
        with suppress(jax.errors.JaxRuntimeError):  # the main process is gone, which the heartbeat notices
            while not ended.wait(_LOOK_EVERY):
                if told := client.key_value_dir_get(_STOPPED):
                    interrupts.follow(signal.Signals(int(told[0][1])))

    follower = threading.Thread(target=follow, daemon=True, name="mi_coding-stops")
    follower.start()
    interrupts.stop_together(partial(_stop_others, client))
    try:
        yield
        interrupts.stop_together(None)
    finally:
        ended.set()
        follower.join()


def _stop_others(client: Any, number: signal.Signals) -> bool:
    """Tells the other processes, waits until this one may exit, and returns whether it is the main one.

    No process exits before all know, since what the others wait for would fail; the main one, their server, exits last.
    """
    place, count = jax.process_index(), jax.process_count()
    with suppress(jax.errors.JaxRuntimeError):  # if the others cannot be reached, missed heartbeats end them
        client.key_value_set(f"{_STOPPED}/{place}", str(int(number)), allow_overwrite=True)
        _wait_for(lambda: len(client.key_value_dir_get(_STOPPED)) == count)
        if is_main_process():
            _wait_for(lambda: len(client.key_value_dir_get(_GONE)) == count - 1)
            time.sleep(_LOOK_EVERY)
        else:
            client.key_value_set(f"{_GONE}/{place}", "")
    return is_main_process()


def _wait_for(have: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _CLEANING_UP
    while not have() and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)


def _leave(error: BaseException) -> None:
    if number := interrupts.stopped_by():  # the error follows from that: what a process waits for fails
        interrupts.leave(number)
    if isinstance(error, (InputError, SaveError, OSError)):
        print(f"mi_coding: error: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2 if isinstance(error, InputError) else 1)


def is_main_process() -> bool:
    """Whether this process is process 0, which alone writes files and prints."""
    return jax.process_index() == 0


def on_all_processes(act: Callable[[], _T]) -> _T:
    """Calls `act` in every process, and returns its value once all have returned.

    Raises:
        AgreedError: in every process, if `act` raised InputError in any; only the first of those keeps its message.
    """
    result, refusal = None, None
    try:
        result = act()
    except InputError as error:
        if jax.process_count() == 1 or isinstance(error, AgreedError):
            raise
        refusal = error
    refused = np.flatnonzero(multihost_utils.process_allgather(np.array(refusal is not None)))
    if len(refused):
        raise AgreedError(str(refusal) if refused[0] == jax.process_index() else "")
    return result


def broadcast_from_main(text: str) -> str:
    """The text that process 0 passed, in every process."""
    if jax.process_count() == 1:
        return text
    padded = np.frombuffer(text.encode().ljust(_LONGEST_TEXT, b"\0"), np.uint8)
    return multihost_utils.broadcast_one_to_all(padded).astype(np.uint8).tobytes().rstrip(b"\0").decode()


def same_on_all_processes(number: int) -> bool:
    """Whether every process passes the same number."""
    return len(np.unique(multihost_utils.process_allgather(np.array(number)))) == 1


def sum_over_processes(number: int) -> int:
    """The sum of what every process passes."""
    return int(np.sum(multihost_utils.process_allgather(np.array(number))))


def all_processes(flag: bool) -> bool:
    """Whether a flag is set in every process."""
    return bool(np.all(multihost_utils.process_allgather(np.array(flag))))
