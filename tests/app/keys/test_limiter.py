import math

import pytest

from app.errors import RateLimited
from app.keys import limiter as limiter_module
from app.keys.limiter import AddressLimiters, Limiter


def n_accepted(limiter: Limiter, now_s: float, n: int) -> int:
    """The number of n requests at one moment that a limiter accepts."""
    accepted = 0
    for _ in range(n):
        try:
            limiter.enter(now_s)
            accepted += 1
        except RateLimited:
            pass
    return accepted


@pytest.mark.parametrize("rate", [1, 7, 60, 1000])
@pytest.mark.parametrize("start_s", [0.0, 1e6])
def test_a_minute_has_as_many_requests_as_allowed(rate: int, start_s: float) -> None:
    limiter = Limiter("x", rate, None)
    assert n_accepted(limiter, start_s, 2 * rate) == rate
    assert n_accepted(limiter, start_s + 30, 2 * rate) == rate // 2
    assert n_accepted(limiter, start_s + 1000, 2 * rate) == rate


@pytest.mark.parametrize("rate", [1, 7, 60, 1000])
def test_a_client_that_waits_as_told_is_accepted(rate: int) -> None:
    limiter = Limiter("x", rate, None)
    n_accepted(limiter, 0.0, rate)
    with pytest.raises(RateLimited) as raised:
        limiter.enter(0.0)
    assert raised.value.retry_after_s == math.ceil(60 / rate)
    assert raised.value.headers == {"retry-after": str(raised.value.retry_after_s)}
    limiter.enter(float(raised.value.retry_after_s))


def test_the_errors_name_the_client_and_the_limit() -> None:
    limiter = Limiter("the key 'ci'", 1, None)
    limiter.enter(0.0)
    with pytest.raises(RateLimited, match="the key 'ci' may send 1 request a minute"):
        limiter.enter(0.0)
    limiter = Limiter("the address 1.2.3.4", None, 2)
    n_accepted(limiter, 0.0, 2)
    with pytest.raises(RateLimited, match=r"the address 1\.2\.3\.4 may have 2 requests at the same time"):
        limiter.enter(0.0)


def test_a_place_is_free_again_once_a_request_ends() -> None:
    limiter = Limiter("x", None, 2)
    assert n_accepted(limiter, 0.0, 5) == 2
    limiter.leave(0.1)
    assert n_accepted(limiter, 0.0, 5) == 1


def test_a_request_that_finds_no_place_does_not_count_for_the_rate() -> None:
    limiter = Limiter("x", 2, 1)
    assert n_accepted(limiter, 0.0, 5) == 1
    limiter.leave(0.1)
    assert n_accepted(limiter, 0.0, 5) == 1
    limiter.leave(0.1)
    assert n_accepted(limiter, 0.0, 5) == 0


def test_the_time_to_wait_for_a_place_follows_from_how_long_requests_take() -> None:
    limiter = Limiter("x", None, 2)
    for _ in range(100):
        limiter.enter(0.0)
        limiter.leave(20.0)
    n_accepted(limiter, 0.0, 2)
    with pytest.raises(RateLimited) as raised:
        limiter.enter(0.0)
    assert raised.value.retry_after_s == 10


def test_addresses_are_limited_apart_and_forgotten_at_some_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter_module, "MAX_ADDRESSES", 3)
    limiters = AddressLimiters(1, 0)
    for address in ("a", "b", "c"):
        assert n_accepted(limiters.limiter_of(address), 0.0, 2) == 1
    assert n_accepted(limiters.limiter_of("a"), 0.0, 1) == 0
    limiters.limiter_of("d")  # b was silent for longest
    assert len(limiters._limiters) == 3
    assert n_accepted(limiters.limiter_of("a"), 0.0, 1) == 0
    assert n_accepted(limiters.limiter_of("b"), 0.0, 1) == 1
