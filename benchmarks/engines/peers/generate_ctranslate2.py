"""New tokens with CTranslate2, greedily, from its own conversion."""

import tempfile
from pathlib import Path

import ctranslate2
from transformers import AutoTokenizer

from benchmarks.engines.peers.common import Batch, Run, asked, generation_rates, told


def main() -> None:
    """`precision` is a compute type; all prompts are of one length."""
    job = asked()
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "converted")
        ctranslate2.converters.TransformersConverter(job.folder).convert(place)
        tokenizer = AutoTokenizer.from_pretrained(job.folder)

        def make(n_workers: int, n_threads: int) -> Run:
            generator = ctranslate2.Generator(
                place, compute_type=job.precision, inter_threads=n_workers, intra_threads=n_threads
            )

            def run(prompts: Batch) -> object:
                return generator.generate_batch(
                    [tokenizer.convert_ids_to_tokens(prompt) for prompt in prompts],
                    beam_size=1,
                    sampling_topk=1,
                    min_length=job.n_new,
                    max_length=job.n_new,
                    include_prompt_in_result=False,
                    max_batch_size=0,
                )

            return run

        told("ctranslate2", generation_rates(job, make))


if __name__ == "__main__":
    main()
