"""Files of sounds beside a model card, and the table of the card that plays them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.sounds.files import write_sound

PAUSE_S = 0.25
"""Silence between two sounds of a file, in seconds."""


def write_players(folder: Path, sounds: Mapping[str, Sequence[Tensor]], sampling_rate: int) -> str:
    """Write a FLAC file for each kind of sounds, and return a Markdown table that plays them.

    Args:
        folder: where the files are written.
        sounds: sounds `[1, T]` by what is written left of them; a file has those of a kind one after another.
        sampling_rate: samples of a second.
    """
    pause = torch.zeros(1, round(PAUSE_S * sampling_rate))
    rows = []
    for title, own in sounds.items():
        file = f"{title.replace(' ', '-').replace('/', '-')}.flac"
        joined = torch.cat([part for sound in own for part in (sound, pause)], 1)
        (folder / file).write_bytes(write_sound(joined[0].double().numpy(), sampling_rate, "flac"))
        rows.append(f'| {title} | <audio controls preload="none" src="{file}"></audio> [{file}]({file}) |')
    return "\n".join(("| | |", "|---|---|", *rows))
