"""Vectors of texts with Transformers and SDPA."""

import torch
from transformers import AutoModel

from benchmarks.engines.peers.common import Batch, Run, asked, padded, rates, told


def main() -> None:
    """`precision` is a dtype of torch."""
    job = asked()
    dtype = getattr(torch, job.precision)
    model = AutoModel.from_pretrained(job.folder, attn_implementation="sdpa", dtype=dtype).to(job.device).eval()

    def make(_: int, n_threads: int) -> Run:
        @torch.inference_mode()
        def run(batch: Batch) -> torch.Tensor:
            torch.set_num_threads(n_threads)
            ids, mask = (torch.tensor(rows).to(job.device) for rows in padded(batch))
            states: torch.Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
            its = mask[:, :, None].to(states.dtype)
            return ((states * its).sum(1) / its.sum(1)).float().cpu()

        return run

    told("transformers", rates(job, make))


if __name__ == "__main__":
    main()
