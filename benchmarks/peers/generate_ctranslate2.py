"""New tokens with CTranslate2, greedily, from its own conversion."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import ctranslate2
from transformers import AutoTokenizer

from benchmarks.peers.common import asked, generation_rates, told


def main() -> None:
    """`precision` is a compute type; all prompts are of one length."""
    job = asked()
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "converted")
        ctranslate2.converters.TransformersConverter(job.folder).convert(place)
        generator = ctranslate2.Generator(
            place, compute_type=job.precision, inter_threads=1, intra_threads=job.n_threads
        )
        tokenizer = AutoTokenizer.from_pretrained(job.folder)

        def run(prompts: Sequence[list[int]]) -> object:
            return generator.generate_batch(
                [tokenizer.convert_ids_to_tokens(prompt) for prompt in prompts],
                beam_size=1,
                sampling_topk=1,
                min_length=job.n_new,
                max_length=job.n_new,
                include_prompt_in_result=False,
                max_batch_size=0,
            )

        told("ctranslate2", generation_rates(job, run))


if __name__ == "__main__":
    main()
