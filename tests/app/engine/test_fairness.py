"""Clients are served by the work that they have been given, and so are the jobs of one client."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.engine.fairness import MAX_REMEMBERED, FairOrder
from app.engine.job import Job
from tests.app.engine.scripted import item, job


def of(client: str, size: float = 0.1) -> Job:
    made = job(item(1), client=client)
    made.size = size
    return made


def serve(order: FairOrder, n: int, left: dict[Job, int]) -> list[Job]:
    """Dispatch a unit of work `n` times, each of the first job; jobs end when nothing of them is left."""
    served = []
    for _ in range(n):
        first = next(order.waiting(), None)
        if first is None:
            break
        served.append(first)
        left[first] -= 1
        order.charge(first, 1.0, still_waits=left[first] > 0)
        if left[first] == 0:
            order.remove(first)
    return served


def test_equal_clients_are_served_in_order_of_arrival() -> None:
    order, jobs = FairOrder(), [of(f"client {i}") for i in range(5)]
    for each in jobs:
        order.add(each)
    assert list(order.waiting()) == jobs


def test_a_client_who_comes_later_is_served_before_the_rest_of_a_large_job() -> None:
    order, large, small = FairOrder(), of("heavy", 9), of("light")
    left = {large: 100, small: 2}
    order.add(large)
    serve(order, 10, left)
    order.add(small)
    served = serve(order, 4, left)
    assert served.count(small) == 2
    assert served.count(large) == 2


def test_a_job_that_comes_later_is_served_before_the_rest_of_a_large_one_of_the_same_client() -> None:
    order, large, small = FairOrder(), of("one", 9), of("one")
    left = {large: 100, small: 1}
    order.add(large)
    serve(order, 10, left)
    order.add(small)
    assert small in serve(order, 2, left)


def test_two_clients_with_much_to_do_share_the_work_equally_however_many_jobs_each_has() -> None:
    order = FairOrder()
    few, many = [of("few", 9)], [of("many", 9) for _ in range(7)]
    left = dict.fromkeys([*few, *many], 1000)
    for each in (*many, *few):
        order.add(each)
    served = Counter(each.client for each in serve(order, 200, left))
    assert abs(served["few"] - served["many"]) <= 1


def test_no_time_is_saved_up_while_a_client_wants_nothing() -> None:
    order, early, late = FairOrder(), of("early", 9), of("late", 9)
    left = dict.fromkeys((early, late), 1000)
    order.add(early)
    serve(order, 300, left)
    order.add(late)
    served = Counter(serve(order, 20, left))
    assert abs(served[early] - served[late]) <= 1


def test_a_client_cannot_reset_its_use_by_asking_again() -> None:
    order, other = FairOrder(), of("other", 9)
    left = {other: 1000}
    order.add(other)
    served: Counter[str] = Counter()
    for _ in range(50):
        again = of("again", 9)
        left[again] = 4
        order.add(again)
        served += Counter(each.client for each in serve(order, 8, left))
        order.remove(again)
    assert abs(served["again"] - served["other"]) <= served.total() * 0.1


def test_the_sizes_of_a_client_s_jobs_add_up_and_are_forgotten_with_them() -> None:
    order = FairOrder()
    jobs = [of("flood", 0.4) for _ in range(3)]
    for each in jobs:
        order.add(each)
    assert (order.n_large_jobs, order.n_large_clients, order.is_mixed) == (0, 1, False)
    order.add(other := of("other"))
    assert order.is_mixed
    for each in jobs:
        order.remove(each)
        order.remove(each)
    assert (order.n_large_clients, order.is_mixed) == (0, False)
    assert list(order.waiting()) == [other]


def test_of_clients_that_left_only_so_many_are_remembered() -> None:
    order, stays = FairOrder(), of("stays")
    order.add(stays)
    for number in range(MAX_REMEMBERED + 5):
        leaves = of(f"leaves {number}")
        order.add(leaves)
        order.charge(leaves, 1000.0, still_waits=False)
        order.remove(leaves)
    assert len(order._remembered) == MAX_REMEMBERED
    order.remove(stays)
    assert not order._remembered


@given(arrivals=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=30))
def test_all_work_is_done_and_nobody_waits_for_more_than_a_fair_share(arrivals: Sequence[tuple[int, int, int]]) -> None:
    """Each arrival is a client, the units of work of its job, and the units that are served before the next arrival."""
    order, left, waited = FairOrder(), dict[Job, int](), Counter[Job]()
    work = Counter[Job]()
    n_served = 0
    for client, units, n_steps in (*arrivals, (0, 0, sum(units for _, units, _ in arrivals))):
        if units:
            new = of(str(client))
            left[new] = work[new] = units
            order.add(new)
        for _ in range(n_steps):
            n_waiting = len(list(order.waiting()))
            served = serve(order, 1, left)
            assert bool(served) == (n_waiting > 0)  # the order never idles while anybody waits
            n_served += len(served)
            for each in order.waiting():
                waited[each] += each not in served
    assert n_served == sum(units for _, units, _ in arrivals)
    assert not any(left.values())
    most = 6 * len(arrivals)
    assert all(waited[each] <= (work[each] + 1) * most for each in work)
