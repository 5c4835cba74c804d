"""All requests together hold at most what the limit allows, and give everything back."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.concurrency import request_memory
from app.concurrency.request_memory import PART_FOR_SMALL, SMALL_BYTES, UNREAD_S, MemoryShare, RequestMemory
from app.errors import ClientDisconnected, ManifoldError, MemoryExhausted, PayloadTooLarge

LIMIT = 80 * 2**20
MOST = LIMIT - LIMIT // PART_FOR_SMALL
"""What requests that are not small may hold together."""


class Clock:
    """A clock in place of `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(request_memory, "time", clock)
    return clock


def limited() -> RequestMemory:
    return RequestMemory(lambda: LIMIT)


def share_of(memory: RequestMemory, n_bytes: int) -> MemoryShare:
    share = memory.open_share()
    share.claim(n_bytes)
    return share


class HeldShare:
    """A share, and how often it is held."""

    def __init__(self, share: MemoryShare) -> None:
        self.share, self.n_held = share, 0

    def give_back(self, n_bytes: int) -> None:
        self.share.give_back(min(n_bytes, self.share.n_bytes))

    def correct(self, n_bytes: int) -> None:
        self.share.correct(self.share.n_bytes, n_bytes)

    def hold(self, _n_bytes: int = 0) -> None:
        self.share.hold()
        self.n_held += 1

    def release(self, _n_bytes: int = 0) -> None:
        if self.n_held:
            self.n_held -= 1
            self.share.release()

    def end(self) -> None:
        self.share.close()
        while self.n_held:
            self.release()


STEPS: dict[str, Callable[[HeldShare, int], None]] = {
    "claim": lambda held, n_bytes: held.share.claim(n_bytes),
    "give back": HeldShare.give_back,
    "correct": HeldShare.correct,
    "close": lambda held, _: held.share.close(),
    "hold": HeldShare.hold,
    "release": HeldShare.release,
    "wait unread": lambda held, _: held.share.may_be_dropped(lambda: None),
    "be read": lambda held, _: held.share.may_be_dropped(None),
}


@given(st.lists(st.tuples(st.sampled_from(list(STEPS)), st.integers(0, 4), st.integers(0, 100 * 2**20)), max_size=60))
def test_whatever_requests_do_the_sum_is_that_of_the_shares_and_within_the_limit(
    steps: list[tuple[str, int, int]],
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_memory, "time", clock)
        memory = limited()
        shares = [HeldShare(memory.open_share()) for _ in range(5)]
        for step, index, n_bytes in steps:
            clock.now += UNREAD_S / 2
            with suppress(PayloadTooLarge, MemoryExhausted, ClientDisconnected):
                STEPS[step](shares[index], n_bytes)
            assert 0 <= memory.n_bytes == sum(each.share.n_bytes for each in shares) <= LIMIT
            assert all(each.share.n_bytes >= 0 for each in shares)
        for each in shares:
            each.end()
        assert memory.n_bytes == 0
        assert not memory._unread


def test_what_does_not_fit_beside_others_is_refused_for_now_with_the_numbers() -> None:
    memory = limited()
    first = share_of(memory, MOST - 2**21)
    second = memory.open_share()
    with pytest.raises(MemoryExhausted) as refused:
        second.claim(2**21 + 1)
    numbers = f"needs about {2**21 + 1} bytes of memory, and other requests hold {MOST - 2**21} of the {MOST}"
    assert numbers in refused.value.detail
    assert "memory_limit" in refused.value.detail
    assert refused.value.headers == {"retry-after": "1"}
    assert second.n_bytes == 0
    first.close()
    second.claim(2**21 + 1)


def test_what_could_never_fit_is_too_large() -> None:
    memory = limited()
    share = share_of(memory, 2**21)
    with pytest.raises(PayloadTooLarge, match=rf"needs about {MOST + 1} bytes of memory; memory_limit leaves {MOST}"):
        share.claim(MOST + 1 - 2**21)
    assert memory.n_bytes == share.n_bytes == 2**21


def test_large_requests_leave_a_part_for_small_ones() -> None:
    memory = limited()
    share_of(memory, MOST)
    with pytest.raises(MemoryExhausted):
        share_of(memory, SMALL_BYTES + 1)
    for _ in range((LIMIT - MOST) // SMALL_BYTES):
        share_of(memory, SMALL_BYTES)
    with pytest.raises(MemoryExhausted):
        share_of(memory, 1)


def test_without_a_limit_everything_is_counted_and_nothing_refused() -> None:
    memory = RequestMemory(lambda: 0)
    share = share_of(memory, 2**60)
    assert (memory.n_bytes, memory.peak_bytes, memory.limit) == (2**60, 2**60, 0)
    share.close()
    memory.restart_peak()
    assert (memory.n_bytes, memory.peak_bytes) == (0, 0)


def test_a_limit_that_has_changed_counts_from_the_next_claim() -> None:
    limit = 2**20
    memory = RequestMemory(lambda: limit)
    with pytest.raises(PayloadTooLarge):
        share_of(memory, 2**20 + 1)
    limit = 2**22
    share_of(memory, 2**20 + 1)


def test_the_unread_answer_that_is_largest_for_longest_is_dropped_first(clock: Clock) -> None:
    memory = limited()
    dropped: list[str] = []
    shares = {}
    for name, n_bytes in (("old", 10), ("large", 40), ("small", 10)):
        shares[name] = share_of(memory, n_bytes * 2**20)
        shares[name].may_be_dropped(lambda name=name: dropped.append(name))  # type: ignore[misc]
        clock.now += UNREAD_S
    share_of(memory, 30 * 2**20)
    assert dropped == ["large"]
    assert memory.n_dropped == 1
    assert [share.n_bytes for share in shares.values()] == [10 * 2**20, 0, 10 * 2**20]
    with pytest.raises(ClientDisconnected):
        shares["large"].claim(1)
    share_of(memory, 30 * 2**20)
    assert dropped == ["large", "old"]


def test_answers_that_are_being_read_are_not_dropped(clock: Clock) -> None:
    memory = limited()
    reading, read = share_of(memory, MOST // 2), share_of(memory, MOST // 2)
    reading.may_be_dropped(lambda: pytest.fail("dropped"))
    read.may_be_dropped(lambda: pytest.fail("dropped"))
    clock.now += UNREAD_S
    reading.may_be_dropped(lambda: pytest.fail("dropped"))  # as it has read a part
    read.may_be_dropped(None)
    with pytest.raises(MemoryExhausted):
        share_of(memory, 2**21)


def test_nothing_is_dropped_for_a_request_that_still_would_not_fit(clock: Clock) -> None:
    memory = limited()
    share_of(memory, MOST // 2)
    unread = share_of(memory, MOST // 4)
    unread.may_be_dropped(lambda: pytest.fail("dropped"))
    clock.now += UNREAD_S
    with pytest.raises(MemoryExhausted):
        share_of(memory, MOST * 3 // 4)
    assert unread.n_bytes == MOST // 4


def test_an_answer_may_be_dropped_while_it_is_sent_after_its_request_has_ended(clock: Clock) -> None:
    memory = limited()
    dropped: list[bool] = []
    sent = share_of(memory, MOST)
    sent.hold()
    sent.close()
    sent.may_be_dropped(lambda: dropped.append(True))
    sent.give_back(1)
    assert memory.n_bytes == MOST - 1
    clock.now += UNREAD_S
    other = share_of(memory, MOST)
    assert dropped == [True]
    sent.release()
    assert memory.n_bytes == other.n_bytes


def test_memory_stays_claimed_while_work_still_uses_it() -> None:
    memory = limited()
    share = share_of(memory, 100)
    share.hold()
    share.close()
    share.close()
    assert memory.n_bytes == 100
    with pytest.raises(ClientDisconnected):
        share.claim(1)
    with pytest.raises(ClientDisconnected):
        share.hold()
    share.release()
    assert memory.n_bytes == 0


def test_an_estimate_is_corrected_in_both_directions() -> None:
    memory = limited()
    share = share_of(memory, 100)
    share.correct(60, 10)
    assert memory.n_bytes == 50
    share.correct(10, 30)
    assert memory.n_bytes == 70
    share.correct(30, 30)
    assert memory.n_bytes == 70


def test_more_than_was_claimed_cannot_be_given_back() -> None:
    share = share_of(limited(), 5)
    with pytest.raises(ValueError, match="6 bytes are given back, and 5 are held"):
        share.give_back(6)


def test_threads_lose_no_byte() -> None:
    memory = limited()

    def work(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(300):
            share = memory.open_share()
            try:
                for _ in range(4):
                    share.claim(chosen.randrange(40 * 2**20))
                    share.give_back(chosen.randrange(share.n_bytes + 1))
            except ManifoldError:
                pass
            finally:
                share.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.n_bytes == 0
