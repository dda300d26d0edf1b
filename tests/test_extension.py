"""One kind, one class, one table entry: a method, pairs, a source, an encoder and an evaluation from outside."""

import json
import sys
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import mi_coding
from mi_coding import data, embed, evaluate, main
from mi_coding.data.sources import SOURCES
from mi_coding.encoders import ENCODERS, Backbone
from mi_coding.evaluation import EVALUATORS, Evaluator
from mi_coding.evaluation.base import subsample
from mi_coding.methods import METHODS, Encoded, Method
from mi_coding.options import Positive, PositiveInt, option
from mi_coding.pairs import PAIRS, PairSampler
from mi_coding.reporting.page import Section
from mi_coding.reporting.results import group_rows, nats
from mi_coding.runs import build


@dataclass(frozen=True)
class Waves(data.Source):
    """toy:COUNT: waves of random phase."""

    scheme = "toy"
    example = "toy:80"

    def load(self, spec):
        del spec
        waves, count = self.waves(), int(self.argument)
        parts = np.split(waves, [count // 2, 3 * count // 4])
        return data.Dataset("toy", *(data.Split(part, None) for part in parts))

    def list_all(self, spec):
        del spec
        return data.Listing(data.Split(self.waves(), None))

    def waves(self):
        phase = np.random.default_rng(0).uniform(0, 6, (int(self.argument), 1))
        return np.sin(phase + np.arange(6)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Noisy(PairSampler):
    """The same wave twice, each with noise of its own."""

    level: Positive = option("pairs.level", 0.1, "standard deviation of the noise")

    evaluations = ()

    def pair(self, key, example):
        x, y = example + self.level * jax.random.normal(key, (2, *example.shape))
        return x, y

    def view(self, key, example):
        del key
        return example

    def describe(self):
        return "one wave with two noises"


class Dense(Backbone):
    """One layer."""

    features: PositiveInt = option("encoder.features", 5, "F")

    takes = "vectors"

    def can_take(self, shape):
        return len(shape) == 1

    @nn.compact
    def __call__(self, x, train, axis_name=None):
        return jnp.tanh(nn.Dense(self.features)(x))


@dataclass(frozen=True, eq=False)
class Regression(Method):
    """Codes of x predict those of y, and have unit variance."""

    weight: Positive = option("objective.weight", 1.0, "of the variance")

    def init(self, key, x, y):
        del y
        return self.parts.encoder.init(key, x, False)["params"], {}

    def loss(self, params, stats, key, x, y, axis_name):
        del key
        z_x, z_y = (self.encode(params, stats, half).codes for half in (x, y))
        moments = [jnp.mean((z_x - z_y) ** 2), jnp.mean(z_x), jnp.mean(z_x**2)]
        error, mean, square = jax.lax.pmean(moments, axis_name) if axis_name else moments
        loss = error + self.weight * (square - mean**2 - 1) ** 2
        return loss, ({"loss": loss, "mi_lower_bound": 0.0 * loss}, stats)

    def encode(self, params, stats, x, *, half="x"):
        del stats, half
        features = self.parts.encoder.apply({"params": params}, x, False)
        return Encoded(features, features)

    def forecast(self):
        return "codes that predict each other"


@dataclass(frozen=True)
class Spread(Evaluator):
    """How far codes of test examples spread."""

    most: PositiveInt = option("evaluation.most_spread", 50, "test examples")

    def evaluate(self, trained):
        split = subsample(trained.dataset.test, self.most)
        codes = trained.encoder("codes")(jnp.asarray(split.examples))
        return {"toy/spread": float(jnp.std(codes)), "toy/examples": len(split.examples)}

    def groups(self, summary):
        return [group_rows("toy group", summary, {"toy/spread": ("spread of the codes", nats)})]

    def sections(self, trained, summary):
        figure = Figure()
        figure.subplots().plot([0.0, summary["toy/spread"]])
        return [Section("Toy section", "Spread.", figure, "toy")]


CONFIG = """
from ml_collections import ConfigDict


def get_config():
    config = ConfigDict({"batch_size": 8, "num_steps": 4})
    config.data = {"source": "toy:80"}
    config.pairs = {"name": "noisy", "level": 0.2}
    config.encoder = {"name": "dense"}
    config.objective = {"name": "regression", "weight": 2.0}
    return config
"""


@pytest.fixture(autouse=True)
def tables(monkeypatch):
    for table, name, kind in (
        (SOURCES, "toy", Waves),
        (PAIRS, "noisy", Noisy),
        (ENCODERS, "dense", Dense),
        (METHODS, "regression", Regression),
        (EVALUATORS, "spread", Spread),
    ):
        monkeypatch.setitem(table, name, kind)


PLUGIN = """
from dataclasses import dataclass

from mi_coding.methods import METHODS
from mi_coding.methods.vicreg import VICReg
from mi_coding.options import NotNegative, option


@dataclass(frozen=True, eq=False)
class Plugged(VICReg):
    margin: NotNegative = option("objective.margin", 1.0, "of a plug-in")


METHODS["plugged"] = Plugged
"""


def test_a_config_registers_a_kind_from_a_module_beside_it_whose_options_can_be_overridden(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    for table in (sys.modules, METHODS):  # to be put back as they were
        monkeypatch.setitem(table, "plugged", None)
        del table["plugged"]
    (tmp_path / "plugged.py").write_text(PLUGIN)
    config = tmp_path / "config.py"
    config.write_text("import plugged\n" + CONFIG.replace('"regression", "weight": 2.0', '"plugged"'))
    command = build.parse(["main", f"--config={config}", "--config.objective.margin=3"])
    assert command.config["objective.margin"] == 3


def test_kinds_from_outside_train_report_restore_embed_and_evaluate(tmp_path, capsys):
    config, workdir = tmp_path / "toy.py", tmp_path / "run"
    config.write_text(CONFIG)
    command = ["main", f"--config={config}", "--config.encoder.features=3", "--config.evaluation.most_spread=10"]
    assert main.main([*command, f"--workdir={workdir}"]) == 0
    printed = capsys.readouterr().out
    assert "8 pairs on 8 devices, codes that predict each other" in printed
    assert "spread of the codes" in printed
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["train/steps"] == 4
    assert summary["toy/examples"] == 10
    assert summary["health/feature_dim"] == 3
    assert "Toy section" in (workdir / "report.html").read_text()

    encode = mi_coding.load_encoder(workdir)
    waves = Waves("80").waves()
    assert encode(waves).shape == (80, 3)
    output = tmp_path / "codes.npz"
    assert embed.main(["embed", f"--workdir={workdir}", "--source=toy:40", f"--output={output}"]) == 0
    with np.load(output) as file:
        np.testing.assert_allclose(file["codes"], encode(Waves("40").waves()), rtol=1e-5)
    assert evaluate.main(["evaluate", f"--workdir={workdir}", "--source=toy:80"]) == 0
    evaluated = json.loads(next(workdir.glob("evaluation-toy-80-*.json")).read_text())
    assert evaluated["toy/spread"] == pytest.approx(summary["toy/spread"], rel=1e-5)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("pairs.level=-1.0", "config.pairs.level=-1.0; expected a number > 0"),
        ("encoder.featuers=3", "did you mean config.encoder.features?"),
        ("objective.name=regresion", "did you mean 'regression'?"),
        ("data.source=toy:", "names nothing; expected a source like 'toy:80'"),
    ],
)
def test_mistakes_about_kinds_from_outside_have_their_one_line(tmp_path, capsys, override, words):
    (tmp_path / "toy.py").write_text(CONFIG)
    assert main.main(["main", f"--config={tmp_path / 'toy.py'}", f"--config.{override}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
