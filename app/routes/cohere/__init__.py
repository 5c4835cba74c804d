"""The dialect of Cohere: documents ranked by a query, and embeddings.

dialect  the form of its errors, and how `/rerank` tells its bodies from native ones
rerank   `/v1/rerank`, `/v2/rerank` and `/rerank` with `documents`
embed    `/v1/embed` and `/v2/embed`
prompts  which of a model's prompts stand before queries and documents
routes   its routes
"""

from app.routes.cohere.dialect import DIALECT
from app.routes.cohere.routes import TASK_FORMS, router

__all__ = ["DIALECT", "TASK_FORMS", "router"]
