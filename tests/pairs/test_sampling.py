import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi_coding.pairs import PairFunctions, draw_examples, modified_alike, pairs_of_batch, sample_pairs, views
from mi_coding.pairs.sampling import labelled

TAGGED = PairFunctions(
    pair=lambda key, image: (image, -image + jax.random.uniform(key) / 2),
    view=lambda key, image: image + jax.random.uniform(key) / 2,
)
IMAGES = jnp.arange(1.0, 51.0)[:, None, None, None] * jnp.ones((1, 2, 2, 1))  # image i carries the tag i + 1


def tags(images):
    return np.asarray(images)[:, 0, 0, 0]


def test_row_i_of_y_belongs_to_row_i_of_x():
    x, y = sample_pairs(jax.random.key(0), IMAGES, jnp.arange(200), pairs=TAGGED)
    np.testing.assert_array_equal(np.ceil(-tags(y)), tags(x))
    assert len(set(tags(x))) > 40  # 50 images, 200 draws


@pytest.mark.parametrize("distinct_among", [None, 40])
def test_a_shard_draws_the_rows_it_has_in_the_whole_batch(distinct_among):
    whole = sample_pairs(jax.random.key(1), IMAGES, jnp.arange(40), pairs=TAGGED, distinct_among=distinct_among)
    for start in range(0, 40, 10):
        rows = start + jnp.arange(10)
        shard = sample_pairs(jax.random.key(1), IMAGES, rows, pairs=TAGGED, distinct_among=distinct_among)
        for part, all_of_it in zip(shard, whole, strict=True):
            np.testing.assert_array_equal(part, all_of_it[start : start + 10])


def test_distinct_keeps_twins_out_and_independent_draws_have_them():
    rows = jnp.arange(50)
    distinct = draw_examples(jax.random.key(2), rows, num_examples=50, distinct_among=50)
    independent = draw_examples(jax.random.key(2), rows, num_examples=50)
    assert len(set(distinct.tolist())) == 50
    assert 20 < len(set(independent.tolist())) < 45  # 31.8 expected


def test_every_example_is_drawn_equally_often():
    drawn = draw_examples(jax.random.key(3), jnp.arange(20_000), num_examples=10)
    assert np.abs(np.bincount(drawn, minlength=10) - 2000).max() < 5 * np.sqrt(1800)


SHOWS_KEY = PairFunctions(pair=lambda key, example: (jax.random.key_data(key), example), view=None)


def test_every_row_has_the_key_and_the_example_folded_from_its_number():
    key, rows = jax.random.key(7), jnp.array([0, 1, 5, 19])
    keys, tagged = sample_pairs(key, IMAGES, rows, pairs=SHOWS_KEY)
    example_key, pair_key = jax.random.split(key)
    for row, shown, image in zip(rows.tolist(), keys, tagged, strict=True):
        np.testing.assert_array_equal(shown, jax.random.key_data(jax.random.fold_in(pair_key, row)))
        drawn = jax.random.randint(jax.random.fold_in(example_key, row), (), 0, len(IMAGES))
        np.testing.assert_array_equal(image, IMAGES[drawn])


def test_a_streamed_row_has_the_key_of_the_row_that_would_have_been_drawn():
    key, rows = jax.random.key(7), 8 + jnp.arange(8)
    keys, tagged = pairs_of_batch(key, IMAGES[:8], rows, pairs=SHOWS_KEY)
    np.testing.assert_array_equal(keys, sample_pairs(key, IMAGES, rows, pairs=SHOWS_KEY)[0])
    np.testing.assert_array_equal(tagged, IMAGES[:8])
    assert len(np.unique(keys, axis=0)) == 8


def test_pairs_of_one_image_differ():
    x, y = sample_pairs(jax.random.key(7), IMAGES[:1], jnp.arange(50), pairs=TAGGED)
    assert set(tags(x)) == {1}
    assert len(set(tags(y))) == 50


def test_another_key_draws_other_pairs():
    first, second = (sample_pairs(jax.random.key(k), IMAGES, jnp.arange(30), pairs=TAGGED)[0] for k in (4, 5))
    assert np.mean(tags(first) == tags(second)) < 0.3


def test_a_batch_of_distinct_examples_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="51 distinct examples cannot be drawn from 50"):
        draw_examples(jax.random.key(0), jnp.arange(51), num_examples=50, distinct_among=51)


def test_views_keep_the_order_of_their_images_and_have_keys_of_their_own():
    seen = views(jax.random.key(6), IMAGES, TAGGED)
    np.testing.assert_array_equal(np.floor(tags(seen)), tags(IMAGES))
    assert len(set((tags(seen) % 1).round(4))) > 45


def test_a_batch_is_modified_alike_on_every_device_and_others_otherwise():
    def sample(key, data, rows):
        return data[rows], data[rows] + 1

    alike = modified_alike(sample, lambda key, image: image * jax.random.normal(key))
    data, rows = jnp.arange(1.0, 9.0), jnp.arange(8)
    x, y = alike(jax.random.key(0), data, rows)
    np.testing.assert_allclose(x / data, jnp.full(8, x[0]), rtol=1e-6)
    np.testing.assert_allclose(y / (data + 1), jnp.full(8, x[0]), rtol=1e-6)
    np.testing.assert_array_equal(alike(jax.random.key(0), data, rows[4:])[0], x[4:])
    assert abs(alike(jax.random.key(1), data, rows)[0][0] - x[0]) > 1e-3


def test_beside_a_labelled_x_stands_the_view_that_codes_are_judged_by():
    functions = PairFunctions(pair=lambda key, image: (image + 1, image + 2), view=lambda key, image: image)
    pairs = labelled(functions, with_views=True)
    x, y = pairs_of_batch(jax.random.key(0), (jnp.arange(3.0), jnp.array([4, 5, 6])), jnp.arange(3), pairs=pairs)
    assert x[0].tolist() == [1.0, 2.0, 3.0]
    assert y[0].tolist() == [0.0, 1.0, 2.0]
    assert x[1].tolist() == y[1].tolist() == [4, 5, 6]
