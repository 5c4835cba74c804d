"""The dialect of Ollama: embeddings, generation and the list of models.

dialect     the form of its errors, and what its requests share
embeddings  `/api/embed` and `/api/embeddings`
generation  `/api/generate`
models      descriptions of models
routes      its routes
"""

from app.routes.ollama.dialect import DIALECT
from app.routes.ollama.routes import router

__all__ = ["DIALECT", "router"]
