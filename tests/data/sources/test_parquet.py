import io
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from mi_coding.data.images import ImageSpec
from mi_coding.data.sources import open_source
from mi_coding.errors import InputError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def _png(value):
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


def _table(values, labels, names=None):
    table = pyarrow.table({"image": [{"bytes": _png(v), "path": None} for v in values], "label": labels})
    told = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    return table.replace_schema_metadata({"huggingface": json.dumps(told)}) if names else table


def test_rows_of_all_shards_and_groups_are_read_in_order_also_in_another_process(tmp_path):
    for shard, start in (("train-00000-of-00002", 0), ("train-00001-of-00002", 20), ("test-00000-of-00001", 40)):
        values = list(range(start, start + 20))
        table = _table(values, [v % 2 for v in values], ["ant", "bee"])
        parquet.write_table(table, tmp_path / f"{shard}.parquet", row_group_size=3)
    listed = open_source(f"parquet:{tmp_path}").list_all(ImageSpec())
    images = pickle.loads(pickle.dumps(listed.split.examples))
    assert [int(images.read(i)[0, 0, 0]) for i in range(60)] == [*range(40, 60), *range(40)]
    assert images.name(21) == "train-00000-of-00002.parquet[1]"
    assert listed.class_names == ["ant", "bee"]
    loaded = open_source(f"parquet:{tmp_path}").load(ImageSpec())
    assert sorted(int(loaded.test.examples.read(i).max()) for i in range(20)) == list(range(40, 60))
    for split in (loaded.train, loaded.validation, loaded.test):
        pixels = [int(split.examples.read(i).max()) for i in range(len(split.examples))]
        assert [value % 2 for value in pixels] == split.labels.tolist()


def test_paths_are_relative_to_the_file_and_text_labels_are_numbered(tmp_path):
    (tmp_path / "a.png").write_bytes(_png(7))
    table = pyarrow.table({"image": ["a.png", "none.png"], "label": ["bee", "ant"], "note": ["", ""]})
    parquet.write_table(table, tmp_path / "all.parquet")
    listed = open_source(f"parquet:{tmp_path}/*.parquet").list_all(ImageSpec())
    assert listed.split.examples.read(0).max() == 7
    assert listed.split.examples.read(1) is None
    assert listed.split.labels.tolist() == [1, 0]
    assert listed.account.notes == ["columns left out: note"]


def test_folders_of_save_to_disk_are_read(tmp_path):
    for split, start in (("train", 0), ("test", 30)):
        (tmp_path / split).mkdir()
        table = _table(range(start, start + 30), [0, 1] * 15)
        with pyarrow.ipc.new_stream(str(tmp_path / split / "data-00000-of-00001.arrow"), table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (tmp_path / split / "state.json").write_text(json.dumps(state))
    loaded = open_source(f"parquet:{tmp_path}").load(ImageSpec())
    assert sorted(int(loaded.test.examples.read(i).max()) for i in range(30)) == list(range(30, 60))


def test_given_pairs_keep_their_rows_together(tmp_path):
    x = np.arange(60.0).reshape(20, 3)
    parquet.write_table(pyarrow.table({"x": x.tolist(), "y": (x[:, 0] + 0.5).tolist()}), tmp_path / "a.parquet")
    loaded = open_source(f"parquet:{tmp_path}/a.parquet").load(ImageSpec())
    assert (loaded.train.examples[1][:, 0] == loaded.train.examples[0][:, 0] + 0.5).all()
    assert loaded.train.examples[0].dtype == np.float32


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", None])
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read|has no file") as error:
        open_source(f"parquet:{tmp_path}").load(ImageSpec())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([[1.0, 2.0], None, [3.0]], "1 of 3 sequences are no list, or empty, such as row 1"),
        ([1.0, 2.0, 3.0], "3 of 3 sequences are no list, or empty, such as row 0"),
        ([[1.0], [], [3.0]], "1 of 3 sequences are no list, or empty, such as row 1"),
        ([[[1.0, 2.0]], [[1.0]], [[1.0, 2.0]]], "row 1 has 1 channels and row 0 has 2"),
    ],
)
def test_sequences_that_are_none_are_one_line(tmp_path, column, words):
    parquet.write_table(pyarrow.table({"sequences": column}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=words):
        open_source(f"parquet:{tmp_path / 'a.parquet'}").list_all(ImageSpec())
