"""The dialect of OpenAI: embeddings, completions and the list of models.

dialect      the form of its errors
embeddings   `/v1/embeddings`
completions  `/v1/completions`
routes       its routes
"""

from app.routes.openai.completions import answer_completions
from app.routes.openai.dialect import DIALECT
from app.routes.openai.embeddings import create_embeddings, read_embeddings
from app.routes.openai.routes import router

__all__ = ["DIALECT", "answer_completions", "create_embeddings", "read_embeddings", "router"]
