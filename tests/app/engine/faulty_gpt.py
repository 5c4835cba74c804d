"""A small GPT that fails at the step after it has read certain prompts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from app.engine.engine import Engine
from app.engine.observer import EngineObserver
from app.engine.turns import ForwardTurns
from app.settings import Settings
from models.generation.kv_cache import KeyValueCache
from models.generation.token_scores import NextTokens, TokenScores
from models.tasks import ENCODE_TEXT, GENERATE
from models.tasks.generation import GenerateRequest
from models.transformers.gpt import FAMILY
from models.transformers.gpt.model import Gpt
from tests.models.transformers.reference import random_text

POISONED, LETHAL, NOT_A_NUMBER = 15, 13, 11
"""Lengths of prompts: the first step after one of them raises, or ends the worker's thread; or its scores are NaN."""


class FaultyGpt(Gpt):
    """Fails at the first step after it has read a prompt of one of the lengths above."""

    fault: BaseException | None = None

    def prefill(self, parts: Sequence[Tensor], cache: KeyValueCache) -> Tensor:
        for part in parts:
            faults = {LETHAL: SystemExit(), POISONED: ValueError("poisoned")}
            self.fault = faults.get(len(part), self.fault)
        logits = super().prefill(parts, cache)
        logits[[len(part) == NOT_A_NUMBER for part in parts]] = torch.nan
        return logits

    def decode(self, tokens: NextTokens, cache: KeyValueCache) -> TokenScores:
        if self.fault:
            fault, self.fault = self.fault, None
            raise fault
        return super().decode(tokens, cache)


async def start(n_workers: int = 1, observer: EngineObserver | None = None, **limits: int) -> Engine:
    """Start an engine whose workers have made their first forward passes."""
    replicas, spec = [], replace(FAMILY, build=FaultyGpt)
    for _ in range(n_workers):
        torch.manual_seed(0)
        replicas.append(spec.new_model(FAMILY.tiny[0]).eval().requires_grad_(False))
    settings = Settings(weights_dir=Path(), **limits)  # type: ignore[arg-type]
    tasks, budget = [ENCODE_TEXT, GENERATE], settings.max_batch_tokens
    engine = Engine("gpt", replicas, tasks, settings, budget=budget, turns=ForwardTurns.of(settings), observer=observer)
    await engine.started()
    return engine


def request(length: int, n_new: int = 6, n: int = 1) -> GenerateRequest:
    return GenerateRequest(tokens=random_text(length, 60, length), max_new_tokens=n_new, n=n)


async def ids(engine: Engine, *requests: GenerateRequest) -> list[list[int]]:
    outcome = await engine.submit(GENERATE, requests)
    return [[token.id for token in result.sequences[0].tokens] for result in outcome.results]
