"""Vectors of texts with OpenVINO, from its own conversion."""

import threading

import numpy as np
import openvino as ov
import torch
from transformers import AutoModel

from benchmarks.engines.peers.common import Batch, Run, asked, padded, rates, told


def main() -> None:
    """`precision` is f32 or bf16."""
    job = asked()
    model = AutoModel.from_pretrained(job.folder, attn_implementation="sdpa").eval()
    ids = torch.ones(2, 7, dtype=torch.int64)
    converted = ov.convert_model(model, example_input={"input_ids": ids, "attention_mask": ids})

    def make(n_workers: int, n_threads: int) -> Run:
        hints = {
            "INFERENCE_PRECISION_HINT": job.precision,
            "INFERENCE_NUM_THREADS": n_workers * n_threads,
            "NUM_STREAMS": n_workers,
        }
        compiled = ov.Core().compile_model(converted, "CPU", hints)
        own = threading.local()

        def run(batch: Batch) -> list[np.ndarray]:
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            ids, mask = (np.asarray(rows, dtype=np.int64) for rows in padded(batch))
            states = own.request.infer({"input_ids": ids, "attention_mask": mask})[0]
            return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

        return run

    told("openvino", rates(job, make))


if __name__ == "__main__":
    main()
