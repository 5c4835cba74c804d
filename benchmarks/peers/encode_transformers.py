"""Vectors of texts with Transformers and SDPA."""

from collections.abc import Sequence

import torch
from transformers import AutoModel

from benchmarks.peers.common import asked, padded, rates, told


def main() -> None:
    """`precision` is a dtype of torch."""
    job = asked()
    torch.set_num_threads(job.n_threads)
    dtype = getattr(torch, job.precision)
    model = AutoModel.from_pretrained(job.folder, attn_implementation="sdpa", dtype=dtype).eval()

    @torch.inference_mode()
    def run(batch: Sequence[list[int]]) -> list[torch.Tensor]:
        ids, mask = (torch.tensor(rows) for rows in padded(batch))
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

    told("transformers", rates(job, run))


if __name__ == "__main__":
    main()
