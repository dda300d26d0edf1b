"""`fit`: an encoder of images, films, tables or pairs in one call."""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mi_coding.learn.choose import Given, choose, describe
from mi_coding.learn.train import Config, carry_out, read_config, spelled_as_arguments
from mi_coding.runs.build import known_options, plan
from mi_coding.runs.choices import taken_over
from mi_coding.runs.run import runs_on_cpu
from mi_coding.runs.trained_encoder import TrainedEncoder


def config_for(given: Given, config: Config | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The flat config of a fit: the one that is named, or the one that suits the data, which is then printed.

    Raises:
        InputError: for incompatible keys, before anything is printed.
    """
    known = known_options()
    overrides = {key: known[key].checked(value) if key in known else value for key, value in overrides.items()}
    chosen = None if config is not None else choose(given, overrides, on_cpu=runs_on_cpu())
    _, before = read_config(chosen.config if chosen else config)
    keys = before | {"data.source": str(given.source)} | dict(chosen.overrides if chosen else overrides)
    plan(keys, overrides)
    for line in (chosen and f"fit: {chosen.line}", taken_over(before, overrides)):
        if line:
            print(line, flush=True)
    return keys


def fit(
    x: Any,
    y: Any = None,
    *,
    labels: Any = None,
    config: Config | None = None,
    workdir: str | Path | None = None,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    evaluate: bool = True,
    **overrides: Any,
) -> TrainedEncoder:
    """Trains an encoder on your data; chooses config, image size, batch and steps to suit it, and prints them.

    Ctrl-C ends training after the current step, or the evaluation, and returns the encoder so far; before the first
    step it raises KeyboardInterrupt.

    >>> images = np.random.default_rng(0).integers(0, 255, (60, 16, 16, 1)).astype(np.uint8)
    >>> encoder = fit(images, evaluate=False, **SHORT)
    fit: config simclr for 60 images: data.image_size 16, data.channels 1, ...
    >>> encoder(images).shape, encoder.features(images).shape
    ((60, 4), (60, 16))

    Args:
        x: images [n, H, W, C] or [n, H, W], uint8 or floats in [0, 1]; the rows of a table, numbers [n, D]; a list of
            paths or of Pillow images; a source such as "folder:photos" or "video:clips/*.mp4"; or, with y, numbers
            [n, …].
        y: numbers [n, …] paired with x row by row, such as another recording of the same moment, also of another
            kind: images get an encoder for images, and vectors one for vectors.
        labels: int[n], classes from 0 on, only for the probes of the report; −1 where hidden.
        config: used in place of the config that suits the data, see `train`.
        workdir: where the run is kept, for its report and to continue it; by default a folder that is removed
            with the encoder, at the latest when the process ends.
        on_step: called after every step with its number and its metrics, such as "loss".
        evaluate: whether to evaluate the encoder on held-out data, and to write its report.
        overrides: key → value of the config, such as **{"optimizer.learning_rate": 1e-3}.
    Returns:
        The encoder, as returned by `load_encoder`: encoder(x) → codes float32[n, D]; encoder.features, encoder.summary,
        encoder.report.
    Raises:
        ValueError: in one line, for data, a config or a directory that cannot work.
    """
    with spelled_as_arguments():
        given = describe(x, y, labels)
        keys = config_for(given, config, overrides)
    folder = Path(workdir) if workdir else Path(tempfile.mkdtemp(prefix="mi_coding-"))
    again = f"fit(…, workdir={str(workdir)!r})" if workdir else ""
    how = {"typed": overrides, "on_step": on_step, "source": given.source, "evaluates": evaluate, "again": again}
    try:
        encoder = carry_out(keys, folder, **how).encoder
    except BaseException:
        if not workdir:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if not workdir:
        print(f"fit: {folder} is removed with the encoder; workdir= keeps the run and its report", flush=True)
        weakref.finalize(encoder, shutil.rmtree, folder, ignore_errors=True)
    return encoder
