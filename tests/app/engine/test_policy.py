from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.engine.job import Job, Slice
from app.engine.policy import NO_STEPS, DispatchReason, StepCapacity, dispatch_reason, next_batch, work_of
from models.tasks import DECODE, ENCODE, ENCODE_TEXT, GENERATE
from models.tasks.text import EncodeTextRequest
from tests.app.engine.faulty_gpt import request
from tests.app.engine.scripted import item, job, latent, slices
from tests.models.transformers.reference import random_text


def test_nothing_waiting_makes_no_batch() -> None:
    assert next_batch([], 10) == []


def test_the_oldest_job_sets_the_task_and_younger_ones_of_it_join() -> None:
    first, other, third = job(item(1)), job(latent(2), task=DECODE), job(item(3))
    assert [part.job for part in next_batch(slices(first, other, third), 10)] == [first, third]


def test_a_request_larger_than_the_budget_runs_alone() -> None:
    big, small = job(item(1), item(2)), job(item(3))
    batch = next_batch(slices(big, small), 0)
    assert [(part.job, part.start, part.stop) for part in batch] == [(big, 0, 1)]


def test_a_job_larger_than_the_budget_is_split() -> None:
    large = job(*(item(i) for i in range(5)))
    (first,) = next_batch(slices(large), 3)
    assert (first.start, first.stop) == (0, 3)
    (second,) = next_batch([Slice(large, 3, 5)], 3)
    assert (second.start, second.stop) == (3, 5)


def test_a_suspect_job_runs_alone_one_request_at_a_time() -> None:
    suspect, innocent = job(item(1), item(2)), job(item(3))
    suspect.is_suspect = True
    (part,) = next_batch(slices(suspect, innocent), 10)
    assert (part.job, part.start, part.stop) == (suspect, 0, 1)
    assert [part.job for part in next_batch(slices(innocent, suspect), 10)] == [innocent]


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    decodes=st.sets(st.integers(0, 7)),
    budget=st.integers(0, 20),
)
def test_every_request_is_dispatched_once_in_order_and_within_the_budget(
    sizes: list[int], decodes: set[int], budget: int
) -> None:
    jobs = [
        job(*(latent(0) for _ in range(n)), task=DECODE) if i in decodes else job(*(item(0) for _ in range(n)))
        for i, n in enumerate(sizes)
    ]
    dispatched: dict[Job, list[int]] = {each: [] for each in jobs}
    waiting = {whole.job: whole for whole in slices(*jobs)}
    while waiting:
        oldest = next(iter(waiting))
        batch = next_batch(waiting.values(), budget)
        assert batch[0].job is oldest
        assert sum(request.cost for part in batch for request in part.requests) <= max(budget, 1)
        assert len({part.job.task for part in batch}) == 1
        for part in batch:
            dispatched[part.job] += range(part.start, part.stop)
            waiting[part.job] = Slice(part.job, part.stop, waiting[part.job].stop)
            if not waiting[part.job]:
                del waiting[part.job]
    for each, places in dispatched.items():
        assert places == list(range(len(each.requests)))
        assert each.task in (ENCODE, DECODE)


def generating(*rows: int) -> Job:
    return job(*(request(2, n=n) for n in rows), task=GENERATE)


def encoding() -> Job:
    return job(EncodeTextRequest(tokens=random_text(2, 60, 0)), task=ENCODE_TEXT)


def taken(jobs: Sequence[Job], n_rows: int, *, is_idle: bool = False) -> list[tuple[Job, int, int]]:
    batch = next_batch(slices(*jobs), 100, StepCapacity(n_free=n_rows, n_running=0 if is_idle else 1))
    return [(part.job, part.start, part.stop) for part in batch]


def test_a_generation_batch_is_limited_by_its_rows() -> None:
    first, second = generating(1, 1, 1), generating(2)
    assert taken([first, second], 2) == [(first, 0, 2)]
    assert taken([first, second], 5) == [(first, 0, 3), (second, 0, 1)]
    assert taken([second], 1) == []
    assert taken([generating(9)], 4, is_idle=True) != []


def test_a_generation_job_without_capacity_is_overtaken() -> None:
    long, short = generating(1), encoding()
    assert taken([long, short], 0) == [(short, 0, 1)]
    assert taken([long, short], 1) == [(long, 0, 1)]


def test_a_suspect_generation_begins_when_nothing_runs() -> None:
    suspect, other = generating(1, 1), generating(1)
    suspect.is_suspect = True
    assert taken([suspect, other], 10) == [(other, 0, 1)]
    assert taken([suspect, other], 10, is_idle=True) == [(suspect, 0, 1)]


def test_a_batch_of_all_that_waited_was_dispatched_because_a_worker_was_idle_or_free() -> None:
    batch, others = slices(job(item(1))), slices(job(latent(2), task=DECODE))
    assert dispatch_reason(batch, others, NO_STEPS, was_idle=True) is DispatchReason.WORKER_IDLE
    assert dispatch_reason(batch, others, NO_STEPS, was_idle=False) is DispatchReason.WORKER_FREE


def test_a_batch_that_leaves_requests_of_its_task_has_used_up_its_budget() -> None:
    batch, others = slices(job(item(1))), slices(job(latent(2), task=DECODE), job(item(3)))
    assert dispatch_reason(batch, others, NO_STEPS, was_idle=True) is DispatchReason.BUDGET_FULL


def test_a_generation_has_used_up_its_rows_or_its_budget() -> None:
    first, second = (job(request(3, n=2), task=GENERATE) for _ in range(2))
    reasons = [
        dispatch_reason(slices(first), slices(second), StepCapacity(n_free=n_free), was_idle=True) for n_free in (3, 4)
    ]
    assert reasons == [DispatchReason.ROWS_FULL, DispatchReason.BUDGET_FULL]


def test_a_suspect_is_dispatched_alone_whatever_waits() -> None:
    suspect = job(item(1), item(2))
    suspect.is_suspect = True
    reason = dispatch_reason([Slice(suspect, 0, 1)], [Slice(suspect, 1, 2)], NO_STEPS, was_idle=False)
    assert reason is DispatchReason.SUSPECT


def large(*numbers: int) -> Job:
    made = job(*(item(number) for number in numbers))
    made.size = 2.0
    return made


def test_no_part_of_a_large_job_joins_small_ones_but_small_ones_join_it() -> None:
    small, other, big = job(item(1)), job(item(2)), large(3, 4, 5)
    assert [part.job for part in next_batch(slices(small, big, other), 9)] == [small, other]
    assert [part.job for part in next_batch(slices(big, small), 9)] == [big, small]


def test_a_generation_job_that_waits_for_rows_is_not_overtaken_by_one_that_needs_fewer() -> None:
    wide, narrow, other_task = generating(4), generating(1), encoding()
    assert taken([wide, narrow], 3) == []
    assert taken([wide, narrow, other_task], 3) == [(other_task, 0, 1)]
    assert taken([narrow, wide], 3) == [(narrow, 0, 1)]


def test_the_work_of_a_generation_is_that_of_all_its_rows() -> None:
    made = job(request(3, 10, n=2), request(4, 5), task=GENERATE)
    assert work_of(Slice(made, 0, 2)) == 3 + 4 + 20 + 5
    assert work_of(Slice(made, 1, 2)) == 4 + 5
    assert work_of(Slice(job(item(1), item(2)), 0, 1)) == 1
