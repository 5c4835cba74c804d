"""Encode texts with Transformers and SDPA."""

import torch
from transformers import AutoModel

from benchmarks.engines.peers.protocol import Batch, Runner, encoding_rates, pad, read_job, write_result


def main() -> None:
    """Run a job whose precision is a dtype of torch."""
    job = read_job()
    dtype = getattr(torch, job.precision)
    model = AutoModel.from_pretrained(job.folder, attn_implementation="sdpa", dtype=dtype).to(job.device).eval()

    def make_runner(n_workers: int, n_threads: int) -> Runner:
        @torch.inference_mode()
        def run(batch: Batch) -> torch.Tensor:
            torch.set_num_threads(n_threads)
            ids, mask = (torch.tensor(rows).to(job.device) for rows in pad(batch))
            states: torch.Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
            is_token = mask[:, :, None].to(states.dtype)
            return ((states * is_token).sum(1) / is_token.sum(1)).float().cpu()

        return run

    write_result("transformers", encoding_rates(job, make_runner))


if __name__ == "__main__":
    main()
