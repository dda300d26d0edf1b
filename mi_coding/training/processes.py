"""Processes are joined here, one a host, and agree here on what none may decide alone.

`jax.distributed` does the work. Where nothing says that there are several processes, nothing here does anything.
"""

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from mi_coding.errors import AgreedError, InputError, NonFiniteLossError, PeersUnavailableError, SaveError

HEARTBEAT_SECONDS = 30
"""A process that has not been heard of for so long is dead, and the others end."""

_WAIT_AT_THE_END = 7 * 24 * 3600  # seconds: while the first process evaluates the others wait to leave
_LONGEST_TEXT = 4096  # bytes
_T = TypeVar("_T")


class ProcessSpec(NamedTuple):
    """Where one process stands: the address HOST:PORT of process 0, how many there are, and which one this is."""

    coordinator: str
    num_processes: int
    process_id: int


def cluster(environ: Mapping[str, str]) -> str | None:
    """The name of the scheduler that has started several processes like this one, by its environment; None for none.

    A shell on one machine of a cluster is none, nor is a single task.

    >>> step = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "a,b", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    >>> cluster(step | {"SLURM_NTASKS": "2"}), cluster(step | {"SLURM_NTASKS": "1"}), cluster({"SLURM_NTASKS": "2"})
    ('SLURM', None, None)

    Raises:
        InputError: for several processes of which JAX cannot find the first.
    """
    return next((name for name, is_around in _CLUSTERS.items() if is_around(environ)), None)


def _slurm(environ: Mapping[str, str]) -> bool:
    step = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
    # An interactive step of one task tells the tasks of the whole job, too.
    tasks = environ.get("SLURM_STEP_NUM_TASKS", environ.get("SLURM_NTASKS", "1"))
    return all(name in environ for name in step) and int(tasks) > 1


def _open_mpi(environ: Mapping[str, str]) -> bool:
    several = int(environ.get("OMPI_COMM_WORLD_SIZE", "1")) > 1
    if several and "OMPI_MCA_orte_hnp_uri" not in environ:
        raise InputError(
            "this mpirun does not tell where process 0 is (Open MPI 5 does not); expected --coordinator=HOST:PORT "
            "--num_processes=$OMPI_COMM_WORLD_SIZE --process_id=$OMPI_COMM_WORLD_RANK"
        )
    return several


def _tpu_pod(environ: Mapping[str, str]) -> bool:
    """A machine with TPUs, which may be one of a pod: JAX asks the machine itself, and one alone is a pod of one."""
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
    """Everything that several processes do together; without a place and a scheduler there is one.

    A process that fails alone ends at once, without the farewell for which the others would have to come: they hear of
    it within `HEARTBEAT_SECONDS`, and end too. What all have agreed on is raised in all.

    Args:
        place: as the command line tells; None lets JAX find it where a scheduler is around.
    Raises:
        PeersUnavailableError: where the processes do not find each other within five minutes.
    """
    if (place.num_processes > 1) if place else cluster(os.environ):
        _initialize(place)
    try:
        yield
        _wait_for_all()
    except (AgreedError, NonFiniteLossError):  # a loss is the same everywhere
        raise
    except BaseException as error:
        if jax.process_count() == 1:
            raise
        _leave(error)


def _initialize(place: ProcessSpec | None) -> None:
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from the loop
    told = {} if place is None else place._asdict() | {"cluster_detection_method": "deactivate"}
    told["coordinator_address"] = told.pop("coordinator", None)
    try:
        jax.distributed.initialize(**told, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0][:300]
        raise PeersUnavailableError(f"the processes do not find each other: {reason}") from None


def _wait_for_all() -> None:
    """The first process may evaluate for hours, and JAX's own farewell has no such patience.

    Whatever `shutdown_timeout_seconds` says, jaxlib 0.10.2 ends a process with an error that has waited there for five
    minutes.
    """
    if jax.process_count() > 1:
        multihost.get_barrier_sync_fn()(key="leave", timeout_ms=1000 * _WAIT_AT_THE_END)


def _leave(error: BaseException) -> None:
    if isinstance(error, (InputError, SaveError, OSError)):
        print(f"mi_coding: error: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2 if isinstance(error, InputError) else 1)


def is_main_process() -> bool:
    """Whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


def on_all_processes(act: Callable[[], _T]) -> _T:
    """What `act` returns in this process, once it has returned in all.

    Raises:
        AgreedError: in every process where `act` raised InputError in one; the first of those has its words.
    """
    result, refusal = None, None
    try:
        result = act()
    except AgreedError:
        raise
    except InputError as error:
        refusal = error
    if jax.process_count() == 1:
        if refusal:
            raise refusal
        return result
    refused = np.flatnonzero(multihost_utils.process_allgather(np.array(refusal is not None)))
    if len(refused):
        raise AgreedError(str(refusal) if refused[0] == jax.process_index() else "")
    return result


def broadcast_from_main(text: str) -> str:
    """The text that process 0 was called with, in every process."""
    if jax.process_count() == 1:
        return text
    padded = np.frombuffer(text.encode().ljust(_LONGEST_TEXT, b"\0"), np.uint8)
    return multihost_utils.broadcast_one_to_all(padded).astype(np.uint8).tobytes().rstrip(b"\0").decode()


def all_processes(flag: bool) -> bool:
    """Whether a flag is up in every process."""
    return flag if jax.process_count() == 1 else bool(np.all(multihost_utils.process_allgather(np.array(flag))))
