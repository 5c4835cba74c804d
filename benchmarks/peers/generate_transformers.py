"""New tokens with Transformers' `generate`, greedily."""

from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM

from benchmarks.peers.common import asked, generation_rates, told


def main() -> None:
    """`precision` is a dtype of torch; all prompts are of one length."""
    job = asked()
    torch.set_num_threads(job.n_threads)
    dtype = getattr(torch, job.precision)
    model = AutoModelForCausalLM.from_pretrained(job.folder, attn_implementation="sdpa", dtype=dtype).eval()

    @torch.inference_mode()
    def run(prompts: Sequence[list[int]]) -> torch.Tensor:
        ids = torch.tensor(list(prompts))
        found: torch.Tensor = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=job.n_new,
            max_new_tokens=job.n_new,
            pad_token_id=0,
        )
        return found

    told("transformers", generation_rates(job, run))


if __name__ == "__main__":
    main()
