"""The Hugging Face Inference API: every task of a model at one URL, `/hf/{id}`.

pipeline    what a pipeline is
texts, generation, pictures
            the pipelines
dispatch    which pipeline a request means
calls       the path of a request
errors      the form of errors
routes      the routes
"""

from app.routes.huggingface.routes import DIALECT, router

__all__ = ["DIALECT", "router"]
