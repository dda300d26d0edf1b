import math

import pytest


@pytest.fixture
def summary():
    """A finished run on labelled data; every number differs, so that a mix-up shows."""
    return {
        "train/steps": 2000,
        "train/seconds": 92.31,
        "train/examples_per_second": 5547.2,
        "train/first_step_seconds": 8.21,
        "train/loss": 0.9431,
        "heldout/mi_lower_bound_nats": 4.617,
        "heldout/mi_standard_error_nats": 0.021,
        "heldout/mi_ceiling_nats": math.log(256),
        "heldout/num_candidates": 256,
        "heldout/accuracy": 0.812,
        "heldout_largest/mi_lower_bound_nats": 4.873,
        "heldout_largest/mi_standard_error_nats": 0.034,
        "heldout_largest/mi_ceiling_nats": math.log(397),
        "heldout_largest/num_candidates": 397,
        "heldout_largest/accuracy": 0.744,
        "probe/linear_accuracy": 0.953,
        "probe/knn_accuracy": 0.931,
        "probe/random_encoder_accuracy": 0.612,
        "probe/random_encoder_knn_accuracy": 0.401,
        "probe/raw_pixels_accuracy": 0.553,
        "probe/raw_pixels_knn_accuracy": 0.475,
        "probe/regulariser": 0.01,
        "probe/knn_neighbours": 20,
        "probe/knn_temperature": 0.07,
    }
