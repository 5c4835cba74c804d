"""Tests of the comparison with Codec2 and Opus, without and, where they are installed, with the programs."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks.cli import bench
from benchmarks.sounds import codecs
from benchmarks.sounds.codecs import CodecResult, measure_program
from benchmarks.sounds.programs import PROGRAMS, Coded, Program, payload_bytes
from tests.training.sounds import tiny


def page(*packets: bytes) -> bytes:
    """Return a page of Ogg with whole packets, none of which has a multiple of 255 bytes."""
    table = b"".join(bytes([255] * (len(packet) // 255) + [len(packet) % 255]) for packet in packets)
    return b"OggS" + bytes(22) + bytes([len(table)]) + table + b"".join(packets)


def test_the_bytes_of_an_ogg_file_are_those_of_its_packets_of_sound() -> None:
    file = page(b"OpusHead") + page(b"OpusTags" + bytes(300)) + page(bytes(10), bytes(260)) + page(bytes(3))
    assert payload_bytes(file) == 10 + 260 + 3
    with pytest.raises(ValueError, match="no page of Ogg at byte 35"):
        payload_bytes(page(b"OpusHea") + b"rest")


class Halver(Program):
    """A codec that halves the amplitude and delays the sound, at one bit a sample."""

    programs = ("sh", "sh")
    package = "halver"

    def run(self, folder: Path, sound: torch.Tensor) -> Coded:
        assert folder.is_dir()
        delayed = torch.nn.functional.pad(sound, (80, 0))
        return Coded(delayed / 2, sound.shape[1])


class Missing(Halver):
    """A codec that is not installed."""

    programs = ("sh", "no-such-program")
    package = "missing-package"


def test_a_program_is_measured_by_what_it_decodes_and_its_bits() -> None:
    sounds = tiny.recordings(1).sounds
    loud = [sound.new_tensor(0.3) * torch.randn(sound.shape) for sound in sounds]
    result = measure_program(Halver(title="Halver", kbit_per_s=8.0), loud)
    assert result.codec == "Halver at 8 kbit/s"
    assert result.kbit_per_s == pytest.approx(8)
    assert result.log_mel_distance == pytest.approx(6.02, abs=0.1)


def test_codecs_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(codecs, "PROGRAMS", (Halver(title="Halver", kbit_per_s=8), Missing(title="M", kbit_per_s=1)))
    monkeypatch.setattr(codecs, "fsdd", lambda data: tiny.split())
    monkeypatch.setattr(codecs, "measure_own", lambda resources, sounds: [CodecResult("ours", 3.0, 4.5)])
    shown = CliRunner().invoke(bench, ["codecs", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "| ours | 3.00 | 4.50 |" in shown.output
    assert "| Halver at 8 kbit/s | 8.00 |" in shown.output
    assert (
        "Not installed: missing-package; `apt-get install -y --no-install-recommends missing-package`" in shown.output
    )
    found = json.loads(CliRunner().invoke(bench, ["codecs", str(tmp_path), "--json"], catch_exceptions=False).stdout)
    assert found["missing"] == ["missing-package"]
    assert [each["codec"] for each in found["codecs"]] == ["ours", "Halver at 8 kbit/s"]


def test_without_the_data_the_file_is_named(tmp_path: Path) -> None:
    shown = CliRunner().invoke(bench, ["codecs", str(tmp_path)])
    assert shown.exit_code == 1
    assert "fsdd/recordings.npz is missing" in shown.output


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: f"{program.title}-{program.kbit_per_s:g}")
def test_programs_code_speech(program: Program) -> None:
    if not program.is_installed:
        pytest.skip(f"{program.package} is not installed")
    (sound,) = tiny.recordings(1).sounds[3:4]
    coded = program.code(sound)
    seconds = sound.shape[1] / 8000
    assert coded.sound.shape[1] >= sound.shape[1] - 160
    assert coded.sound.abs().max() > 0.02
    assert 0.5 * program.kbit_per_s < coded.n_bits / seconds / 1000 < 4 * program.kbit_per_s
