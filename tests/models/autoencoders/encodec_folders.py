"""Folders of EnCodec with random weights, as transformers writes them. It runs in versions 4 and 5 of the library.

As a program, `python encodec_folders.py TASK` writes folders and what the library computes from them: TASK is the name
of a file with `{"configs": {NAME: {…}}, "root": FOLDER}`.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from transformers import EncodecConfig, EncodecModel

SOUND_FRAMES = (1, 3, 17.4, 40)
"""Lengths of the sounds that are encoded, in frames."""


def publish(folder: Path, values: dict[str, Any]) -> Any:
    """Save a random model with these hyperparameters, and return it in evaluation mode."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = cast("Any", EncodecModel)(EncodecConfig(**values)).eval()
        for layer in model.quantizer.layers:
            layer.codebook.embed.copy_(torch.randn_like(layer.codebook.embed))
        for name, parameter in model.named_parameters():  # so that magnitudes differ from the norms of directions
            parameter.data *= 1 + 0.2 * torch.rand_like(parameter)
            if name.endswith("norm.bias"):
                parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(folder)
    return model


def sounds_for(model: Any) -> list[torch.Tensor]:
    """Return sounds `[1, C, T]` of several lengths, the last of which has several chunks if the model splits sounds."""
    config, generator = model.config, torch.Generator().manual_seed(1)
    lengths = [max(1, int(n * config.hop_length)) for n in SOUND_FRAMES]
    if config.chunk_length:
        lengths += [config.chunk_length, config.chunk_stride + 1, 3 * config.chunk_stride + 5]
    return [torch.rand((1, config.audio_channels, n), generator=generator) - 0.5 for n in lengths]


def answers_of(model: Any, sound: torch.Tensor, bandwidth: float) -> dict[str, torch.Tensor]:
    """Return the codes of each chunk, the scales and the decoded sound, as the library computes them."""
    with torch.inference_mode():
        encoded = model.encode(sound, bandwidth=bandwidth, return_dict=True)
        scales = encoded.audio_scales
        n_last = getattr(encoded, "last_frame_pad_length", 0) or 0
        kwargs = {"last_frame_pad_length": n_last} if n_last else {}
        decoded = model.decode(encoded.audio_codes, scales, **kwargs).audio_values[..., : sound.shape[-1]]
    answers = {"sound": sound[0], "decoded": decoded[0].contiguous(), "n_last": torch.tensor(n_last)}
    answers["codes"] = encoded.audio_codes[:, 0].contiguous()
    if scales[0] is not None:
        answers["scales"] = torch.stack([scale.flatten()[0] for scale in scales])
    return answers


def main() -> None:
    """Write the folders of a task, with `answers-N.safetensors` for each sound."""
    task = json.loads(Path(sys.argv[1]).read_text())
    for name, values in task["configs"].items():
        folder = Path(task["root"]) / name
        model = publish(folder / "model", values)
        for i, sound in enumerate(sounds_for(model)):
            answers = answers_of(model, sound, model.config.target_bandwidths[-1])
            save_file({key: value.contiguous() for key, value in answers.items()}, folder / f"answers-{i}.safetensors")


if __name__ == "__main__":
    main()
