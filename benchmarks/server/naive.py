"""The peer: what one writes in an afternoon. FastAPI as its tutorial has it, the same network called inline."""

import torch
from fastapi import FastAPI
from pydantic import BaseModel

from app.settings import Settings
from models.checkpoint import find_checkpoints, load_model, read_checkpoint

MODEL = "vanilla-ae-mnist"


class Body(BaseModel):
    """The same JSON as ours."""

    inputs: list[list[list[float]]]


class Output(BaseModel):
    """One image."""

    reconstruction: list[list[list[float]]]
    mse: float
    mae: float


class Answer(BaseModel):
    """The same JSON as ours."""

    model: str
    outputs: list[Output]


def create_app() -> FastAPI:
    """The whole server."""
    folder = next(f for f in find_checkpoints(Settings().weights_dir) if f.name == MODEL)
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
        return Answer(model=MODEL, outputs=outputs)

    return app
