"""Supervised contrast: NT-Xent whose true candidates are all views of the class, by the labels of training examples."""

from dataclasses import dataclass
from typing import Any

import jax

from mi_coding.encoders import Backbone
from mi_coding.methods.base import check_classes, check_labelled
from mi_coding.methods.nt_xent import NTXent
from mi_coding.objectives.supcon import supcon
from mi_coding.pairs import PairSampler


@dataclass(frozen=True, eq=False)
class SupCon(NTXent):
    """config.objective.name = "supcon"; held-out codes are judged by NT-Xent. Source: arXiv:2004.11362."""

    learns_labels = True
    is_bound = False

    def check(self, pairs: PairSampler, encoder: Backbone, batch_size: int, num_devices: int) -> None:
        super().check(pairs, encoder, batch_size, num_devices)
        check_labelled(self.name, pairs)

    def forecast(self) -> str:
        views = f"{self.num_candidates:,} views, {self.parts.num_classes:,} classes"
        return f"supervised contrast among {views}, {self.precision_in_words}; no bound"

    def check_labels(self, source: str, num_classes: int) -> None:
        check_classes(self.name, source, num_classes)

    def codes_loss(
        self,
        params: Any,
        z_x: jax.Array,
        z_y: jax.Array,
        *,
        labels: jax.Array | None,
        key: jax.Array,
        axis_name: str | None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        del key
        out = supcon(
            z_x,
            z_y,
            labels,
            num_classes=self.parts.num_classes,
            temperature=self.temperature_of(params),
            axis_name=axis_name,
            **self.tiling,
        )
        return out.loss, {"accuracy": out.accuracy} | self.logged_temperature(params)
