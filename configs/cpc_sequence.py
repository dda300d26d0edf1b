"""CPC of sequences, as in the paper: handwritten digits read row by row, each row predicted from those above it.

    python -m mi_coding.main --config=configs/cpc_sequence.py

An encoder of each step, a causal context (a gated recurrent unit), and a bilinear critic for each of K = 4 steps ahead
(arXiv:1807.03748).

Two CPU cores, 1 minute. Expect held-out bounds of 2.9, 2.0, 1.6 and 1.3 nats for 1 to 4 steps ahead, of the 5.55 that
N = 256 allows, and a linear probe of 0.94 for the digit in an unseen image (untrained encoder 0.90, raw pixels 0.80).

For clips, frames of a moving image: --config.pairs.name=clips --config.encoder.name=convnet
--config.encoder.widths=(16,32). For signals of your own: float[n, T] or [n, T, C] under the name `sequences` in a file
of np.savez, with `lengths`, int[n], if they are of unequal length; or sound files, folder:PATH. For example, one second
of audio at 16 kHz in steps of 10 ms, from anywhere in a recording:

    … --config.data.source=folder:PATH --config.pairs.window=0 --config.pairs.step_size=160 --config.pairs.num_steps=100
      --config.objective.num_ahead=12 --config.objective.num_times=16 --config.batch_size=64
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The rows, from top to bottom, of an image placed at random in a square."""
    config = ConfigDict({"batch_size": 256, "num_steps": 1000})
    config.data = {"source": "digits"}  # or "npz:PATH" with `sequences`
    config.pairs = {"name": "sequences", "window": 10}
    config.encoder = {"name": "mlp", "widths": (128,), "feature_dim": 128, "code_dim": 32, "context_dim": 128}
    config.objective = {"name": "cpc_ahead", "num_ahead": 4}  # one critic for each of 1 … 4 steps ahead
    config.optimizer = {"learning_rate": 1e-3}
    return config
