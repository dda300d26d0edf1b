"""A place to run launch scripts in."""

import signal

import pytest
from recorders import Launch


@pytest.fixture(scope="session", autouse=True)
def interrupts_are_heeded():
    """What a shell puts in the background ignores SIGINT, so do its children, and bash cannot trap what it ignores.

    A signal that has a handler here has its default in a child, without `preexec_fn`, which forks a process of threads.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def launch(tmp_path):
    launch = Launch(tmp_path)
    yield launch
    launch.end()
