import threading

from app.metrics.deferred import GROUP, DeferredCalls


def test_calls_are_made_in_groups_and_in_their_order() -> None:
    deferred, made = DeferredCalls(), list[int]()
    for number in range(GROUP - 1):
        deferred.add(made.append, number)
    assert made == []
    deferred.add(made.append, GROUP - 1)
    assert made == list(range(GROUP))
    deferred.add(made.append, GROUP)
    assert len(made) == GROUP
    deferred.run()
    deferred.run()
    assert made == list(range(GROUP + 1))


def test_calls_of_several_threads_are_each_made_once() -> None:
    deferred, made = DeferredCalls(), list[tuple[int, int]]()
    n_threads, n_calls = 4, 10 * GROUP + 7

    def add(thread: int) -> None:
        for number in range(n_calls):
            deferred.add(made.append, (thread, number))

    threads = [threading.Thread(target=add, args=(thread,)) for thread in range(n_threads)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    deferred.run()
    assert sorted(made) == [(thread, number) for thread in range(n_threads) for number in range(n_calls)]
