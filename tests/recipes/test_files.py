import pytest

from recipes.files import write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    place = tmp_path / "new" / "report.json"
    write_whole(place, "one")
    write_whole(place, "two")
    assert place.read_text() == "two"
    assert list(place.parent.iterdir()) == [place]


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    place = tmp_path / "report.json"
    write_whole(place, "one")
    with pytest.raises(UnicodeEncodeError):
        write_whole(place, "two \udc80")  # half of a surrogate pair has no encoding
    assert place.read_text() == "one"
