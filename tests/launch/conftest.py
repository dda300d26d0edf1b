"""A place to run launch scripts in."""

import pytest
from recorders import Launch


@pytest.fixture
def launch(tmp_path):
    launch = Launch(tmp_path)
    yield launch
    launch.end()
