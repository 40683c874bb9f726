from gazekit.disk.wording import counted, first_few


def test_a_count_has_its_noun_in_the_right_number() -> None:
    assert [counted(number, "fold") for number in (0, 1, 5)] == ["0 folds", "1 fold", "5 folds"]


def test_a_list_counts_what_it_does_not_name() -> None:
    assert first_few("abcdefg") == "a, b, c and 4 more"
    assert first_few("abc") == "a, b, c" and first_few([]) == ""
    assert first_few((number for number in (1, 2)), most=1) == "1 and 1 more"
