"""Deep co-training on handwritten digits: one symbol, from two random modifications of an image.

    python -m mi_coding.main --config=configs/cotraining.py

Six codes with ten values on one encoder; held-out information chooses one. Brightness is one of the modifications on
purpose: it is what two frames of a moving digit share most plainly, and codes of such pairs told 1.5 nats and hardly
anything of the digit.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Every key the run has, with its unit or its source."""
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 256  # B, pairs in a step on all devices together
    config.microbatch_size = 0  # pairs that a device encodes at a time; 0 for all: less memory, the same loss
    config.num_steps = 1500  # training ends after num_steps or num_epochs, whichever comes first; 0 for no such end
    config.num_epochs = 0.0  # an epoch is as many pairs as there are training images
    config.steps_per_call = 0  # steps that run on the devices in one call; 0 chooses
    config.spmd = "shard_map"  # or "pmap": how one step runs on all devices; the numbers are the same

    config.data = ConfigDict()
    config.data.source = "digits"  # the 1,797 digits inside scikit-learn; or "tfds:NAME", "folder:PATH"
    config.data.image_size = 16  # pixels: the shorter side is resized to it, the middle square cut out; 0 keeps it
    config.data.channels = 0  # 1 or 3 converts to grey or colour; 0 keeps what the images have
    config.data.placement = "auto"  # or "memory", "stream": all images on the devices, or read batch by batch
    config.data.num_workers = 2  # processes that decode a stream; 0 decodes in this one

    config.pairs = ConfigDict()
    config.pairs.name = "augmentations"  # x and y are two random modifications of one image
    config.pairs.preset = "gray28"  # or "simclr_imagenet", "simclr_cifar10", "custom": which modifications
    config.pairs.size = 0  # pixels, side of x and y; 0 for the images' own
    config.pairs.strength = 0.5  # of the colour jitter: brightness, contrast, saturation 0.8, hue 0.2, times this
    config.pairs.min_area = 0.25  # smallest share of the image that a crop shows
    config.pairs.flip = 0.0  # probability, as are the next four
    config.pairs.jitter = 0.8
    config.pairs.gray = 0.0  # not in gray28
    config.pairs.blur = 0.0  # in simclr_imagenet
    config.pairs.mask = 0.5  # in gray28
    config.pairs.order = "random"  # of the four parts of the jitter; or "fixed"
    config.pairs.steps = ()  # of "custom", such as ({"name": "rotation", "degrees": 20.0, "p": 0.5}, …)
    config.pairs.distinct = False  # True keeps twins out of a training batch

    config.encoder = ConfigDict()
    config.encoder.name = "convnet"  # or "resnet18", "resnet34", "resnet50"
    config.encoder.widths = (32, 64, 128)  # convnet: channels of each convolution
    config.encoder.feature_dim = 256  # convnet: what the probe reads
    config.encoder.grid = 1  # convnet: means over grid × grid cells; 1 does not see where things are
    config.encoder.activation = "relu"  # or "smelu", which is smooth: convnet, head
    config.encoder.stem = "cifar"  # resnets: or "imagenet"
    config.encoder.width_multiplier = 1.0  # resnets: times the paper's channels
    config.encoder.dtype = "float32"  # or "bfloat16": of the convolutions; parameters and features stay float32
    config.encoder.head_layers = 2  # 1 to 3
    config.encoder.head_batch_norm = True  # on hidden layers of the head: without it all codes begin as nearly one
    config.encoder.head_width = 256

    config.code = ConfigDict()
    config.code.num_symbols = 1  # M
    config.code.num_values = 10  # K, values of a symbol
    config.code.num_heads = 6  # R, codes on one encoder, each a start of its own; held-out pairs choose one
    config.code.spread = 0.0  # standard deviation of every logit over a batch; 0 leaves it free
    config.code.prior = "independent"  # or "markov", "autoregressive": P(z), what memory is charged by
    config.code.prior_order = 1  # markov: symbols before a symbol that it depends on
    config.code.prior_hidden = 0  # autoregressive: hidden units; 0 for logistic regressions
    config.code.conditional = "independent"  # or "markov", "autoregressive": P(z|z'), what is told by the other half
    config.code.conditional_order = 1
    config.code.conditional_hidden = 0
    config.code.samples = 1  # autoregressive: codes drawn for each example

    config.objective = ConfigDict()
    config.objective.name = "cotraining"  # (1 − β) H(z_x) − H(z_x|z_y) is maximised
    config.objective.beta = 0.0  # β, what a nat of memory costs in nats of information
    config.objective.betas = ()  # another β for each of the R codes, in turn; () for beta
    config.objective.balance = 1.0  # so much more than 1 − β H(z_x) counts at first, no more from half the run on
    config.objective.symmetric = True  # also code y given x

    config.optimizer = ConfigDict()
    config.optimizer.name = "adamw"  # or "sgd" (momentum), "lars"
    config.optimizer.learning_rate = 2e-3  # the peak, after warm-up; then a cosine to zero
    config.optimizer.learning_rate_scaling = "none"  # or "linear": times B / 256; "sqrt": times √B
    config.optimizer.warmup_steps = 100
    config.optimizer.weight_decay = 0.1  # none on biases and norms
    config.optimizer.momentum = 0.9  # sgd, lars
    config.optimizer.gradient_clip = 0.0  # largest global norm of a gradient; 0 does not clip
    config.optimizer.average_decay = 0.0  # of a moving average of the weights, which is then evaluated; 0 for none
    config.optimizer.refit = True  # sets P(z) to its best for each batch, and P(z|z') where that has a closed form
    config.optimizer.prior_steps = 0  # of Adam, for hidden units of an autoregressive prior in each step of the encoder
    config.optimizer.prior_learning_rate = 1e-2  # of these; decays to a tenth
    config.optimizer.conditional_learning_rate = 2e-2  # Adam, of the rest of an autoregressive P(z|z')

    config.checkpoint = ConfigDict()
    config.checkpoint.every_steps = 500
    config.checkpoint.keep = 2

    config.log = ConfigDict()
    config.log.every_steps = 10

    config.evaluation = ConfigDict()
    config.evaluation.every_steps = 250  # held-out figures on validation pairs, for the curve
    config.evaluation.num_pairs = 10_240  # independent pairs for each held-out figure
    config.evaluation.views = 1  # the image itself is the view: more would be copies
    config.evaluation.most_images = 0  # training images that the probes learn from; 0 for all
    config.evaluation.knn_neighbours = 20
    config.evaluation.knn_temperature = 0.07  # weight exp(cosine / temperature), arXiv:1805.01978
    return config.lock()
