"""Serve naively, for comparison: FastAPI as in its tutorial, with the same network called inside the handler."""

import torch
from fastapi import FastAPI
from pydantic import BaseModel

from app.settings import Settings
from benchmarks.server.requests import AUTOENCODER
from models.checkpoint import find_checkpoints, load_model, read_checkpoint


class Body(BaseModel):
    """The same JSON as Manifold accepts."""

    inputs: list[list[list[float]]]


class Output(BaseModel):
    """The reconstruction of an image, and its errors."""

    reconstruction: list[list[list[float]]]
    mse: float
    mae: float


class Answer(BaseModel):
    """The same JSON as Manifold answers."""

    model: str
    outputs: list[Output]


def create_app() -> FastAPI:
    """Return the application."""
    folder = next(f for f in find_checkpoints(Settings().weights_dir) if f.name == AUTOENCODER)
    model = load_model(read_checkpoint(folder))
    app = FastAPI()

    @app.post("/reconstruct")
    async def reconstruct(body: Body) -> Answer:
        images = torch.tensor(body.inputs).unsqueeze(1)
        with torch.inference_mode():
            reconstructions = model(images)
        errors = (reconstructions - images).flatten(1)
        outputs = [
            Output(
                reconstruction=reconstructions[i].tolist(),
                mse=errors[i].square().mean().item(),
                mae=errors[i].abs().mean().item(),
            )
            for i in range(len(images))
        ]
        return Answer(model=AUTOENCODER, outputs=outputs)

    return app
