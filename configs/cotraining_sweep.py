"""The information plane: co-training at six prices of memory, two codes each on one encoder, and one plot of all.

python -m mi_coding.main --config=configs/cotraining_sweep.py
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """configs/cotraining.py, which says what every key means, with other codes."""
    config = runpy.run_path(str(Path(__file__).with_name("cotraining.py")))["get_config"]()
    config.code.num_values = 32
    config.code.num_heads = 12
    config.objective.betas = (0.0, 0.25, 0.5, 0.75, 0.9, 1.2)
    return config
