"""What is slow to import is imported by whoever needs it."""

import subprocess
import sys


def test_loading_an_encoder_imports_nothing_that_draws():
    heavy = "matplotlib", "sklearn", "tensorboardX"
    program = (
        "import sys, mi_coding; mi_coding.load_encoder; import mi_coding.runs.restore; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
