"""The benchmarks of engines: their cases, which are engines at a precision, and the targets of their ratios."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from benchmarks.engines.peers.protocol import Job, TokenRates
from benchmarks.lib.checkpoints import SHAPES
from benchmarks.lib.environments import OWN
from benchmarks.lib.texts import N_SPECIAL_TOKENS, text_lengths

N_TEXTS, PROMPT_LENGTH, N_NEW_TOKENS = 256, 32, 64
PRECISIONS = ("float32", "bfloat16", "int8")


@dataclass(frozen=True)
class Case:
    """An engine: a module to run in an environment, and a precision as the engine names it."""

    name: str
    environment: str
    module: str
    precision: str


@dataclass
class CaseResult:
    """What the processes of a case wrote: the package, the least cosine of its codes, and rates for each pass."""

    package: str = ""
    cosine: float | None = None
    passes: list[TokenRates] = field(default_factory=list)

    def rate(self, batch_size: int, n_workers: int | None = None) -> float:
        """Return the median of the tokens a second, with so many workers, or with the best number of them if None."""
        ways = self.passes[0] if n_workers is None else [str(n_workers)]
        return max(median(rates[way][str(batch_size)] for rates in self.passes) for way in ways)

    def best_rate(self, batch_sizes: Sequence[int], n_workers: int | None = None) -> float:
        """Return the highest rate of all batch sizes."""
        return max(self.rate(size, n_workers) for size in batch_sizes)


@dataclass(frozen=True)
class Target:
    """The least ratio of two cases, at a batch size or, if it is None, each at its best.

    The ratio is taken over the other engine as one worker with all threads, which is what it does without options, and
    over the better of that and a worker for each thread.
    """

    own: str
    peer: str
    batch_size: int | None
    least: float


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Cases on the same checkpoint and the same texts, measured at several batch sizes."""

    title: str
    quantity: str
    note: str
    """What the table of the report shows."""
    shape: str
    cases: Sequence[Case]
    batch_sizes: Sequence[int]
    targets: Sequence[Target] = ()
    n_texts: int = N_TEXTS
    n_new_tokens: int = 0
    """New tokens for each prompt; 0 if texts are encoded."""
    device: str = "cpu"

    def job(self, folder: str, n_rounds: int, n_threads: int) -> Job:
        """Return the job of every case, except for the precision."""
        draw = random.Random(0)  # noqa: S311 not a secret
        vocab_size = SHAPES[self.shape].config.to_dict()["vocab_size"]
        lengths = [PROMPT_LENGTH] * max(self.batch_sizes) if self.n_new_tokens else text_lengths(self.n_texts)
        return Job(
            folder=folder,
            precision="",
            texts=[[draw.randrange(N_SPECIAL_TOKENS, vocab_size) for _ in range(n)] for n in lengths],
            batch_sizes=list(self.batch_sizes),
            n_new_tokens=self.n_new_tokens,
            n_rounds=n_rounds,
            n_threads=n_threads,
            device=self.device,
        )


def cases(name: str, module: str, *precisions: str, environment: str = "engines") -> list[Case]:
    """Return a case for each precision of an engine."""
    return [Case(f"{name} {p}", environment, f"benchmarks.engines.{module}", p) for p in precisions]


ENCODE = Benchmark(
    title="Text embeddings in one process, MiniLM's shape (6 layers of 384)",
    quantity="Tokens per second",
    note="The table shows tokens per second, by the number of texts in a batch.",
    shape="minilm",
    cases=[
        *cases("Manifold", "manifold_engine", *PRECISIONS, environment=OWN),
        *cases("CTranslate2", "peers.encode_ctranslate2", "float32", "int8_float32"),
        *cases("ONNX Runtime", "peers.encode_onnxruntime", "float32", "int8"),
        *cases("OpenVINO", "peers.encode_openvino", "f32", "bf16"),
        *cases("Transformers", "peers.encode_transformers", "float32", "bfloat16"),
    ],
    batch_sizes=(4, 8, 16, 32, 64),
    targets=[
        Target("Manifold float32", "CTranslate2 float32", None, 1.3),
        Target("Manifold float32", "ONNX Runtime float32", None, 1.05),
        Target("Manifold float32", "OpenVINO f32", None, 0.95),
        Target("Manifold bfloat16", "OpenVINO bf16", None, 1.05),
        Target("Manifold int8", "CTranslate2 int8_float32", None, 1.6),
        Target("Manifold int8", "ONNX Runtime int8", None, 1.1),
    ],
)
ENCODE_BASE = replace(ENCODE, title="Text embeddings in one process, BERT-base's shape", shape="bert-base", targets=())
GENERATE = Benchmark(
    title="Text generation in one process, GPT-2 124M",
    quantity="New tokens per second",
    note=f"Each prompt has {PROMPT_LENGTH} tokens and is continued by {N_NEW_TOKENS} tokens, greedily. The table shows "
    "new tokens per second, by the number of prompts at once.",
    shape="gpt2",
    n_new_tokens=N_NEW_TOKENS,
    cases=[
        *cases("Manifold", "manifold_engine", *PRECISIONS, environment=OWN),
        *cases("Transformers", "peers.generate_transformers", "float32", "bfloat16"),
        *cases("CTranslate2", "peers.generate_ctranslate2", "float32", "int8_float32"),
    ],
    batch_sizes=(1, 8, 32),
    targets=[
        Target(f"Manifold {precision}", peer, batch_size, least)
        for precision, peer, leasts in (
            ("int8", "Transformers bfloat16", (2, 3, 4)),
            ("bfloat16", "Transformers bfloat16", (2, 3, 4)),
            ("int8", "CTranslate2 int8_float32", (1.2, 2, 2)),
        )
        for batch_size, least in zip((1, 8, 32), leasts, strict=True)
    ],
)
BENCHMARKS = {"encode": ENCODE, "encode-base": ENCODE_BASE, "generate": GENERATE}
