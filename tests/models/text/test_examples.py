"""Examples and random texts fit any vocabulary and any context length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import tasks
from models.tasks import Task
from models.tasks.generation import GenerateRequest
from models.tasks.text import Tokens
from models.text.examples import example_request, random_texts

MODULES = (Tokens.__module__, GenerateRequest.__module__)
TASKS = [task for task in vars(tasks).values() if isinstance(task, Task) and task.request.__module__ in MODULES]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name}-{task.request.__name__}")
@pytest.mark.parametrize(("vocab_size", "n_positions"), [(5, 4), (30_000, 512)])
def test_every_task_has_an_example(task: Task, vocab_size: int, n_positions: int) -> None:
    request = example_request(task, vocab_size, n_positions)
    assert isinstance(request, task.request)
    assert 0 < request.cost <= 64


@given(n=st.integers(0, 9), vocab_size=st.integers(1, 99), n_positions=st.integers(3, 200))
def test_random_texts_fit_the_model_and_are_the_same_each_time(n: int, vocab_size: int, n_positions: int) -> None:
    texts = random_texts(n, vocab_size, n_positions)
    assert all(1 <= len(text) <= n_positions for text in texts)
    assert all(0 <= token_id < vocab_size for text in texts for token_id in text.ids)
    again = random_texts(n, vocab_size, n_positions)
    assert [text.ids.tolist() for text in texts] == [text.ids.tolist() for text in again]
