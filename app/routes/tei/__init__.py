"""The dialect of Text Embeddings Inference, which serves one model: here each has a path of its own, `/tei/{model}`.

dialect  the form of its errors
answers  reading bodies, the headers that count and time, and what several routes share
vectors  `embed`, `embed_all`, `embed_sparse` and `similarity`
scores   `predict` and `rerank`
tokens   `tokenize` and `decode`
info     `info` and `health`
routes   its routes
"""

from app.routes.tei.dialect import DIALECT
from app.routes.tei.routes import router

__all__ = ["DIALECT", "router"]
