"""Encode texts with ONNX Runtime, whose own tools export, fuse and, for int8, quantise the model."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from transformers import AutoModel

from benchmarks.engines.peers.protocol import Batch, Runner, encoding_rates, pad, read_job, write_result


class _LastHiddenState(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def export_fused(folder: str, target: Path) -> Path:
    """Write the model to a folder as an ONNX graph with the fusions of BERT, whose path is returned."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.ones(2, 7, dtype=torch.int64)
    dynamic = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        _LastHiddenState(model),
        (ids, ids),
        str(target / "plain.onnx"),
        input_names=["input_ids", "attention_mask"],
        output_names=["states"],
        dynamic_axes={"input_ids": dynamic, "attention_mask": dynamic, "states": dynamic},
        opset_version=17,
        dynamo=False,
    )
    config = model.config
    fused = optimizer.optimize_model(
        str(target / "plain.onnx"),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=1,
    )
    fused.save_model_to_file(str(target / "fused.onnx"))
    return target / "fused.onnx"


def main() -> None:
    """Run a job whose precision is float32 or int8."""
    job = read_job()
    with tempfile.TemporaryDirectory() as folder:
        graph = export_fused(job.folder, Path(folder))
        if job.precision == "int8":
            quantized = graph.with_name("int8.onnx")
            quantize_dynamic(
                str(graph),
                str(quantized),
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            )
            graph = quantized

        def make_runner(n_workers: int, n_threads: int) -> Runner:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = n_threads
            session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

            def run(batch: Batch) -> list[np.ndarray]:
                ids, mask = (np.asarray(rows, dtype=np.int64) for rows in pad(batch))
                (states,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
                return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

            return run

        write_result("onnxruntime", encoding_rates(job, make_runner))


if __name__ == "__main__":
    main()
