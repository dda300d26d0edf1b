"""A place to run launch scripts in."""

import pytest
from recorders import Launch


@pytest.fixture
def launch(tmp_path):
    return Launch(tmp_path)
