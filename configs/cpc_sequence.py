"""CPC of sequences, as in the paper: handwritten digits read row by row, each row predicted from those above it.

    python -m mi_coding.main --config=configs/cpc_sequence.py

An encoder of each step, a causal context (a gated recurrent unit), and a bilinear critic for each of K = 4 steps ahead
(arXiv:1807.03748).

Two CPU cores, 2 minutes. Expect held-out bounds of 2.9, 2.0, 1.6 and 1.3 nats for 1 to 4 steps ahead, of the 5.55 that
N = 256 allows, and a linear probe of 0.94 for the digit in an unseen image (untrained encoder 0.90, raw pixels 0.80).

Clips, as frames of an image that moves: --config.pairs.name=clips --config.encoder.name=convnet
--config.encoder.widths=(16,32). Signals of your own, float[n, T] or [n, T, C] under the name `sequences` in a file of
np.savez, such as a second of audio at 16 kHz in steps of 10 ms:

    … --config.data.source=npz:PATH --config.pairs.window=0 --config.pairs.step_size=160 --config.objective.num_ahead=12
      --config.objective.num_times=16 --config.batch_size=64
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Every key the run has, with its unit or its source."""
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 256  # B, sequences in a step on all devices together; N = B candidates
    config.num_steps = 1000  # training ends after num_steps or num_epochs, whichever comes first; 0 for no such end
    config.num_epochs = 0.0  # an epoch is as many sequences as there are to train on
    config.steps_per_call = 0  # steps that run on the devices in one call; 0 chooses
    config.spmd = "shard_map"  # or "pmap": how one step runs on all devices; the numbers are the same

    config.data = ConfigDict()
    config.data.source = "digits"  # an image is a sequence of its rows; or "npz:PATH" with `sequences`
    config.data.image_size = 0  # pixels: the shorter side is resized to it, the middle square cut out; 0 keeps the size
    config.data.channels = 0  # 1 or 3 converts to grey or colour; 0 keeps what the images have
    config.data.placement = "auto"  # or "memory", "stream": all examples on the devices, or read batch by batch
    config.data.num_workers = 2  # processes that decode a stream; 0 decodes in this one

    config.pairs = ConfigDict()
    config.pairs.name = "sequences"  # an example along its first axis; or "clips": an image that moves and bounces
    config.pairs.step_size = 1  # sequences: samples of a step, which are rows of an image
    config.pairs.num_steps = 0  # sequences: T, steps of a cut at a random place; 0 takes the whole example
    config.pairs.scale = 1.0  # sequences: samples are divided by it, about their standard deviation
    config.pairs.window = 10  # pixels, side of the square that an image stands or moves in; 0, sequences: as it is
    config.pairs.clip_seconds = 1.6  # clips: T is clip_seconds times frame_rate
    config.pairs.frame_rate = 5.0  # clips: frames per second
    config.pairs.speed = 8.0  # clips: pixels per second
    config.pairs.distinct = False  # True keeps twins out of a training batch; its own bound is then none

    config.encoder = ConfigDict()
    config.encoder.name = "mlp"  # of a step; or "convnet" where steps are images
    config.encoder.widths = (128,)  # mlp: of the hidden layers; convnet: channels of each convolution
    config.encoder.feature_dim = 128  # of a step
    config.encoder.grid = 1  # convnet: means over grid × grid cells; 1 does not see where things are
    config.encoder.activation = "relu"  # or "smelu", which is smooth: convnet, mlp
    config.encoder.dtype = "float32"  # or "bfloat16": of the layers that encode a step
    config.encoder.code_dim = 32  # D, the code of a step
    config.encoder.context_dim = 128  # H, what is kept of all steps so far
    config.encoder.feature = "mean"  # what a probe reads of a sequence: its "last" context, or their "mean"

    config.critic = ConfigDict()
    config.critic.normalize = False  # True takes the cosine of prediction W_k c_t and code
    config.critic.temperature = 1.0  # divides the scores

    config.objective = ConfigDict()
    config.objective.name = "cpc_ahead"
    config.objective.num_ahead = 4  # K: one critic for each of 1 … K steps ahead
    config.objective.num_times = 0  # steps that a training step predicts, drawn at random; 0 for all that have K before
    config.objective.other_times = False  # True: steps of other times distract too, N = B · times; then no bound
    config.objective.symmetric = False  # True: also pick the context of each step
    config.objective.distractors = "all"  # or "other_devices": N = B − b + 1
    config.objective.method = "auto"  # or "dense", "gather", "blockwise", "ring": how the scores are computed
    config.objective.block_size = 0  # side of a tile; 0 chooses

    config.optimizer = ConfigDict()
    config.optimizer.name = "adamw"  # or "sgd" (momentum), "lars"
    config.optimizer.learning_rate = 1e-3  # the peak, after warm-up; then a cosine to zero
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
    config.evaluation.every_steps = 250  # held-out bound on validation sequences, for the curve
    config.evaluation.num_pairs = 10_240  # independent sequences for each held-out bound
    config.evaluation.views = 1  # cuts of each sequence for the probes; more than one where num_steps cuts
    config.evaluation.most_images = 0  # training sequences that the probes learn from; 0 for all
    config.evaluation.knn_neighbours = 20
    config.evaluation.knn_temperature = 0.07  # weight exp(cosine / temperature), arXiv:1805.01978
    return config.lock()
