"""Random texts of known lengths."""

from benchmarks.lib.texts import MAX_LENGTH, MIN_LENGTH, random_texts, text_lengths


def test_lengths_are_the_same_each_time_and_about_42() -> None:
    lengths = text_lengths(5000)
    assert lengths == text_lengths(5000)
    assert lengths[:10] == text_lengths(10)
    assert lengths != text_lengths(5000, seed=1)
    assert 40 < sum(lengths) / len(lengths) < 44
    assert (min(lengths), max(lengths)) == (MIN_LENGTH, MAX_LENGTH)


def test_texts_leave_room_for_two_special_tokens() -> None:
    texts = random_texts([3, 10], vocab_size=40)
    assert [len(text.split()) for text in texts] == [1, 8]
    assert all(5 <= int(word.removeprefix("w")) < 40 for text in texts for word in text.split())
