"""CPC on pairs of frames of moving handwritten digits.

    python -m mi_coding.main --config=configs/cpc.py

Two CPU cores, 2 minutes. Expect a linear probe near 0.93 for the digit in one frame (raw pixels 0.18, untrained encoder
0.6) and a held-out bound near 5 nats of the 5.55 that N = 256 allows.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Every key the run has, with its unit or its source."""
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 256  # B, pairs in a step on all devices together; N = B candidates
    config.microbatch_size = 0  # pairs that a device encodes at a time; 0 for all: less memory, the same N and loss
    config.num_steps = 1500  # training ends after num_steps or num_epochs, whichever comes first; 0 for no such end
    config.num_epochs = 0.0  # an epoch is as many pairs as there are training images
    config.steps_per_call = 0  # steps that run on the devices in one call; 0 chooses
    config.spmd = "shard_map"  # or "pmap": how one step runs on all devices; the numbers are the same

    config.data = ConfigDict()
    config.data.source = "digits"  # the 1,797 digits inside scikit-learn; or "tfds:NAME", "folder:PATH"
    config.data.image_size = 0  # pixels: the shorter side is resized to it, the middle square cut out; 0 keeps the size
    config.data.channels = 0  # 1 or 3 converts to grey or colour; 0 keeps what the images have
    config.data.placement = "auto"  # or "memory", "stream": all images on the devices, or read batch by batch
    config.data.num_workers = 2  # processes that decode a stream; 0 decodes in this one

    config.pairs = ConfigDict()
    config.pairs.name = "frames"  # x and y are two frames of one clip
    config.pairs.window = 16  # pixels, side of a frame
    config.pairs.clip_seconds = 4.0
    config.pairs.frame_rate = 10.0  # frames per second
    config.pairs.gap = 2.0  # seconds from x to y
    config.pairs.speed = 8.0  # pixels per second
    config.pairs.distinct = False  # True keeps twins out of a training batch; its own bound is then none

    config.encoder = ConfigDict()
    config.encoder.name = "convnet"  # or "resnet18", "resnet34", "resnet50"
    config.encoder.widths = (32, 64, 128)  # convnet: channels of each convolution
    config.encoder.feature_dim = 256  # convnet: what the probe reads
    config.encoder.grid = 1  # convnet: means over grid × grid cells; 1 does not see where things are
    config.encoder.activation = "smelu"  # or "relu", with which runs on other devices part: convnet, head
    config.encoder.stem = "cifar"  # resnets: or "imagenet"
    config.encoder.width_multiplier = 1.0  # resnets: times the paper's channels
    config.encoder.dtype = "float32"  # or "bfloat16": of the convolutions; parameters and features stay float32
    config.encoder.head_layers = 2  # 1 to 3
    config.encoder.head_batch_norm = False  # on the head's hidden layers
    config.encoder.head_width = 256
    config.encoder.code_dim = 64  # D

    config.critic = ConfigDict()
    config.critic.name = "inner_product"  # or "bilinear": z_xᵀ W z_y
    config.critic.normalize = True  # the cosine instead of the plain product
    config.critic.temperature = 0.1  # divides the scores

    config.objective = ConfigDict()
    config.objective.name = "cpc"  # or "nt_xent": both views in one pool, N = 2B − 1
    config.objective.symmetric = True  # also pick the x of each y (cpc)
    config.objective.distractors = "all"  # or "other_devices": N = B − b + 1
    config.objective.num_distractors = 0  # K drawn at random for each x, N = K + 1 (cpc); 0 for all that there are
    config.objective.method = "auto"  # or "dense", "gather", "blockwise", "ring": how the scores are computed
    config.objective.block_size = 0  # side of a tile; 0 chooses

    config.optimizer = ConfigDict()
    config.optimizer.name = "adamw"  # or "sgd" (momentum), "lars"
    config.optimizer.learning_rate = 2e-3  # the peak, after warm-up; then a cosine to zero
    config.optimizer.learning_rate_scaling = "none"  # or "linear": times B / 256; "sqrt": times √B
    config.optimizer.warmup_steps = 100
    config.optimizer.weight_decay = 0.1  # none on biases and norms
    config.optimizer.momentum = 0.9  # sgd, lars
    config.optimizer.gradient_clip = 0.0  # largest global norm of a gradient; 0 does not clip
    config.optimizer.average_decay = 0.0  # of a moving average of the weights, which is then evaluated; 0 for none
    config.optimizer.probe_learning_rate = 1e-3  # of a linear probe beside the encoder, no gradient to it; 0 for none

    config.checkpoint = ConfigDict()
    config.checkpoint.every_steps = 500
    config.checkpoint.keep = 2

    config.log = ConfigDict()
    config.log.every_steps = 10

    config.evaluation = ConfigDict()
    config.evaluation.every_steps = 250  # held-out bound on validation pairs, for the curve
    config.evaluation.num_pairs = 10_240  # independent pairs for each held-out bound
    config.evaluation.views = 4  # single frames drawn of each image for the probes
    config.evaluation.most_images = 0  # training images that the probes learn from; 0 for all
    config.evaluation.knn_neighbours = 20
    config.evaluation.knn_temperature = 0.07  # weight exp(cosine / temperature), arXiv:1805.01978
    return config.lock()
