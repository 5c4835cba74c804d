"""What the Open Inference Protocol says of a model: its metadata, its configuration and its statistics."""

from app.registry.loaded_model import LoadedModel
from app.schemas.foreign import kserve as schema
from app.schemas.foreign.kserve_tensors import TEXTS, TensorSpec, signature_of

PLATFORM = "pytorch_safetensors"
"""The framework and the format of all models."""
SERVER = "manifold"


def metadata_of(loaded: LoadedModel) -> schema.ModelMetadata:
    """Return the tensors that a model takes and offers."""
    signature = signature_of(loaded)
    return schema.ModelMetadata(
        name=loaded.checkpoint.name,
        versions=[schema.VERSION],
        platform=PLATFORM,
        inputs=[_tensor(signature.input)],
        outputs=[_tensor(output.spec) for output in signature.outputs.values()],
    )


def config_of(loaded: LoadedModel) -> schema.ModelConfig:
    """Return the configuration of a model in the form of Triton."""
    signature = signature_of(loaded)
    return schema.ModelConfig(
        name=loaded.checkpoint.name,
        platform=PLATFORM,
        backend=SERVER,
        max_batch_size=0,
        input=[_tensor_config(signature.input)],
        output=[_tensor_config(output.spec) for output in signature.outputs.values()],
    )


def statistics_of(loaded: LoadedModel) -> schema.ModelStatistics:
    """Return what a model has done since it was loaded."""
    found, none = loaded.engine.statistics, _duration()
    n_answered = found.n_answered
    return schema.ModelStatistics(
        name=loaded.checkpoint.name,
        version=schema.VERSION,
        last_inference=int(1000 * found.last_time_s),
        inference_count=found.n_items,
        execution_count=found.n_executions,
        inference_stats=schema.InferenceStatistics(
            success=_duration(n_answered, found.queue_s + found.inference_s),
            fail=_duration(found.failed.count, found.failed.total_s),
            queue=_duration(n_answered, found.queue_s),
            compute_input=none,
            compute_infer=_duration(n_answered, found.inference_s),
            compute_output=none,
            cache_hit=none,
            cache_miss=none,
        ),
        batch_stats=[
            schema.BatchStatistics(
                batch_size=n_items,
                compute_input=none,
                compute_infer=_duration(spent.count, spent.total_s),
                compute_output=none,
            )
            for n_items, spent in sorted(found.batches.items())
        ],
    )


def _tensor(spec: TensorSpec) -> schema.TensorMetadata:
    return schema.TensorMetadata.model_validate({"name": spec.name, "datatype": spec.datatype, "shape": spec.shape})


def _tensor_config(spec: TensorSpec) -> schema.TensorConfig:
    datatype = "STRING" if spec.datatype == TEXTS else spec.datatype
    return schema.TensorConfig(name=spec.name, data_type=f"TYPE_{datatype}", dims=list(spec.shape))


def _duration(count: int = 0, seconds: float = 0.0) -> schema.DurationStatistics:
    return schema.DurationStatistics(count=count, ns=int(1e9 * seconds))
