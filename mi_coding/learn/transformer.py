"""`ContrastiveEncoder`: an encoder as a transformer of scikit-learn."""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from mi_coding.learn.choose import describe
from mi_coding.learn.fit import config_for
from mi_coding.learn.train import Config, carry_out
from mi_coding.runs.build import plan
from mi_coding.runs.trained_encoder import LAYERS, TrainedEncoder

_FEWEST = 10
"""Rows, of which at least two are held out for validation and two for a test."""


class ContrastiveEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features learnt without labels, as a step of a scikit-learn pipeline.

    Rows of a table [n, D] are learnt by SimCLR with values of other rows (SCARF, arXiv:2106.15147); images [n, H, W] or
    [n, H, W, C], uint8 or floats in [0, 1], by SimCLR with crops and colours. A fifth of the examples is held out
    of training, and a tenth for validation, as in `mi_coding.fit`; y is never used.

    >>> table = np.random.default_rng(0).normal(size=(40, 5))
    >>> encoder = ContrastiveEncoder(num_steps=2, batch_size=8, overrides={"encoder.widths": (8,)})
    >>> encoder.fit(table).transform(table).shape
    (40, 256)

    Args:
        config: used in place of the config that suits the data, see `mi_coding.train`.
        layer: "features", before the projection head, or "codes".
        num_steps, batch_size, learning_rate: of training; None for values that suit the data.
        random_state: an int, a numpy RandomState, or None for a different seed every time.
        overrides: key → value of the config, such as {"pairs.rate": 0.4}.
        verbose: whether progress is printed.

    Attributes:
        encoder_: the `TrainedEncoder`.
        n_features_in_: D of a table.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        layer: str = "features",
        num_steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        random_state: Any = 0,
        overrides: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ):
        self.config = config
        self.layer = layer
        self.num_steps = num_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.overrides = overrides
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learns from X; y, which a pipeline passes, is ignored.

        Args:
            X: float[n, D], or images.
        Raises:
            ValueError: in one line, for data or options that cannot work.
            KeyboardInterrupt: at Ctrl-C, which ends training after the current step.
        """
        X = self._validated(X, reset=True)
        if self.layer not in LAYERS:
            raise ValueError(f"layer={self.layer!r}; expected one of {', '.join(LAYERS)}")
        folder = Path(tempfile.mkdtemp(prefix="mi_coding-"))
        try:
            with nullcontext() if self.verbose else redirect_stdout(StringIO()):
                self.encoder_ = self._learnt(X, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """float32[n, F]: features, or codes, of n examples."""
        check_is_fitted(self)
        codes = self.encoder_(self._validated(X, reset=False))
        return codes.reshape(len(codes), -1)  # places are flattened, too

    def _learnt(self, X: np.ndarray, folder: Path) -> TrainedEncoder:
        typed = {
            "num_steps": self.num_steps,
            "batch_size": self.batch_size,
            "optimizer.learning_rate": self.learning_rate,
        }
        typed = {key: value for key, value in typed.items() if value is not None} | dict(self.overrides or {})
        seed = int(check_random_state(self.random_state).randint(2**31)) if self._is_drawn else self.random_state
        typed = {"seed": seed} | typed
        given = describe(X)
        keys = config_for(given, self.config, typed)
        if self.layer == "codes" and plan(keys).method.codes_are_chosen:
            hint = "; expected layer='features', or overrides={'code.num_heads': 1}"
            raise ValueError(f"layer='codes' of several codes, among which only an evaluation chooses{hint}")
        run = carry_out(keys, folder, typed=typed, source=given.source, evaluates=False)
        if run.stopped_by:  # else a search would go on with an encoder that is half trained
            raise KeyboardInterrupt(f"stopped after step {run.step:,}; nothing is kept")
        return TrainedEncoder(run.restored, layer=self.layer)

    @property
    def _is_drawn(self) -> bool:
        return not isinstance(self.random_state, int | np.integer)

    @property
    def _n_features_out(self) -> int:
        return self.encoder_.dim

    def _validated(self, X: Any, *, reset: bool) -> np.ndarray:
        if len(getattr(X, "shape", ())) in (3, 4):  # images
            return check_array(X, allow_nd=True, dtype=None)
        X = validate_data(self, X, reset=reset, dtype=(np.float64, np.float32))
        if reset and len(X) < _FEWEST:
            raise ValueError(f"n_samples={len(X)}; expected at least {_FEWEST} rows: some are kept out of training")
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # features are float32 whatever the table is
        return tags
