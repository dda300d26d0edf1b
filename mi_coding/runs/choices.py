"""The keys of a config that choose kinds, and the tables that they choose from."""

from collections import ChainMap
from collections.abc import Mapping
from typing import Any, NamedTuple

from mi_coding.encoders import ENCODERS, Backbone
from mi_coding.errors import InputError, Setting
from mi_coding.methods import METHODS
from mi_coding.options import OneOf, OptionSpec, options_of, read, values_of
from mi_coding.pairs import PAIRS

SAME = "same"
"""Name by which the encoder of y is of the same kind as that of x."""


class Choice(NamedTuple):
    """A key that names one of several kinds.

    Attributes:
        default: the name for configs that do not have the key; None if the key is required.
        moved: (from, to), if the kind's options have keys of another group here, such as ("encoder", "encoder_y").
    """

    key: str
    table: Mapping[str, type]
    meaning: str
    default: str | None = None
    moved: tuple[str, str] | None = None

    @property
    def spec(self) -> OptionSpec:
        """The key as an option."""
        return OptionSpec(self.key, "name", str, OneOf(self.table), self.default, self.meaning)

    def kind(self, config: Mapping[str, Any]) -> type:
        """The kind that a config names.

        Raises:
            InputError: where it names none, or one that is not in the table.
        """
        if self.key not in config and self.default is None:
            raise InputError(Setting(self.key), f" is missing in the config; expected {self.spec.rule}")
        return self.table[self.spec.checked(config.get(self.key, self.default))]

    def options(self, kind: type) -> list[OptionSpec]:
        """The options of a kind under the keys that they have here."""
        return [spec._replace(key=self._here(spec.key)) for spec in options_of(kind)]

    def read(self, config: Mapping[str, Any], **parts: Any) -> Any:
        """An object of the kind that a config names, with its options; see `options.read`."""
        kind = self.kind(config)
        own = {spec.key: config[here] for spec in options_of(kind) if (here := self._here(spec.key)) in config}
        try:
            return read(kind, own, **parts)
        except InputError as error:
            raise InputError(*map(self._named_here, error.parts)) from None

    def values(self, instance: Any) -> dict[str, Any]:
        """Key here → value of all options of an object of this choice."""
        return {self._here(key): value for key, value in values_of(instance).items()}

    def _named_here(self, part: str | Setting) -> str | Setting:
        return part._replace(key=self._here(part.key)) if isinstance(part, Setting) else part

    def _here(self, key: str) -> str:
        return key.replace(*(f"{group}." for group in self.moved), 1) if self.moved else key


PAIRS_CHOICE = Choice("pairs.name", PAIRS, "how ⟨x, y⟩ is drawn")
ENCODER_CHOICE = Choice("encoder.name", ENCODERS, "what makes features of an example")
METHOD_CHOICE = Choice("objective.name", METHODS, "how codes are learnt")
ENCODER_Y_CHOICE = Choice(
    "encoder_y.name",
    ChainMap({SAME: Backbone}, ENCODERS),
    "what makes features of y; same: kind and options of that of x; the head's options are always those of x",
    default=SAME,
    moved=("encoder", "encoder_y"),
)
"""For given pairs only, whose halves may have separate encoders."""
CHOICES = (PAIRS_CHOICE, ENCODER_CHOICE, METHOD_CHOICE)


def taken_over(before: Mapping[str, Any], overrides: Mapping[str, Any]) -> str:
    """A line on the options that an encoder chosen by overrides takes over from that of a config; "" if there are none.

    Only the encoder's own options: those of its head, and of pairs and objectives, mean the same for every kind.

    >>> config = {"encoder.name": "mlp", "encoder.widths": (256, 256), "encoder.code_dim": 8}
    >>> taken_over(config, {"encoder.name": "convnet"})
    "encoder.name='convnet' takes over what the config says for 'mlp': encoder.widths=(256, 256)"
    >>> taken_over(config, {"encoder.name": "convnet", "encoder.widths": (32, 64)})
    ''
    """
    key = ENCODER_CHOICE.key
    old, new = (ENCODER_CHOICE.table.get(config.get(key)) for config in (before, overrides))
    if None in (old, new) or old is new:
        return ""
    shared = {spec.key for spec in options_of(old)} & {spec.key for spec in options_of(new)}
    kept = ", ".join(f"{one}={before[one]!r}" for one in sorted(shared & before.keys() - overrides.keys()))
    if not kept:
        return ""
    return f"{key}={overrides[key]!r} takes over what the config says for {before[key]!r}: {kept}"
