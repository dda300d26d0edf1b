"""Commands that only write down how they were called, and answer what a test tells them to."""

import os
import stat
import subprocess
from pathlib import Path

from commands import ROOT

SEPARATOR = "\x1f"
RECORDER = rf"""#!/usr/bin/env bash
(IFS=$'{SEPARATOR}'; printf '%s\n' "${{0##*/}}{SEPARATOR}$*") >>"$CALLS"
number=0
while IFS=$'\t' read -r pattern code output; do
  number=$((number + 1))
  if [[ "${{0##*/}} $*" == *"$pattern"* ]]; then
    sed -i "${{number}}d" "$ANSWERS"
    printf '%b' "$output"
    exit "$code"
  fi
done <"$ANSWERS"
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class Launch:
    """A place to run launch scripts in: recorders first on PATH, a home and an environment of its own."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / "bin"
        self.calls_file, self.answers = folder / "calls", folder / "answers"
        self.answers.write_text("")
        self.started = []
        named_by_a_scheduler = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHON", "XLA_FLAGS", "SHAPES")
        kept = {k: v for k, v in os.environ.items() if k not in named_by_a_scheduler and not k.startswith("SLURM")}
        self.environment = kept | {
            "CALLS": str(self.calls_file),
            "ANSWERS": str(self.answers),
            "HOME": str(folder / "home"),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(folder / "environment"),
            "POLL_SECONDS": "0",
            "A_SECRET": "xyzzy-secret",
        }
        (folder / "home").mkdir()
        self.bin.mkdir()

    def record(self, *names):
        for name in names:
            executable(self.bin / name, RECORDER)

    def python(self, text):
        """What stands in for Python in the environment, in bash; installations succeed."""
        head = '#!/usr/bin/env bash\n[[ "$2" != pip ]] || exit 0\n'
        return executable(Path(self.environment["VIRTUAL_ENV"]) / "bin" / "python", head + text)

    def answer(self, pattern, code=0, output=""):
        """The next call that holds the pattern ends with this code and output; others end well and say nothing."""
        with self.answers.open("a") as file:
            file.write(f"{pattern}\t{code}\t{output}\n")

    def start(self, script, *arguments, **environment):
        process = subprocess.Popen(
            ["bash", ROOT / "launch" / script, *map(str, arguments)],
            env=self.environment | environment,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self):
        """Leaves nothing running that was started here, whatever a test found, and whatever group it is in."""
        for process in self.started:
            subprocess.run(["pkill", "-KILL", "--session", str(process.pid)], check=False)

    def run(self, script, *arguments, **environment):
        process = self.start(script, *arguments, **environment)
        output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def calls(self):
        """Every call so far, as lists of words."""
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        assert "xyzzy-secret" not in text, "a secret of the environment became an argument"
        return [line.split(SEPARATOR) for line in text.splitlines()]
