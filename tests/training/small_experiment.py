"""A very small experiment that goes through every part of a real one."""

from functools import partial

import mi_coding
from mi_coding import encoders, pairs
from mi_coding.critics import bilinear
from mi_coding.pairs.frames import Clips, frames
from mi_coding.training import optimizers
from mi_coding.training.contrastive import contrastive


def make_experiment(
    loss=None,
    *,
    batch_size=16,
    distinct=False,
    learning_rate=0.05,
    microbatch_size=None,
    num_classes=0,
    average_decay=0.0,
    streamed=False,
    separate=False,
):
    """Returns what `contrastive` does; `loss` is called with the axis name, and with the key if it takes one."""
    loss = loss or partial(mi_coding.cpc, normalize=True, temperature=0.2, symmetric=True)
    takes_key = not isinstance(loss, partial)

    def objective(z_x, z_y, *, key, axis_name):
        return loss(z_x, z_y, axis_name=axis_name, **({"key": key} if takes_key else {}))

    kind = frames(Clips(window=10))
    kind = pairs.labelled(kind) if num_classes else kind
    optimizer = optimizers.build(
        "sgd",
        learning_rate=learning_rate,
        warmup_steps=0,
        num_steps=100,
        weight_decay=1e-3,
        momentum=0.9,
        gradient_clip=1.0,
    )
    resident = partial(pairs.sample_pairs, kind=kind, distinct_among=batch_size if distinct else None)
    return contrastive(
        encoders.build("convnet", widths=(4, 8), feature_dim=12, head_width=8, code_dim=4),
        bilinear(),
        objective,
        partial(mi_coding.cpc, normalize=True, temperature=0.2),
        sample_pairs=partial(pairs.pairs_of_batch, kind=kind) if streamed else resident,
        optimizer=optimizers.with_own_rate(optimizer, "probe", 0.05) if num_classes else optimizer,
        batch_size=batch_size,
        code_dim=4,
        microbatch_size=microbatch_size,
        num_classes=num_classes,
        average_decay=average_decay,
        separate=separate,
    )
