"""CPC on pairs of frames of your own videos: what does one moment of a film tell about the next?

    python -m mi_coding.main --config=configs/cpc_video.py --config.data.source='video:clips/*.mp4'

Needs PyAV: pip install -e '.[video]'. Films are decoded once, into a cache whose size is printed first. These options
are for a few films of a few seconds and two CPU cores. For more data, raise num_steps, batch_size, data.image_size and
the gap, and set pairs.steps=() if there is too much to memorise.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Two frames of one film, under one random augmentation of each batch."""
    config = ConfigDict({"objective": {"name": "cpc"}, "batch_size": 128, "num_steps": 600})
    config.data = {"source": "video:clips/*.mp4", "image_size": 32, "channels": 3}
    config.pairs = {"name": "film", "gap": 0.1, "distractors": "across", "group_size": 32}
    config.pairs.steps = (  # few films: otherwise other batches show the same frames
        {"name": "random_resized_crop", "area": (0.3, 1.0), "flip": 0.5},
        {"name": "rotation", "degrees": 30.0},
        {"name": "colour_jitter", "p": 0.8},
    )
    config.encoder = {"name": "convnet", "grid": 4}
    config.optimizer = {"warmup_steps": 30}
    config.checkpoint = {"every_steps": 200}
    config.evaluation = {"every_steps": 100, "num_pairs": 4096}
    return config
