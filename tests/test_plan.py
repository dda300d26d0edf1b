"""From a config to objects: every key reaches the option that it names, and wrong keys are refused."""

import json

import pytest
from commands import CPC, ROOT, read_config

from mi_coding import main
from mi_coding.errors import InputError
from mi_coding.options import options_of, values_of
from mi_coding.runs import build, choices

ARRAYS = str(ROOT / "configs" / "cpc_arrays.py")
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
KINDS = [(choice, name) for choice in choices.CHOICES for name in choice.table]


def other_value(spec, value):
    """A value of an option that is not the one it has."""
    if spec.type is bool:
        return not value
    if hasattr(spec.rule, "choices"):
        return next((choice for choice in spec.rule.choices if choice != value), value)
    if spec.type is tuple:
        return (*value, 3) if value else value
    if spec.type is str:
        return "elsewhere"
    for other in (value + 1, value / 2, value + 1 / 64):
        if isinstance(other, spec.type) and not (spec.rule and spec.rule.complaint(other)):
            return other
    return value


@pytest.mark.parametrize(("choice", "name"), KINDS, ids=lambda part: getattr(part, "key", part))
def test_every_key_of_a_kind_reaches_the_field_that_declares_it(choice, name):
    kind = choice.table[name]
    for spec in options_of(kind):
        read = build.read(kind, {})
        value = other_value(spec, values_of(read)[spec.key])
        if value == values_of(read)[spec.key]:
            continue  # a list of dictionaries, or a table of one name
        try:
            changed = build.read(kind, {spec.key: value})
        except InputError:
            continue  # options that must go together, which tests of their kind try
        differing = {key for key, old in values_of(read).items() if values_of(changed)[key] != old}
        assert differing >= {spec.key}
        assert values_of(changed)[spec.key] == value


def test_the_encoder_of_y_has_its_own_kind_and_options():
    config = read_config(config=ARRAYS) | {
        "encoder_y.name": "signal",
        "encoder_y.widths": (4, 8),
        "encoder.widths": (2,),
    }
    plan = build.plan(config, typed={"encoder_y.widths"})
    assert (plan.encoder.widths, plan.encoder_y.widths) == ((2,), (4, 8))
    assert plan.config["encoder_y.feature_dim"] == 256
    assert build.plan(plan.config).config == plan.config
    same = build.plan(read_config(config=ARRAYS))
    assert same.encoder_y is None
    assert [key for key in same.config if key.startswith("encoder_y")] == ["encoder_y.name"]


@pytest.mark.parametrize(
    ("config", "changes", "words"),
    [
        (CPC, {"encoder_y.name": "mlp"}, r"config.encoder_y.name is an option of pairs.name='given', which this"),
        (ARRAYS, {"encoder_y.widths": (4,)}, r"encoder_y.widths is an option of encoder_y.name='convnet' or .*, which"),
        (ARRAYS, {"encoder_y.name": "mpl"}, r"config.encoder_y.name='mpl' is unknown; .* did you mean 'mlp'"),
        (
            ARRAYS,
            {"encoder_y.name": "mlp", "encoder_y.widths": (0,)},
            r"config.encoder_y.widths=\(0,\); expected whole numbers > 0",
        ),
        (
            ARRAYS,
            {"encoder_y.name": "mlp", "pairs.encoders": "shared"},
            r"config.encoder_y.name='mlp' is for halves with separate encoders",
        ),
    ],
)
def test_what_an_encoder_of_y_cannot_be_is_told(config, changes, words):
    with pytest.raises(InputError, match=words):
        build.plan(read_config(config=config) | changes, typed=set(changes))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_complete_config_describes_the_same_run_as_its_file(path):
    plan = build.plan(read_config(config=path))
    again = build.plan(json.loads(json.dumps(plan.nested_config)))
    assert json.loads(json.dumps(again.config)) == json.loads(json.dumps(plan.config))
    assert plan.ignored == again.ignored == ()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_file_names_only_what_makes_the_experiment(path):
    assert len(read_config(config=path)) <= 35
    body = path.read_text(encoding="utf-8").split('"""', 2)[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 35


def test_an_option_of_another_kind_is_refused_if_typed_else_ignored():
    config = read_config()
    with pytest.raises(InputError, match=r"config.encoder.stem is an option of encoder.name='resnet18' or .*, which"):
        build.plan(config | {"encoder.stem": "imagenet"}, typed={"encoder.stem"})
    assert build.plan(config | {"encoder.stem": "imagenet", "pairs.blur": 0.0}).ignored == (
        "encoder.stem",
        "pairs.blur",
    )
    with pytest.raises(InputError, match=r"config\.encoder\.stem='cifar10' is unknown; .*did you mean 'cifar'"):
        build.plan(config | {"encoder.stem": "cifar10"})


def test_a_key_that_no_kind_has_is_refused_with_the_nearest():
    with pytest.raises(
        InputError, match=r"config.pairs.gapp is not an option of any kind; did you mean config.pairs.gap\?"
    ):
        build.plan(read_config() | {"pairs.gapp": 1.0})


def test_two_kinds_that_share_a_key_agree_about_its_type():
    types = {}
    for choice in choices.CHOICES:
        for kind in choice.table.values():
            for spec in options_of(kind):
                assert types.setdefault(spec.key, spec.type) is spec.type, spec.key
                assert spec.meaning, spec.key


def test_print_config_names_every_option_with_where_it_comes_from(capsys):
    assert main.main(["main", f"--config={CPC}", "--print_config", "--config.seed=3"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    plan = build.plan(read_config("--config.seed=3"))
    assert list(lines) == [f"config.{key}" for key in plan.config]
    assert " 3 " in lines["config.seed"]
    assert "command line" in lines["config.seed"]
    assert "file" in lines["config.pairs.gap"].replace("profile", "")
    assert "default" in lines["config.spmd"]
    assert "frames per second" in lines["config.pairs.frame_rate"]
