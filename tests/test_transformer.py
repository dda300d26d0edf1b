"""`ContrastiveEncoder` as scikit-learn uses it."""

import pickle
import signal
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import mi_coding
from mi_coding.learn import transformer

SHORT = {
    "encoder.widths": (8,),
    "encoder.feature_dim": 8,
    "encoder.head_width": 8,
    "encoder.code_dim": 3,
    "steps_per_call": 1,
}
TABLE = np.random.default_rng(0).normal(size=(60, 4))


def made(**options):
    return mi_coding.ContrastiveEncoder(**{"num_steps": 3, "batch_size": 8, "overrides": SHORT} | options)


@pytest.fixture(scope="module")
def encoder():
    return made().fit(TABLE)


def test_features_and_codes_of_rows(encoder):
    features = encoder.transform(TABLE)
    assert (features.shape, features.dtype) == ((60, 8), np.float32)
    assert encoder.n_features_in_ == 4
    assert encoder.get_feature_names_out().tolist() == [f"contrastiveencoder{i}" for i in range(8)]
    np.testing.assert_array_equal(features, encoder.encoder_.layer_of("codes").features(TABLE))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(TABLE), features)


def test_the_same_state_learns_the_same_and_another_learns_another(encoder):
    twin = clone(encoder).fit(TABLE)
    np.testing.assert_array_equal(twin.transform(TABLE), encoder.transform(TABLE))
    other = clone(encoder).set_params(random_state=1, layer="codes").fit(TABLE)
    codes = other.transform(TABLE)
    assert codes.shape == (60, 3)
    assert not np.allclose(codes, encoder.encoder_.layer_of("codes")(TABLE))


@pytest.mark.soak
def test_a_pipeline_is_searched():
    search = GridSearchCV(
        make_pipeline(made(), LogisticRegression()),
        {"contrastiveencoder__num_steps": [1, 2]},
        cv=2,
        error_score="raise",
    )
    search.fit(TABLE, TABLE[:, 0] > 0)
    assert search.best_params_["contrastiveencoder__num_steps"] in (1, 2)


def test_images_are_learnt_too():
    images = np.random.default_rng(0).integers(0, 255, (40, 16, 16)).astype(np.uint8)
    overrides = {"encoder.widths": (4, 4), "encoder.feature_dim": 6, "encoder.head_width": 8, "encoder.code_dim": 3}
    assert made(overrides=overrides).fit(images).transform(images).shape == (40, 6)


@pytest.mark.parametrize(
    ("options", "X", "said"),
    [
        ({"layer": "logits"}, TABLE, "layer='logits'; expected one of codes, features"),
        ({}, TABLE[:5], "n_samples=5; expected at least 10 rows"),
        ({"overrides": {"pairs.rate": 2.0}}, TABLE, r"pairs.rate=2.0; expected at most 1"),
        ({"overrides": {"pairs.rat": 0.5}}, TABLE, "did you mean"),
        ({"config": "nothing"}, TABLE, "nothing"),
    ],
)
def test_mistakes_are_a_value_error_in_one_line(options, X, said):
    with pytest.raises(ValueError, match=said) as caught:
        made(**options).fit(X)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.soak
def test_scikit_learn_checks_it():
    # A check that scikit-learn itself leaves out (array API without SCIPY_ARRAY_API=1) is a row, not a warning.
    results = check_estimator(made(num_steps=1), on_skip=None, on_fail=None)
    failed = {one["check_name"]: one["exception"] for one in results if one["status"] == "failed"}
    assert failed == {}
    assert len(results) > 30


def test_ctrl_c_ends_the_search_that_fits_it(monkeypatch):
    def stop(step, metrics):
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(transformer, "carry_out", partial(transformer.carry_out, on_step=stop))
    with pytest.raises(KeyboardInterrupt, match=r"stopped after step \d+; nothing is kept"):
        made(num_steps=50).fit(TABLE)
