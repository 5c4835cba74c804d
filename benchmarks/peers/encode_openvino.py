"""Vectors of texts with OpenVINO, from its own conversion."""

from collections.abc import Sequence

import numpy as np
import openvino as ov
import torch
from transformers import AutoModel

from benchmarks.peers.common import asked, padded, rates, told


def main() -> None:
    """`precision` is f32 or bf16."""
    job = asked()
    model = AutoModel.from_pretrained(job.folder, attn_implementation="sdpa").eval()
    ids = torch.ones(2, 7, dtype=torch.int64)
    converted = ov.convert_model(model, example_input={"input_ids": ids, "attention_mask": ids})
    hints = {
        "INFERENCE_PRECISION_HINT": job.precision,
        "INFERENCE_NUM_THREADS": job.n_threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = ov.Core().compile_model(converted, "CPU", hints).create_infer_request()

    def run(batch: Sequence[list[int]]) -> list[np.ndarray]:
        ids, mask = (np.asarray(rows, dtype=np.int64) for rows in padded(batch))
        states = request.infer({"input_ids": ids, "attention_mask": mask})[0]
        return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

    told("openvino", rates(job, run))


if __name__ == "__main__":
    main()
