"""SimCLR on ImageNet with a ResNet-50: arXiv:2002.05709 at batch 4096 and 100 epochs, with LARS.

    python -m mi_coding.main --config=configs/simclr_imagenet.py --config.data.source=folder:PATH

Made for a pod or eight large GPUs; only its first steps were run, on images made for a test. The paper reports a linear
probe of 64.6 % top-1 for this batch and length (figure 9), 69.3 % for 1,000 epochs. PATH holds train/CLASS and
val/CLASS, as ImageNet is unpacked; the 50,000 images of val are the test split and 10 % of train the validation split.
Images are stored as squares of 256 pixels around their middle before the random crop, so the borders of long images are
never shown; the paper crops whole images.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Every key the run has, with its unit or its source."""
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 4096  # B, pairs in a step on all devices together; N = B candidates
    config.microbatch_size = 0  # pairs that a device encodes at a time; 0 for all: less memory, the same N and loss
    config.num_steps = 0  # training ends after num_steps or num_epochs, whichever comes first; 0 for no such end
    config.num_epochs = 100.0  # an epoch is as many pairs as there are training images
    config.steps_per_call = 0  # steps that run on the devices in one call; 0 chooses
    config.spmd = "shard_map"  # or "pmap": how one step runs on all devices; the numbers are the same

    config.data = ConfigDict()
    config.data.source = "tfds:imagenet2012"  # or "folder:PATH"
    config.data.image_size = 256  # pixels: the shorter side is resized to it, the middle square cut out; 0 keeps it
    config.data.channels = 3  # 1 or 3 converts to grey or colour; 0 keeps what the images have
    config.data.placement = "stream"  # read batch by batch; or "memory": all images on the devices; or "auto"
    config.data.num_workers = 16  # processes that decode a stream; 0 decodes in this one

    config.pairs = ConfigDict()
    config.pairs.name = "augmentations"  # x and y are two random modifications of one image
    config.pairs.preset = "simclr_imagenet"  # or "simclr_cifar10", "gray28", "custom": which modifications
    config.pairs.size = 224  # pixels, side of x and y; 0 for the images' own
    config.pairs.strength = 1.0  # of the colour jitter: brightness, contrast, saturation 0.8, hue 0.2, times this
    config.pairs.min_area = 0.08  # smallest share of the image that a crop shows
    config.pairs.flip = 0.5  # probability, as are the next four
    config.pairs.jitter = 0.8
    config.pairs.gray = 0.2  # not in gray28
    config.pairs.blur = 0.5  # in simclr_imagenet
    config.pairs.mask = 0.0  # in gray28
    config.pairs.order = "random"  # of the four parts of the jitter; or "fixed"
    config.pairs.steps = ()  # of "custom", such as ({"name": "rotation", "degrees": 20.0, "p": 0.5}, …)
    config.pairs.distinct = True  # each image once an epoch, as in the paper; the bound of such a batch is none

    config.encoder = ConfigDict()
    config.encoder.name = "resnet50"  # or "resnet18", "resnet34", "convnet"
    config.encoder.widths = (32, 64, 128)  # convnet: channels of each convolution
    config.encoder.feature_dim = 256  # convnet: what the probe reads
    config.encoder.grid = 1  # convnet: means over grid × grid cells; 1 does not see where things are
    config.encoder.activation = "relu"  # or "smelu", which is smooth: convnet, head
    config.encoder.stem = "imagenet"  # resnets: or "cifar"
    config.encoder.width_multiplier = 1.0  # resnets: times the paper's channels
    config.encoder.dtype = "bfloat16"  # or "float32": of the convolutions; parameters and features stay float32
    config.encoder.head_layers = 2  # 1 to 3
    config.encoder.head_batch_norm = True  # on the head's hidden layers
    config.encoder.head_width = 2048
    config.encoder.code_dim = 128  # D

    config.critic = ConfigDict()
    config.critic.name = "inner_product"  # or "bilinear": z_xᵀ W z_y
    config.critic.normalize = True  # the cosine instead of the plain product
    config.critic.temperature = 0.1  # divides the scores

    config.objective = ConfigDict()
    config.objective.name = "nt_xent"  # both views in one pool, N = 2B − 1; or "cpc"
    config.objective.symmetric = True  # also pick the x of each y (cpc)
    config.objective.distractors = "all"  # or "other_devices": N = B − b + 1
    config.objective.num_distractors = 0  # K drawn at random for each x, N = K + 1 (cpc); 0 for all that there are
    config.objective.method = "auto"  # or "dense", "gather", "blockwise", "ring": how the scores are computed
    config.objective.block_size = 0  # side of a tile; 0 chooses

    config.optimizer = ConfigDict()
    config.optimizer.name = "lars"  # or "sgd" (momentum), "adamw"
    config.optimizer.learning_rate = 0.3  # at B = 256, the peak after warm-up; then a cosine to zero (section 2.2)
    config.optimizer.learning_rate_scaling = "linear"  # times B / 256; or "sqrt", with 0.075 (B.1); "none"
    config.optimizer.warmup_steps = 2815  # 10 epochs; a tenth of the images is for validation
    config.optimizer.weight_decay = 1e-6  # none on biases and norms
    config.optimizer.momentum = 0.9  # sgd, lars
    config.optimizer.gradient_clip = 0.0  # largest global norm of a gradient; 0 does not clip
    config.optimizer.average_decay = 0.0  # of a moving average of the weights, which is then evaluated; 0 for none
    config.optimizer.probe_learning_rate = 1e-3  # of a linear probe beside the encoder, no gradient to it; 0 for none

    config.checkpoint = ConfigDict()
    config.checkpoint.every_steps = 1000
    config.checkpoint.keep = 2

    config.log = ConfigDict()
    config.log.every_steps = 10

    config.evaluation = ConfigDict()
    config.evaluation.every_steps = 2000  # held-out bound on validation pairs, for the curve
    config.evaluation.num_pairs = 10_240  # independent pairs for each held-out bound
    config.evaluation.views = 1  # the image itself is the view: more would be copies
    config.evaluation.most_images = 0  # training images that the probes learn from; 0 for all
    config.evaluation.knn_neighbours = 200
    config.evaluation.knn_temperature = 0.1  # weight exp(cosine / temperature), arXiv:1805.01978
    return config.lock()
