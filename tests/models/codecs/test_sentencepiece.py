"""Tokenizers in the format of sentencepiece, ALBERT's and Marian's, compared with those of `transformers`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from models.codecs.text.unigram import read_charsmap
from models.errors import CheckpointError, InvalidItems
from tests.models.codecs.test_text import HOSTILE, assembled, codec_of, reference_tokenizer

ENGLISH = ["A man rides a red bike.", "Two dogs run through the green grass!", "The café is closed, isn't it?"] * 20
GERMAN = ["Ein Mann fährt ein rotes Fahrrad.", "Zwei Hunde rennen durch das grüne Gras!", "Das Café ist zu, oder?"] * 20
LIMITED = {name: text for name, text in HOSTILE.items() if name not in ("one letter", "special")}


def train(folder: Path, name: str, texts: list[str], vocab_size: int, **options: Any) -> list[str]:
    """A unigram model; returns its pieces."""
    (folder / "texts").write_text("\n".join(texts))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "texts"),
        model_prefix=str(folder / "trained"),
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    (folder / "trained.model").rename(folder / name)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
    return [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]


def test_albert_agrees_with_the_reference(tmp_path: Path) -> None:
    symbols = ["[CLS]", "[SEP]", "[MASK]"]
    train(tmp_path, "spiece.model", ENGLISH, 90, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=symbols)
    assert read_charsmap((tmp_path / "spiece.model").read_bytes())
    codec = codec_of(tmp_path, "albert", 64)
    reference = reference_tokenizer("AlbertTokenizer", tmp_path)
    for name, text in LIMITED.items():
        assert codec.encode(text).ids.tolist() == reference(text)["input_ids"], name
    pair = ("A red bike.", "Two dogs")
    assert codec.encode(*pair).ids.tolist() == reference(*pair)["input_ids"]
    assert codec.encode(*pair).type_ids.tolist() == reference(*pair, return_token_type_ids=True)["token_type_ids"]
    assert codec.special.mask == reference.mask_token_id


def test_the_charsmap_is_what_the_protocol_buffer_has(tmp_path: Path) -> None:
    train(tmp_path, "spiece.model", ENGLISH, 90)
    data = (tmp_path / "spiece.model").read_bytes()
    model = sentencepiece_model_pb2.ModelProto.FromString(data)  # type: ignore[attr-defined] # made at run time
    assert read_charsmap(data) == model.normalizer_spec.precompiled_charsmap
    model.normalizer_spec.ClearField("precompiled_charsmap")
    assert read_charsmap(model.SerializeToString()) == b""


@pytest.mark.parametrize("n_bytes", [1, 2, 40])
def test_a_damaged_model_has_no_charsmap(n_bytes: int) -> None:
    with pytest.raises(ValueError, match=r"the protocol buffer|no number of at most"):
        read_charsmap(b"\xff" * n_bytes)


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("marian")
    pieces = train(tmp_path, "source.spm", ENGLISH, 80) + train(tmp_path, "target.spm", GERMAN, 80)
    own = [piece for piece in dict.fromkeys(pieces) if piece not in ("<s>", "</s>", "<unk>")]
    names = ["</s>", "<unk>", *own, ">>de<<", "<pad>"]
    (tmp_path / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"source_lang": "en", "target_lang": "de"}))
    return tmp_path


def test_marian_agrees_with_the_reference(marian: Path) -> None:
    codec = codec_of(marian, "vanilla", 64)
    reference = reference_tokenizer("MarianTokenizer", marian)
    for name, text in LIMITED.items():
        assert codec.encode(text).ids.tolist() == reference(text)["input_ids"], name
    assert codec.encode(">>de<< A man").ids.tolist() == reference(">>de<< A man")["input_ids"]
    for text in GERMAN[:3]:
        ids = reference(text_target=text)["input_ids"]
        assert codec.encode_target(text).ids.tolist() == ids
        assert codec.decode(ids) == reference.decode(ids, skip_special_tokens=True)


def test_marian_pieces_have_offsets(marian: Path) -> None:
    codec = codec_of(marian, "vanilla", 64)
    text = ">>de<< A man rides"
    tokens = codec.encode(text)
    details = tokens.details()
    spans = [text[start:end] for start, end in details.offsets[:-1]]
    assert spans[0] == ">>de<<"
    assert "".join(spans).replace(" ", "") == text.replace(" ", "")
    assert (details.offsets[-1], details.texts[-1]) == ((0, 0), None)
    assert codec.encode_truncated("A man rides " * 90).ids.tolist()[-1] == codec.special.end
    assert len(codec.encode_truncated("A man rides " * 90)) == 64
    with pytest.raises(InvalidItems, match="no pairs"):
        codec.encode("a", "b")


def test_a_translation_keeps_the_space_of_a_piece_that_is_nothing_else(marian: Path) -> None:
    codec = codec_of(marian, "vanilla", 64)
    ids = [codec.id_of(piece) or 0 for piece in ("▁", "a", "▁", "s")]
    assert assembled(codec, ids) == codec.decode(ids) == "a s"


@given(data=st.data())
@settings(max_examples=200)
def test_translations_are_assembled_to_the_text_that_is_decoded(marian: Path, data: st.DataObject) -> None:
    codec = codec_of(marian, "vanilla", 64)
    space = codec.id_of("▁") or 0
    token_ids = st.integers(0, codec.vocab_size - 1) | st.sampled_from([space, *sorted(codec.special.all)])
    ids = data.draw(st.lists(token_ids, max_size=8))
    assert assembled(codec, ids) == codec.decode(ids)


def test_marian_needs_its_special_tokens(marian: Path, tmp_path: Path) -> None:
    marian = Path(shutil.copytree(marian, tmp_path / "mine"))
    vocab = json.loads((marian / "vocab.json").read_text())
    del vocab["<pad>"]
    (marian / "vocab.json").write_text(json.dumps(vocab))
    with pytest.raises(CheckpointError, match=r"vocab.json lacks the special tokens \['<pad>'\]"):
        codec_of(marian, "vanilla", 64)


SETTINGS: dict[str, dict[str, Any]] = {
    "no more": {},
    "additional": {"additional_special_tokens": ["[ENT]", "ENT"]},
    "declared": {"added_tokens_decoder": {"NEXT": {"content": "[ENT]", "lstrip": True, "rstrip": True}}},
    "single word": {"added_tokens_decoder": {"NEXT": {"content": "man", "single_word": True, "special": False}}},
    "truncated on the left": {"truncation_side": "left"},
}


@pytest.mark.parametrize("case", SETTINGS)
def test_marian_finds_declared_tokens_as_the_reference_does(marian: Path, case: str, tmp_path: Path) -> None:
    folder = shutil.copytree(marian, tmp_path / "mine")
    next_id = len(json.loads((folder / "vocab.json").read_text()))
    content = json.dumps(SETTINGS[case]).replace("NEXT", str(next_id))
    (folder / "tokenizer_config.json").write_text(content)
    codec, reference = codec_of(folder, "vanilla", 6), reference_tokenizer("MarianTokenizer", folder)
    for text in (
        "A man</s> rides <pad>a <unk> bike [ENT] red ENT man",
        "</s>",
        "a manly man, woman",
        "   ",
        ">>de<< A >>de<< man <<",
        "<pad>>>de<< A man",
    ):
        tokens = codec.encode(text)
        assert tokens.ids.tolist() == reference(text)["input_ids"], text
        assert all(0 <= start <= end <= len(text) for start, end in tokens.details().offsets)
        truncated = reference(text, truncation=True, max_length=6)["input_ids"]
        assert codec.encode_truncated(text).ids.tolist() == truncated, text


def test_marian_ignores_a_tokenizer_json_that_its_class_does_not_read(marian: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(marian, tmp_path / "mine")
    (folder / "tokenizer.json").write_text("{}")
    assert (
        codec_of(folder, "vanilla", 64).encode("A man").ids.tolist()
        == codec_of(marian, "vanilla").encode("A man").ids.tolist()
    )
    (folder / "added_tokens.json").write_text(json.dumps({"[ENT]": 7}))
    with pytest.raises(CheckpointError, match=r"'\[ENT\]' is declared with the id 7, but the tokenizer gives it"):
        codec_of(folder, "vanilla", 64)
