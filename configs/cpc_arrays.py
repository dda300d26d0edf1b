"""CPC on given pairs: row i of an array x belongs to row i of an array y, such as two recordings of one moment.

    python -m mi_coding.main --config=configs/cpc_arrays.py --config.data.source=npz:PATH

The file is what np.savez("pairs.npz", x=x, y=y) writes: vectors or images, uint8 or floats, of one shape or of two; and
perhaps labels=…, classes from 0 on, for the probes. Vectors learn best with columns of about mean 0 and variance 1.

Two CPU cores, half a minute. Of 20,000 Gaussian pairs in 8 dimensions that share 2 or 4 nats, expect held-out bounds of
1.91 and 3.76. A warning says where pairs are learnt by heart; more weight_decay, fewer steps or more pairs help then.
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
    config.data.source = "npz:pairs.npz"  # a file with arrays x and y, and perhaps labels
    config.data.image_size = 0  # given pairs are taken as they are
    config.data.channels = 0
    config.data.placement = "auto"  # or "memory", "stream": all images on the devices, or read batch by batch
    config.data.num_workers = 2  # processes that decode a stream; 0 decodes in this one

    config.pairs = ConfigDict()
    config.pairs.name = "given"  # x and y are rows that belong together
    config.pairs.encoders = "separate"  # one for x and one for y; or "shared", where both have one shape
    config.pairs.distinct = False  # True keeps twins out of a training batch; its own bound is then none

    config.encoder = ConfigDict()
    config.encoder.name = "mlp"  # takes any shape; or "convnet", "resnet18", "resnet34", "resnet50" for images
    config.encoder.widths = (256, 256)  # mlp: of the layers before the last; convnet: channels
    config.encoder.feature_dim = 256  # mlp, convnet: what the probe reads
    config.encoder.grid = 1  # convnet: means over grid × grid cells; 1 does not see where things are
    config.encoder.activation = "relu"  # or "smelu", which is smooth: convnet, mlp, head
    config.encoder.stem = "cifar"  # resnets: or "imagenet"
    config.encoder.width_multiplier = 1.0  # resnets: times the paper's channels
    config.encoder.dtype = "float32"  # or "bfloat16": of the convolutions; parameters and features stay float32
    config.encoder.head_layers = 2  # 1 to 3
    config.encoder.head_batch_norm = False  # on the head's hidden layers
    config.encoder.head_width = 256
    config.encoder.code_dim = 64  # D

    config.critic = ConfigDict()
    config.critic.name = "inner_product"  # or "bilinear": z_xᵀ W z_y
    config.critic.normalize = False  # True: the cosine instead of the plain product
    config.critic.temperature = 1.0  # divides the scores; 0.1 suits cosines

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
    config.optimizer.weight_decay = 2.0  # none on biases and norms; vectors are soon learnt by heart with less
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
    config.evaluation.views = 1  # x itself is the view: more would be copies
    config.evaluation.most_images = 0  # training images that the probes learn from; 0 for all
    config.evaluation.knn_neighbours = 20
    config.evaluation.knn_temperature = 0.07  # weight exp(cosine / temperature), arXiv:1805.01978
    return config.lock()
