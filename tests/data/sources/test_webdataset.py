import io
import pickle
import tarfile

import pytest
from PIL import Image

from mi_coding.data.images import ImageSpec
from mi_coding.data.sources import open_source
from mi_coding.errors import InputError


def _png(value):
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


def _write(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_each_key_has_its_image_and_label_and_the_rest_is_counted(tmp_path):
    for shard, start in (("train-000000", 0), ("train-000001", 20), ("test-000000", 40)):
        members = {}
        for value in range(start, start + 20):
            label = {"cls": b"%d" % (value % 2)} if value % 4 < 2 else {"json": b'{"label": %d}' % (value % 2)}
            members |= {f"d/{value:03}.{ending}": text for ending, text in label.items()}
            members |= {f"d/{value:03}.png": _png(value), f"d/{value:03}.txt": b"words"}
        _write(tmp_path / f"{shard}.tar", members | {f"lone{start}.cls": b"1"})
    source = open_source(f"webdataset:{tmp_path}/*.tar")
    listed = source.list_all(ImageSpec())
    images = pickle.loads(pickle.dumps(listed.split.examples))
    pixels = [int(images.read(i).max()) for i in range(60)]
    assert pixels == [*range(40, 60), *range(40)]
    assert listed.split.labels.tolist() == [v % 2 for v in pixels]
    assert images.name(0) == "test-000000.tar/d/040"
    assert listed.account.used == 60
    assert listed.account.left_out["without an image"].count == 3
    assert any("60 members" in note and ".txt (60)" in note for note in listed.account.notes)
    loaded = source.load(ImageSpec())
    assert sorted(int(loaded.test.examples.read(i).max()) for i in range(20)) == list(range(40, 60))


@pytest.mark.parametrize("damage", ["compressed", "cut", "no tar"])
def test_shards_that_cannot_be_read_are_told_in_one_line(tmp_path, damage):
    path = tmp_path / "a.tar"
    _write(path, {"0.png": _png(0), "1.png": bytes(5000)}, "w:gz" if damage == "compressed" else "w")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    if damage == "no tar":
        path.write_bytes(b"words" * 500)
    with pytest.raises(InputError, match="cannot be read") as error:
        open_source(f"webdataset:{path}").load(ImageSpec())
    assert "\n" not in str(error.value)
