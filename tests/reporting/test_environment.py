"""What a run says of the source that it ran."""

import subprocess

from mi_coding.reporting import environment


def test_the_version_is_that_of_the_source_when_it_was_first_asked_for(monkeypatch):
    commits = iter(["abc1234\n", "def5678\n"])
    answers = lambda command, **_: subprocess.CompletedProcess(command, 0, next(commits), "")  # noqa: E731
    monkeypatch.setattr(environment.subprocess, "run", answers)
    environment.version.cache_clear()
    try:
        assert environment.version().endswith(" abc1234")
        assert environment.describe_run(1, "cpu")["train/version"].endswith(" abc1234")
        assert environment.describe_environment()["mi_coding"].endswith(" abc1234")
    finally:
        environment.version.cache_clear()
