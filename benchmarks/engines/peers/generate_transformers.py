"""Generate tokens greedily with Transformers."""

import torch
from transformers import AutoModelForCausalLM

from benchmarks.engines.peers.protocol import Batch, Runner, generation_rates, read_job, write_result


def main() -> None:
    """Run a job whose precision is a dtype of torch and whose prompts are of the same length."""
    job = read_job()
    dtype = getattr(torch, job.precision)
    model = AutoModelForCausalLM.from_pretrained(job.folder, attn_implementation="sdpa", dtype=dtype)
    model = model.eval().to(torch.device(job.device))

    def make_runner(n_workers: int, n_threads: int) -> Runner:
        @torch.inference_mode()
        def run(prompts: Batch) -> torch.Tensor:
            torch.set_num_threads(n_threads)
            ids = torch.tensor(list(prompts)).to(job.device)
            tokens: torch.Tensor = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                min_new_tokens=job.n_new_tokens,
                max_new_tokens=job.n_new_tokens,
                pad_token_id=0,
            )
            return tokens.cpu()

        return run

    write_result("transformers", generation_rates(job, make_runner))


if __name__ == "__main__":
    main()
