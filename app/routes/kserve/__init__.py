"""The Open Inference Protocol, version 2, which Triton, KServe and their clients speak.

dialect     how errors are answered, and how paths name models
server      the paths of the server and of the repository of its models
models      the paths of single models
inference   the course of an inference
reading     what an inference asks for and sends
rendering   its answer, in JSON and raw bytes
"""

from fastapi import APIRouter

from app.routes.kserve import models, server
from app.routes.kserve.dialect import DIALECT

__all__ = ["DIALECT", "router"]

router = APIRouter()
router.include_router(server.router)
router.include_router(models.router)
