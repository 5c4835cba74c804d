import torch

from models.seeding import seeded


def test_the_numbers_decide_the_draws() -> None:
    draws = {numbers: torch.rand(3, generator=seeded(*numbers)) for numbers in [(1,), (2,), (1, 2), (12,), (2, 1)]}
    for numbers, draw in draws.items():
        assert torch.equal(torch.rand(3, generator=seeded(*numbers)), draw)
        assert not any(torch.equal(draw, other) for key, other in draws.items() if key != numbers)


def test_the_draws_are_the_same_on_every_machine() -> None:
    assert torch.randint(1000, (4,), generator=seeded(7, 3)).tolist() == [755, 126, 338, 46]
