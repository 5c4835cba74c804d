"""Encode texts with OpenVINO, which converts the model with its own tool."""

import threading

import numpy as np
import openvino as ov
import torch
from transformers import AutoModel

from benchmarks.engines.peers.protocol import Batch, Runner, encoding_rates, pad, read_job, write_result


def main() -> None:
    """Run a job whose precision is f32 or bf16."""
    job = read_job()
    model = AutoModel.from_pretrained(job.folder, attn_implementation="sdpa").eval()
    ids = torch.ones(2, 7, dtype=torch.int64)
    converted = ov.convert_model(model, example_input={"input_ids": ids, "attention_mask": ids})

    def make_runner(n_workers: int, n_threads: int) -> Runner:
        hints = {
            "INFERENCE_PRECISION_HINT": job.precision,
            "INFERENCE_NUM_THREADS": n_workers * n_threads,
            "NUM_STREAMS": n_workers,
        }
        compiled = ov.Core().compile_model(converted, "CPU", hints)
        thread_local = threading.local()

        def run(batch: Batch) -> list[np.ndarray]:
            if not hasattr(thread_local, "request"):
                thread_local.request = compiled.create_infer_request()
            ids, mask = (np.asarray(rows, dtype=np.int64) for rows in pad(batch))
            states = thread_local.request.infer({"input_ids": ids, "attention_mask": mask})[0]
            return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

        return run

    write_result("openvino", encoding_rates(job, make_runner))


if __name__ == "__main__":
    main()
