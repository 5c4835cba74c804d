"""New tokens with Transformers' `generate`, greedily."""

import torch
from transformers import AutoModelForCausalLM

from benchmarks.engines.peers.common import Batch, Run, asked, generation_rates, told


def main() -> None:
    """`precision` is a dtype of torch; all prompts are of one length."""
    job = asked()
    dtype = getattr(torch, job.precision)
    model = AutoModelForCausalLM.from_pretrained(job.folder, attn_implementation="sdpa", dtype=dtype)
    model = model.eval().to(torch.device(job.device))

    def make(_: int, n_threads: int) -> Run:
        @torch.inference_mode()
        def run(prompts: Batch) -> torch.Tensor:
            torch.set_num_threads(n_threads)
            ids = torch.tensor(list(prompts)).to(job.device)
            found: torch.Tensor = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                min_new_tokens=job.n_new,
                max_new_tokens=job.n_new,
                pad_token_id=0,
            )
            return found.cpu()

        return run

    told("transformers", generation_rates(job, make))


if __name__ == "__main__":
    main()
