"""Files of sound on the command line: in, and out."""

import io
from pathlib import Path

import numpy as np
import pytest

from app.cli.errors import Refused
from app.cli.inputs import Reader
from tests.app.cli.conftest import Run
from tests.app.sounds import MONO, RATE, file_of, tone, write_models

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_sound_goes_in_and_comes_out(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    write_models(tmp_path / "weights")
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(tmp_path / "weights"))
    (tmp_path / "tone.ogg").write_bytes(file_of(tone(0.5), "OGG", subtype="VORBIS"))
    done = run("reconstruct", "tone.ogg", "--model", MONO, "--bandwidth", "0.4", "-o", f"out.{kind}")
    assert done.exit_code == 0, done.output
    found, rate = soundfile.read(tmp_path / f"out.{kind}")
    assert (len(found), rate) == (RATE // 2, RATE)
    encoded = run("encode", "--model", MONO, "--ndjson", stdin=file_of(tone(0.5)))
    assert encoded.exit_code == 0, encoded.output
    assert '"codes"' in encoded.stdout
    decoded = run("decode", "-", "--from", "ndjson", "--model", MONO, "--format", kind, stdin=encoded.stdout_bytes)
    assert decoded.exit_code == 0, decoded.output
    assert "a sound" in decoded.stdout


def test_a_file_is_known_by_its_name_or_its_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(takes_texts=True, text_format="lines")
    for name, kind in (("a.wav", "WAV"), ("b.flac", "FLAC"), ("c", "FLAC"), ("d.ogg", "OGG"), ("e", "WAV")):
        (tmp_path / name).write_bytes(file_of(np.zeros(100, np.float32), kind))
        (item,) = reader.read([str(tmp_path / name)])
        assert item.value.startswith(f"data:audio/{kind.lower()};base64,")
    (tmp_path / "f.wav").write_bytes(b"RIFF\0\0\0\0WEBP")
    with pytest.raises(Refused, match=r"f\.wav is not a WAV, FLAC or Ogg sound"):
        reader.read([str(tmp_path / "f.wav")])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file_of(np.zeros(9, np.float32)))))
    (item,) = reader.read(["-"])
    assert item.value.startswith("data:audio/wav;base64,")
