"""Vectors of texts with ONNX Runtime, exported, fused and, for int8, quantised by its own tools."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from transformers import AutoModel

from benchmarks.engines.peers.common import Batch, Run, asked, padded, rates, told


class _Named(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def exported(folder: str, place: Path) -> Path:
    """The model as one ONNX graph with BERT's fusions."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.ones(2, 7, dtype=torch.int64)
    dynamic = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        _Named(model),
        (ids, ids),
        str(place / "plain.onnx"),
        input_names=["input_ids", "attention_mask"],
        output_names=["states"],
        dynamic_axes={"input_ids": dynamic, "attention_mask": dynamic, "states": dynamic},
        opset_version=17,
        dynamo=False,
    )
    config = model.config
    fused = optimizer.optimize_model(
        str(place / "plain.onnx"),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=1,
    )
    fused.save_model_to_file(str(place / "fused.onnx"))
    return place / "fused.onnx"


def main() -> None:
    """`precision` is float32 or int8."""
    job = asked()
    with tempfile.TemporaryDirectory() as folder:
        graph = exported(job.folder, Path(folder))
        if job.precision == "int8":
            small = graph.with_name("int8.onnx")
            quantize_dynamic(
                str(graph),
                str(small),
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            )
            graph = small

        def make(_: int, n_threads: int) -> Run:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = n_threads
            session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

            def run(batch: Batch) -> list[np.ndarray]:
                ids, mask = (np.asarray(rows, dtype=np.int64) for rows in padded(batch))
                (states,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
                return [state[: len(row)].mean(0) for state, row in zip(states, batch, strict=True)]

            return run

        told("onnxruntime", rates(job, make))


if __name__ == "__main__":
    main()
