"""Tables of text: headings, numbers, one column of text, and what is none."""

import re

import numpy as np
import pytest

from mi_coding.errors import InputError
from mi_coding.estimate import __main__ as command
from mi_coding.estimate.text_table import read_table


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("a,b\n1,2\n3,4.5\n", [[1, 2], [3, 4.5]]),
        ("1,2\n3,-4e3\n", [[1, 2], [3, -4000]]),
        ('\ufeff"height","weight"\r\n1,2\r\n\r\n3,4\r\n', [[1, 2], [3, 4]]),
        ("colour\nred\nblue\n", [["red"], ["blue"]]),
        ("reason\nyes; often\nno\n", [["yes; often"], ["no"]]),
        ("class\n1\nother\nnone\n\n", [["1"], ["other"], ["none"]]),
    ],
)
def test_tables_are_read_with_or_without_headings(tmp_path, text, table):
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(read_table(path), np.array(table))


def test_tabs_stand_between_the_cells_of_a_tsv(tmp_path):
    (tmp_path / "x.tsv").write_text("1\t2\n3\t4\n")
    np.testing.assert_array_equal(command.load(tmp_path / "x.tsv"), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2\n3\n", "rows of 1 and 2 cells"),
        ("", "rows of no cells"),
        ("1,2\n3,\n", "1 empty cells"),
        ("1,2\n,\n3,4\n", "2 empty cells"),
        ("x\n1\n\n2\n", "1 empty cells"),  # left out, later rows would be paired with others
        ('x\n1\n""\n2\n', "1 empty cells"),  # as pandas writes it
        ("x\n1.5\nNA\n2.0\n", "1 of 3 cells are no numbers, such as NA"),
        ("a;b\n1;2\n3;4\n", "has one cell in each line, such as a;b; expected cells between commas"),
        ("a,b\n1,red\n2,blue\n", "holds text; expected numbers, or one column of text"),
    ],
)
def test_what_is_no_table_of_numbers_is_told(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(words)):
        read_table(tmp_path / "x.csv")


def test_a_missing_table_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        command.load(tmp_path / "no.csv")
