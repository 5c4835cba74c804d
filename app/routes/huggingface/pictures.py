"""The pipelines that read images."""

import base64
from typing import Any

from app.errors import Fault, InvalidRequest
from app.routes.foreign import Reply
from app.routes.huggingface.pipeline import NativeCall, Pipeline, given_parameters, list_inputs, pointers
from app.schemas.foreign.huggingface import bodies
from models.checkpoint import Checkpoint
from models.codecs import PictureCodec

CLASSIFY_NAMES = {"top_k": "top_k", "function_to_apply": "function_to_apply"}
OUTPUTS = {"reconstruct": "reconstruction", "denoise": "denoised"}
"""Member of a native output that has the picture, by the native task."""


IMAGE_CLASSIFICATION = Pipeline(
    name="image-classification",
    tasks=("classify",),
    modality="image",
    form="an image: its bytes, or base64",
    body=bodies.PipelineImageClassificationBody,
    takes=lambda inputs: isinstance(inputs, str | bytes),
    to_native=lambda body, checkpoint: NativeCall(
        task="classify", inputs=list_inputs(body), parameters=given_parameters(body, CLASSIFY_NAMES)
    ),
    from_native=lambda body, reply: reply.outputs[0]["labels"],
    names=pointers(CLASSIFY_NAMES),
)


def _transform(body: bodies.PipelineImageToImageBody, checkpoint: Checkpoint) -> NativeCall:
    """Choose between reconstruction and denoising: as the prompt says, else what the model is the best for.

    Raises:
        InvalidRequest: another size is asked for than that of the model's images.
    """
    given = body.parameters or bodies.PipelineImageToImageParameters()
    size = given.target_size
    if size is not None and isinstance(checkpoint.codec, PictureCodec):
        detail = f"{size.width} x {size.height} pixels are refused; pictures of this model keep their size"
        raise InvalidRequest.of([Fault("/parameters/target_size", detail)])
    _, height, width = checkpoint.item_shape
    if size is not None and (size.height, size.width) != (height, width):
        detail = f"{size.width} x {size.height} pixels are refused; the images of this model have {width} x {height}"
        raise InvalidRequest.of([Fault("/parameters/target_size", detail)])
    task = given.prompt or ("denoise" if "denoise" in checkpoint.default_for else "reconstruct")
    return NativeCall(task=task, inputs=list_inputs(body), parameters={"format": "png"})


def _picture(body: Any, reply: Reply) -> bytes:
    """Return the picture as the bytes of a PNG file."""
    (output,) = reply.outputs
    url = next(output[name] for name in OUTPUTS.values() if name in output)
    return base64.b64decode(url.partition(",")[2])


IMAGE_TO_IMAGE = Pipeline(
    name="image-to-image",
    tasks=("reconstruct", "denoise"),
    modality="image",
    form="an image: its bytes, or base64",
    body=bodies.PipelineImageToImageBody,
    takes=lambda inputs: isinstance(inputs, str | bytes),
    to_native=_transform,
    from_native=_picture,
    is_picture=True,
)
