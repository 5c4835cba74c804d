"""Sentence encoders as sentence-transformers saves them: their vectors are the library's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling
from torch import nn

from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.codecs.text import TextItem
from models.errors import InvalidItems
from tests.models.sentence_folders import (
    PROMPTS,
    TEXTS,
    WIDTH,
    checkpoint_of,
    edit,
    library,
    ours,
    save,
    similarities,
    theirs,
    vectors,
)
from tests.models.transformers.reference import assert_close


def old_flags(folder: Path, *flags: str) -> None:
    """Rewrite the pooling as versions 1 to 4 saved it."""
    known = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    values = {f"pooling_mode_{flag}": flag in flags for flag in known}
    (folder / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": WIDTH, **values}))


def age(folder: Path, version: int) -> None:
    """Rewrite the names of the modules' classes, and move files, as older versions had them."""
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = f"sentence_transformers.models.{module['type'].rpartition('.')[2]}"
    if version < 2:
        inner = folder / "0_Transformer"
        inner.mkdir()
        modules[0]["path"] = inner.name
        for file in [path for path in folder.iterdir() if path.is_file() and path.name != "modules.json"]:
            file.rename(inner / file.name)
        (inner / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8, "do_lower_case": False}))
        (inner / "config_sentence_transformers.json").unlink()
        (folder / "config.json").write_text(json.dumps({"__version__": "1.0.0"}))
        if (folder / f"{len(modules) - 1}_Normalize").exists():
            shutil.rmtree(folder / f"{len(modules) - 1}_Normalize")  # which had no files
    else:
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8, "do_lower_case": False}))
    (folder / "modules.json").write_text(json.dumps(modules))


MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
CHAINS: dict[str, Callable[[], list[nn.Module]]] = {
    **{mode: lambda mode=mode: [Pooling(WIDTH, mode)] for mode in MODES},  # type: ignore[misc]
    "all poolings": lambda: [Pooling(WIDTH, MODES[::-1])],
    "unit length": lambda: [Pooling(WIDTH, ("mean", "cls")), Normalize()],
    "dense": lambda: [Pooling(WIDTH), Dense(WIDTH, 7), Normalize()],
    "two dense": lambda: [
        Pooling(WIDTH, "cls"),
        Dense(WIDTH, 30, bias=False, activation_function=nn.Identity()),
        Dense(30, 5, bias=False, activation_function=nn.GELU()),
    ],
    "dense over poolings": lambda: [Pooling(WIDTH, ("max", "lasttoken")), Dense(2 * WIDTH, 9, True, nn.ReLU())],
    "residual": lambda: [Pooling(WIDTH), Dense(WIDTH, 4, use_residual=True), Dense(4, 4, use_residual=True)],
    "unit length before dense": lambda: [Pooling(WIDTH), Normalize(), Dense(WIDTH, 6, True, nn.SiLU())],
    "layer norm and dropout": lambda: [Pooling(WIDTH), Dropout(0.5), LayerNorm(WIDTH), Dropout(0.1), Normalize()],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_vectors_are_those_of_the_library(bases: Path, tmp_path: Path, chain: str) -> None:
    folder = save(bases, tmp_path / "mine", *CHAINS[chain]())
    expected = theirs(folder)
    assert_close(vectors(folder), expected)
    assert checkpoint_of(folder).embedding_width == expected.shape[1]


@pytest.mark.parametrize("base", ["RobertaModel", "AlbertForMaskedLM", "DistilBertModel", "MPNetModel", "ElectraModel"])
def test_other_families_are_sentence_encoders_too(bases: Path, tmp_path: Path, base: str) -> None:
    modules = [Pooling(WIDTH, ("weightedmean", "mean"), include_prompt=False), Dense(2 * WIDTH, 3)]
    folder = save(bases, tmp_path / "mine", *modules, base=base, prompts=PROMPTS, default_prompt_name="of")
    if base.startswith("Albert"):  # the library keeps the encoder alone
        edit(folder, "config.json", architectures=["AlbertModel"])
    assert_close(vectors(folder), theirs(folder))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("flags", [("mean_tokens",), ("lasttoken", "mean_sqrt_len_tokens", "cls_token"), ()])
def test_folders_of_older_versions_are_read(bases: Path, tmp_path: Path, version: int, flags: tuple[str, ...]) -> None:
    n = max(1, len(flags))
    folder = save(bases, tmp_path / "mine", Pooling(WIDTH, MODES[:n]), Dense(n * WIDTH, 5), Normalize())
    old_flags(folder, *flags)
    age(folder, version)
    expected = theirs(folder)
    assert_close(vectors(folder), expected)
    assert checkpoint_of(folder).item_shape == (8,)


def test_a_checkpoint_without_a_configuration_of_its_own_is_found(bases: Path, tmp_path: Path) -> None:
    folder = save(bases, tmp_path / "transformers/bert/mine", Pooling(WIDTH))
    age(folder, 1)
    (folder / "config.json").unlink()
    assert find_checkpoints(tmp_path) == [folder]
    assert checkpoint_of(folder).name == "mine"


@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_the_length_limit_has_several_homes(bases: Path, tmp_path: Path, model_type: str) -> None:
    folder = save(bases, tmp_path / "mine", Pooling(WIDTH))
    edit(folder, "tokenizer_config.json", model_max_length=9)
    (folder / "sentence_bert_config.json").unlink()
    assert checkpoint_of(folder).item_shape == (9,)
    assert_close(vectors(folder), theirs(folder))
    (folder / f"sentence_{model_type}_config.json").write_text(json.dumps({"max_seq_length": 7}))
    assert checkpoint_of(folder).item_shape == (7,)
    (folder / f"sentence_{model_type}_config.json").write_text(json.dumps({"max_seq_length": None}))
    for limit, n_tokens in ((9, 9), (1e30, 24), (10**30, 24), (512, 24), (..., 24)):
        edit(folder, "tokenizer_config.json", model_max_length=limit)
        assert checkpoint_of(folder).item_shape == (n_tokens,)


def test_another_model_is_truncated_to_the_length_of_its_tokenizer_and_takes_longer_texts(
    bases: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(bases / "BertForSequenceClassification", tmp_path / "mine")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 9}))
    codec = checkpoint_of(folder).codec
    text = [TextItem(TEXTS[2])]
    assert [len(codec.tokenize(text, truncate=truncate)[0]) for truncate in (False, True)] == [15, 9]
    assert codec.max_tokens == 24


def test_the_library_knows_two_empty_prompts_that_may_be_the_default(bases: Path, tmp_path: Path) -> None:
    folder = save(bases, tmp_path / "mine", Pooling(WIDTH))
    edit(folder, "config_sentence_transformers.json", prompts=..., default_prompt_name="query")
    assert checkpoint_of(folder).codec.prompts.default is None
    assert_close(vectors(folder), theirs(folder))


@pytest.mark.parametrize("lowers", [True, False])
def test_texts_are_lowered_as_the_settings_say(bases: Path, tmp_path: Path, lowers: bool) -> None:
    folder = save(bases, tmp_path / "mine", Pooling(WIDTH))
    edit(folder, "sentence_bert_config.json", do_lower_case=lowers)
    texts = ["The DOG", "the dog"]
    assert_close(vectors(folder, texts), theirs(folder, texts))


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("modes", [("mean",), MODES])
def test_prompts_are_those_of_the_library(
    bases: Path, tmp_path: Path, include_prompt: bool, modes: tuple[str, ...]
) -> None:
    pooling = Pooling(WIDTH, cast("Any", modes), include_prompt=include_prompt)
    folder = save(bases, tmp_path / "mine", pooling, prompts=PROMPTS, default_prompt_name="query")
    prompts = checkpoint_of(folder).sentences.prompts
    assert (dict(prompts.by_name), prompts.default) == (PROMPTS, "query")
    reference, default, none = library(folder), vectors(folder), vectors(folder, prompt_name="")
    assert_close(default, theirs(reference))
    assert_close(none, theirs(reference, prompt=""))
    assert not torch.allclose(default, none)
    assert_close(vectors(folder, prompt_name="of"), theirs(reference, prompt_name="of"))
    assert_close(vectors(folder, prompt_name="document"), none)


def test_prompts_are_refused_by_name_and_left_off_token_ids(bases: Path, tmp_path: Path) -> None:
    folder = save(bases, tmp_path / "mine", Pooling(WIDTH), prompts=PROMPTS)
    with pytest.raises(InvalidItems, match="prompt_name is 'passage'; this model has document, of, query") as refused:
        ours(folder, prompt_name="passage")
    assert refused.value.problems[0].parameter == "prompt_name"
    with pytest.raises(InvalidItems, match="this model has no prompts"):
        ours(bases / "BertModel", prompt_name="query")
    codec = checkpoint_of(folder).codec
    (tokens,) = codec.tokenize([TextItem("", ids=(5, 6))], prompt="the dog ")
    assert tokens.ids.tolist() == [5, 6]


def test_a_text_that_is_all_prompt_is_refused(bases: Path, tmp_path: Path) -> None:
    pooling = Pooling(WIDTH, include_prompt=False)
    folder = save(bases, tmp_path / "mine", pooling, prompts={"of": "dog "}, default_prompt_name="of")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, "post_processor": None}))
    codec = checkpoint_of(folder).codec
    with pytest.raises(InvalidItems, match="the text has no tokens beside those of the prompt"):
        codec.tokenize([TextItem("cat"), TextItem("")], prompt="dog ")


@pytest.mark.parametrize("normalized", [True, False])
def test_the_checkpoints_dimensions_are_kept_unless_others_are_asked_for(
    bases: Path, tmp_path: Path, normalized: bool
) -> None:
    modules = [Pooling(WIDTH), Normalize()] if normalized else [Pooling(WIDTH)]
    folder = save(bases, tmp_path / "mine", *modules, truncate_dim=5)
    assert checkpoint_of(folder).embedding_width == 5
    assert_close(vectors(folder), theirs(folder))
    assert_close(vectors(folder, normalize=True), theirs(folder, normalize_embeddings=True))
    assert_close(
        vectors(folder, dimensions=8, normalize=True), theirs(folder, truncate_dim=8, normalize_embeddings=True)
    )


def test_parameters_override_the_checkpoint_where_that_makes_sense(bases: Path, tmp_path: Path) -> None:
    several = save(bases, tmp_path / "several", Pooling(WIDTH, ("mean", "cls")))
    single = save(bases, tmp_path / "single", Pooling(WIDTH, "cls"))
    dense = save(bases, tmp_path / "dense", Pooling(WIDTH), Dense(WIDTH, 5), Normalize())
    assert_close(vectors(several, pooling="cls"), theirs(single))
    assert_close(vectors(dense, pooling="mean"), theirs(dense))
    tokens = theirs(dense, ["the dog"], output_value="token_embeddings")[0]
    assert_close(vectors(dense, ["the dog"], pooling="none", normalize=False)[0], tokens)
    for parameters, parameter, message in (
        ({"pooling": "cls"}, "pooling", "pooling is 'cls'; the checkpoint's layers after the pooling take mean only"),
        ({"dimensions": 6}, "dimensions", "dimensions is 6; this model's embeddings have 1 to 5"),
        ({"sparse": True}, "sparse", "this model predicts no masked words"),
    ):
        with pytest.raises(InvalidItems, match=message) as refused:
            ours(dense, **cast("dict[str, Any]", parameters))
        assert refused.value.problems[0].parameter == parameter


@pytest.mark.parametrize("measure", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities_are_those_of_the_library(bases: Path, tmp_path: Path, measure: str) -> None:
    folder = save(bases, tmp_path / "mine", Pooling(WIDTH), Dense(WIDTH, 5), similarity_fn_name=measure)
    reference = library(folder)
    embeddings = theirs(reference)
    expected = reference.similarity(embeddings[:1], embeddings[1:])[0]
    assert_close(similarities(folder), expected)


def test_a_cross_encoder_of_version_6_is_read(bases: Path, tmp_path: Path) -> None:
    CrossEncoder(str(bases / "BertForSequenceClassification"), device="cpu").save_pretrained(str(tmp_path / "mine"))
    assert "classify" in checkpoint_of(tmp_path / "mine").task_names


def test_the_layers_count_as_parameters_and_keep_their_precision(bases: Path, saved: Path) -> None:
    plain, model = (load_model(read_checkpoint(folder)) for folder in (bases / "BertModel", saved))
    assert model.n_parameters - plain.n_parameters == 5 * WIDTH + 5
    assert model.memory_bytes - plain.memory_bytes == 4 * (5 * WIDTH + 5)
    model.to(torch.bfloat16)
    assert cast("Any", model).vector_steps[0].weight.dtype is torch.float32
