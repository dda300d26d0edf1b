"""A work directory belongs to one run at a time."""

import os

import pytest

from mi_coding.errors import InputError
from mi_coding.runs.workdir import begin, check_workdir


def test_a_second_run_is_refused_while_the_first_holds_the_directory(tmp_path):
    in_use = rf"in use by process {os.getpid()} on \S+; wait"
    with begin(tmp_path / "run", {"seed": 1}), pytest.raises(InputError, match=in_use):
        begin(tmp_path / "run", {"seed": 1})
    begin(tmp_path / "run", {"seed": 1}).close()


def test_a_directory_that_was_only_held_is_as_good_as_empty(tmp_path):
    begin(tmp_path / "run", {}).close()
    (tmp_path / "run" / "config.json").unlink()
    check_workdir(tmp_path / "run", {"seed": 1}, complete=dict)
