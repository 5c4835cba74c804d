from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.ops.cooperation import between_parts, split_by_tokens


@given(lengths=st.lists(st.integers(0, 9), max_size=20), most=st.integers(1, 12))
def test_parts_are_all_there_is_in_order_and_as_large_as_they_may_be(lengths: list[int], most: int) -> None:
    parts = [lengths[part] for part in split_by_tokens(lengths, most)]
    assert [length for part in parts for length in part] == lengths
    assert all(part and (len(part) == 1 or sum(part) <= most) for part in parts)
    assert all(sum(one) + other[0] > most for one, other in pairwise(parts))


def test_before_each_part_whoever_is_to_hear_of_it_does() -> None:
    log: list[str] = []
    with between_parts(lambda: log.append("told")):
        log.extend("part" for _ in split_by_tokens([1] * 5, 2))
    log.extend("alone" for _ in split_by_tokens([1] * 5, 2))
    assert log == ["told", "part"] * 3 + ["alone"] * 3
