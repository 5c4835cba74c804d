"""What is served under a model's path, and whether it is."""

from importlib.metadata import version
from typing import Any, cast

from app.errors import TaskNotServed
from app.registry.loaded_model import LoadedModel
from app.registry.served_model import ServedModel
from app.routes.foreign import wake
from app.routes.model_ids import find_model
from app.schemas.foreign.tei import TeiInfo
from app.services import Services
from models.checkpoint import Checkpoint
from models.codecs import TextCodec
from models.tasks import CLASSIFY_TEXT, RERANK_PAIRS

LONGER_PATHS = {
    **dict.fromkeys(("health", "info", "ping"), "GET, HEAD"),
    **dict.fromkeys(("embed", "embed_all", "embed_sparse", "embeddings", "predict"), "POST"),
    **dict.fromkeys(("rerank", "similarity", "tokenize", "decode"), "POST"),
}
"""Last parts of paths that go on after the id of a model, with their methods."""


def find_text_model(services: Services, name: str, method: str) -> ServedModel:
    """Return a model of texts, whether it is in memory or not.

    Args:
        services: the components of the server.
        name: the id in the path of a request.
        method: the method of the request.

    Raises:
        UnknownModel: there is no such model.
        MethodNotAllowed: there is none, and the path is one that has other methods.
        TaskNotServed: its items are no texts.
    """
    model = find_model(services.registry, name.rstrip("/"), method, LONGER_PATHS)
    if model.checkpoint is not None and model.checkpoint.modality != "text":
        raise TaskNotServed(f"{model.name} reads no texts: its items are of the kind {model.checkpoint.modality}")
    return model


def classifies(model: ServedModel) -> bool:
    """Return whether a model has classes of whole texts."""
    return model.checkpoint is not None and CLASSIFY_TEXT in model.checkpoint.tasks


async def describe_model(services: Services, name: str) -> TeiInfo:
    """Return the description of a model, which is loaded first if it is idle, and of the limits that hold for it."""
    model = find_text_model(services, name, "GET")
    await wake(model)
    loaded, settings = model.require(), services.settings
    checkpoint = loaded.checkpoint
    codec = cast("TextCodec", checkpoint.codec)
    return TeiInfo(
        model_id=model.name,
        model_sha=checkpoint.sha256,
        model_dtype=loaded.conversion.precision,
        model_type=_type_of(checkpoint, loaded),
        max_concurrent_requests=settings.max_queue_items,
        max_input_length=codec.truncated_length,
        max_batch_tokens=settings.max_batch_tokens,
        max_batch_requests=None,
        max_client_batch_size=settings.max_items,
        auto_truncate=True,
        tokenization_workers=services.pools.n_short,
        version=version("manifold"),
    )


def _type_of(checkpoint: Checkpoint, loaded: LoadedModel) -> dict[str, Any]:
    if CLASSIFY_TEXT in checkpoint.tasks:
        labels = {
            "id2label": {str(index): label for index, label in enumerate(loaded.labels)},
            "label2id": {label: index for index, label in enumerate(loaded.labels)},
        }
        return {"reranker" if RERANK_PAIRS in checkpoint.tasks else "classifier": labels}
    pooling = loaded.text.pooling if loaded.text else ()
    return {"embedding": {"pooling": "+".join(pooling)}}
