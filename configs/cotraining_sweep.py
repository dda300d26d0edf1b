"""The information plane: co-training at six prices of memory, two codes per price on one encoder, and one plot.

python -m mi_coding.main --config=configs/cotraining_sweep.py
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """configs/cotraining.py with codes of 32 values, two at each price."""
    config = runpy.run_path(str(Path(__file__).with_name("cotraining.py")))["get_config"]()
    config.code.update({"num_values": 32, "num_heads": 12})
    config.objective.betas = (0.0, 0.25, 0.5, 0.75, 0.9, 1.2)
    return config
