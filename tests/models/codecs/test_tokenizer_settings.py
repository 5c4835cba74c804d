"""Tokenizers that are declared as people publish them, compared with both versions of transformers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from models.catalogue import families
from models.codecs.text import TextCodec, read_text_codec
from models.errors import CheckpointError
from tests.models.codecs.tokenizer_variants import (
    BERT,
    BERT_OLD,
    GPT,
    ONE_VERSION,
    ROBERTA,
    VARIANTS,
    Edit,
    build,
    copy_of,
    has_file,
    has_old_files,
    is_cased,
    says,
    token,
)
from tests.models.transformers import pipelines
from tests.models.transformers.version_4 import ask_version_4

TOKENIZERS = {spec.published.model_type: spec.tokenizer for spec in families().values() if spec.published}
OTHERS = [tokenizer for tokenizer in TOKENIZERS.values() if tokenizer]


def codec_of(folder: Path, max_tokens: int = 512) -> TextCodec:
    config = json.loads((folder / "config.json").read_text())
    defaults = TOKENIZERS[config["model_type"]]
    assert defaults is not None
    return read_text_codec(folder, "mine", defaults, max_tokens=max_tokens, config=config, others=OTHERS)


def encodings(codec: TextCodec) -> list[Any]:
    encoded = [codec.encode(*texts) for texts in pipelines.TEXTS]
    return [[tokens.ids.tolist(), tokens.type_ids.tolist()] for tokens in encoded]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return build(tmp_path_factory.mktemp("tokenizers"))


@pytest.fixture(scope="module")
def version_4(folders: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return ask_version_4(tmp_path_factory.mktemp("version-4"), folders, with_models=False)


def version_5(folder: Path) -> Any:
    return pipelines.ask({"mine": str(folder)}, with_models=False)["mine"]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_tokenizer_is_read_as_version_5_of_transformers_does(folders: Mapping[str, Path], name: str) -> None:
    assert {"encodings": encodings(codec_of(folders[name]))} == version_5(folders[name])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_tokenizer_is_read_as_version_4_of_transformers_does(
    folders: Mapping[str, Path], version_4: Mapping[str, Any], name: str
) -> None:
    assert {"encodings": encodings(codec_of(folders[name]))} == version_4[name]


@pytest.mark.parametrize("name", ONE_VERSION)
def test_the_version_that_a_folder_was_made_for_counts_where_versions_disagree(
    folders: Mapping[str, Path], version_4: Mapping[str, Any], name: str
) -> None:
    theirs = {4: version_4[name], 5: version_5(folders[name])}
    followed = ONE_VERSION[name][2]
    assert {"encodings": encodings(codec_of(folders[name]))} == theirs[followed]
    assert theirs[4] != theirs[5]


def drop_token(folder: Path, token: str) -> None:
    path = folder / "vocab.txt"
    path.write_text(path.read_text().replace(f"{token}\n", "[unused]\n"))


REFUSED: dict[str, tuple[str, tuple[Edit, ...], str]] = {
    "unknown class": (BERT, (says(tokenizer_class="BertJapaneseTokenizer"),), "'BertJapaneseTokenizer' is not known"),
    "unknown class in config.json": (
        *(BERT, (says(tokenizer_class=None), has_file("config.json", tokenizer_class="MyTokenizer"))),
        "mine/config.json: the tokenizer_class 'MyTokenizer' is not known",
    ),
    "custom code": (BERT, (says(auto_map={"AutoTokenizer": ["tok.Mine", None]}),), "auto_map asks for the tokenizer"),
    "custom code as a list": (BERT, (says(auto_map=["tok.Mine", None]),), "auto_map asks for the tokenizer"),
    "class of another model": (BERT, (says(tokenizer_class="RobertaTokenizer"),), "reads BPE, but .* has WordPiece"),
    "older files of a class with a target": (
        *(BERT, (has_old_files, says(tokenizer_class="MarianTokenizer"))),
        "tokenizer_class is 'MarianTokenizer'; without tokenizer.json",
    ),
    "older files without an end": (
        *(BERT, (*BERT_OLD, says(sep_token=None, cls_token=None), lambda folder: drop_token(folder, "[SEP]"))),
        r"the vocabulary lacks the sep_token '\[SEP\]', which texts are enclosed in",
    ),
    "older files without the tokens of their class": (
        *(GPT, (has_old_files, says(tokenizer_class="RobertaTokenizer"))),
        "the vocabulary lacks the cls_token '<s>', sep_token '</s>', which texts are enclosed in",
    ),
    "generic class without its file": (BERT, (has_old_files, says()), "without tokenizer.json"),
    "id beyond the next": (
        *(BERT, (has_file("added_tokens.json", **{"[ENT]": 5001}),)),
        r"added_tokens.json: the token '\[ENT\]' is declared with the id 5001, but the tokenizer gives it 5000",
    ),
    "id of another token": (
        *(BERT, (says(added_tokens_decoder={"7": token("[ENT]")}),)),
        "declared with the id 7, but the tokenizer gives it 5000",
    ),
    "id beyond the next, old": (
        *(BERT, (*BERT_OLD, has_file("added_tokens.json", **{"[ENT]": 5007}))),
        "declared with the id 5007",
    ),
    "setting of no kind": (BERT, (says(tokenizer_class="BertTokenizer", do_lower_case="no"),), "do_lower_case is 'no'"),
    "side of no kind": (BERT, (says(truncation_side="top"),), "truncation_side is 'top'"),
    "inputs of no kind": (BERT, (says(model_input_names="ids"),), "model_input_names is 'ids'"),
    "types of GPT-2": (GPT, (says(model_input_names=["input_ids", "token_type_ids"]),), "has 'token_type_ids'"),
    "ids that are no numbers": (BERT, (says(added_tokens_decoder={"x": token("[ENT]")}),), "must map ids to tokens"),
    "token without a text": (BERT, (says(additional_special_tokens=[{"lstrip": True}]),), "is no token"),
    "prefix that cannot be applied": (
        *("albert-mini-en", (says(tokenizer_class="AlbertTokenizer", add_prefix_space=False),)),
        "add_prefix_space is False, which cannot be applied",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(case: str, tmp_path: Path) -> None:
    source, edits, reason = REFUSED[case]
    folder = copy_of(source, tmp_path / "mine")
    for change in edits:
        change(folder)
    with pytest.raises(CheckpointError, match=reason):
        codec_of(folder)


def test_settings_of_albert_count_above_its_file_where_they_are_set(tmp_path: Path) -> None:
    text = "Ünder THE king"
    as_it_is, cased, accented = (copy_of("albert-mini-en", tmp_path / name) for name in ("plain", "cased", "accents"))
    says(tokenizer_class="AlbertTokenizer")(as_it_is)
    says(tokenizer_class="AlbertTokenizer", do_lower_case=False)(cased)
    says(tokenizer_class="AlbertTokenizer", keep_accents=True)(accented)
    plain = codec_of(as_it_is)
    assert codec_of(accented).encode("under THE king").ids.tolist() == plain.encode(text).ids.tolist()
    assert codec_of(accented).encode(text).ids.tolist() != plain.encode(text).ids.tolist()
    assert codec_of(cased).encode("under the king").ids.tolist() == plain.encode(text).ids.tolist()
    assert codec_of(cased).encode(text).ids.tolist() != plain.encode(text).ids.tolist()


@pytest.mark.parametrize("side", ["left", "right"])
def test_long_texts_are_truncated_on_the_side_that_the_settings_name(tmp_path: Path, side: str) -> None:
    import transformers

    folder = copy_of(BERT, tmp_path / "mine")
    says(truncation_side=side, model_input_names=["input_ids", "token_type_ids"])(folder)
    reference, codec = transformers.AutoTokenizer.from_pretrained(folder), codec_of(folder, max_tokens=8)
    for texts in (
        ("the old king went to the town",),
        ("the old king went", "to the old town of the north"),
        ("a", "b"),
    ):
        expected = reference(*texts, truncation=True, max_length=8)["input_ids"]
        assert codec.encode_truncated(*texts).ids.tolist() == expected


def test_spaces_are_cleaned_up_where_the_settings_want_it(tmp_path: Path) -> None:
    import transformers

    folder = copy_of("albert-mini-en", tmp_path / "mine")
    says(clean_up_tokenization_spaces=True)(folder)
    reference, codec = transformers.AutoTokenizer.from_pretrained(folder), codec_of(folder)
    ids = codec.encode("it is n't the king 's , is it ? ' no ' !").ids.tolist()
    assert codec.decode(ids) == reference.decode(ids, skip_special_tokens=True)


def test_dropout_of_merges_is_for_training(tmp_path: Path) -> None:
    folder = copy_of(ROBERTA, tmp_path / "mine")
    text = "an undeniably incredible transformation of the kingdom"
    expected = codec_of(folder).encode(text).ids.tolist()
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["dropout"] = 0.9
    (folder / "tokenizer.json").write_text(json.dumps(content))
    codec = codec_of(folder)
    assert [codec.encode(text).ids.tolist() for _ in range(5)] == [expected] * 5


def test_a_codec_tells_what_was_understood(tmp_path: Path) -> None:
    folder = copy_of(BERT, tmp_path / "mine")
    is_cased(folder)
    says(tokenizer_class="BertTokenizerFast", additional_special_tokens=["[ENT]"])(folder)
    codec = codec_of(folder)
    assert (codec.encoding.class_name, codec.encoding.has_types, codec.n_added_tokens) == ("BertTokenizer", True, 1)
    assert not codec_of(copy_of(ROBERTA, tmp_path / "roberta")).encoding.has_types
