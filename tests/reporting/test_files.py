import pytest

from mi_coding.reporting import files


def test_a_file_is_replaced_whole_and_no_other_file_is_left(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("a much longer text that was there before")
    files.write_atomically(path, "β")
    assert path.read_bytes() == "β".encode()
    files.write_atomically(path, "as \udcff.png")  # how Python spells a file name that is not UTF-8
    assert path.read_bytes() == b"as \\udcff.png"
    files.write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_cleans_up(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    path = tmp_path / "page.html"
    path.write_text("old")
    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
