"""Generate tokens greedily with CTranslate2, which converts the model with its own tool."""

import tempfile
from pathlib import Path

import ctranslate2
from transformers import AutoTokenizer

from benchmarks.engines.peers.protocol import Batch, Runner, generation_rates, read_job, write_result


def main() -> None:
    """Run a job whose precision is a compute type of CTranslate2."""
    job = read_job()
    with tempfile.TemporaryDirectory() as folder:
        converted = str(Path(folder) / "converted")
        ctranslate2.converters.TransformersConverter(job.folder).convert(converted)
        tokenizer = AutoTokenizer.from_pretrained(job.folder)

        def make_runner(n_workers: int, n_threads: int) -> Runner:
            generator = ctranslate2.Generator(
                converted, compute_type=job.precision, inter_threads=n_workers, intra_threads=n_threads
            )

            def run(prompts: Batch) -> object:
                return generator.generate_batch(
                    [tokenizer.convert_ids_to_tokens(prompt) for prompt in prompts],
                    beam_size=1,
                    sampling_topk=1,
                    min_length=job.n_new_tokens,
                    max_length=job.n_new_tokens,
                    include_prompt_in_result=False,
                    max_batch_size=0,
                )

            return run

        write_result("ctranslate2", generation_rates(job, make_runner))


if __name__ == "__main__":
    main()
