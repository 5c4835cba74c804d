"""Sentence encoders as sentence-transformers saves them: their vectors are the library's, and the rest is refused."""

import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling
from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
from torch import Tensor, nn

from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.codecs.text import TextItem
from models.errors import CheckpointError, InvalidItems
from models.tasks.text import EncodeTextRequest, EncodeTextResult, SimilarityRequest
from models.text.embedding import encode, similarity
from models.text.text_model import TextModel
from tests.models.transformers.reference import assert_close, publish

WIDTH = 12
SIZE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 24,
}
TEXTS = ["the dog sees a cat", "a man", "the red house of the man and the dog in the red house", ""]
PROMPTS = {"query": "the red ", "document": "", "of": "dog: "}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain folders of transformers, by architecture."""
    root = tmp_path_factory.mktemp("bases")
    roberta = transformers.RobertaConfig(**SIZE, type_vocab_size=1, pad_token_id=1)
    albert = transformers.AlbertConfig(**SIZE, embedding_size=8)
    for architecture in ("BertModel", "BertForMaskedLM", "BertForSequenceClassification"):
        publish(root / architecture, architecture, transformers.BertConfig(**SIZE, num_labels=1))
    publish(root / "RobertaModel", "RobertaModel", roberta)
    publish(root / "AlbertForMaskedLM", "AlbertForMaskedLM", albert)
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", **special}
    (root / "AlbertForMaskedLM/tokenizer_config.json").write_text(json.dumps(settings))
    return root


def save(bases: Path, folder: Path, *modules: nn.Module, base: str = "BertModel", **settings: Any) -> Path:
    """Save a sentence encoder of these modules after the Transformer."""
    torch.manual_seed(1)
    encoder = SentenceTransformer(modules=[Transformer(str(bases / base)), *modules], device="cpu", **settings)
    for module in modules:
        for parameter in module.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    encoder.save_pretrained(str(folder), create_model_card=False)
    return folder


def edit(folder: Path, file: str, **values: Any) -> None:
    content = json.loads((folder / file).read_text())
    content |= values
    (folder / file).write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def checkpoint_of(folder: Path) -> PublishedCheckpoint:
    return cast("PublishedCheckpoint", read_checkpoint(folder))


def ours(
    folder: Path, texts: Sequence[str] = TEXTS, prompt_name: str | None = None, **parameters: Any
) -> list[EncodeTextResult]:
    checkpoint = checkpoint_of(folder)
    model, codec = cast("TextModel", load_model(checkpoint)), checkpoint.codec
    prompt = codec.prompts.choose(prompt_name)
    tokens = codec.tokenize([TextItem(text) for text in texts], truncate=True, prompt=prompt)
    with torch.inference_mode():
        return list(encode(model, [EncodeTextRequest(tokens=each, **parameters) for each in tokens]))


def vectors(folder: Path, texts: Sequence[str] = TEXTS, prompt_name: str | None = None, **parameters: Any) -> Tensor:
    return torch.stack([result.embedding for result in ours(folder, texts, prompt_name, **parameters)])


def library(folder: Path) -> SentenceTransformer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SentenceTransformer(str(folder), device="cpu")


def theirs(folder: Path | SentenceTransformer, texts: Sequence[str] = TEXTS, **parameters: Any) -> Tensor:
    encoder = library(folder) if isinstance(folder, Path) else folder
    return torch.from_numpy(np.asarray(encoder.encode(list(texts), **parameters)))


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


@pytest.mark.parametrize("base", ["RobertaModel", "AlbertForMaskedLM"])
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


def test_another_model_is_truncated_to_the_length_of_its_tokenizer_and_takes_longer_texts(bases: Path) -> None:
    folder = bases / "BertForSequenceClassification"
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 9}))
    codec = checkpoint_of(folder).codec
    text = [TextItem(TEXTS[2])]
    assert [len(codec.tokenize(text, truncate=truncate)[0]) for truncate in (False, True)] == [15, 9]
    assert codec.max_tokens == 24


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


def similarities(folder: Path) -> Tensor:
    checkpoint = checkpoint_of(folder)
    tokens = checkpoint.codec.tokenize([TextItem(text) for text in TEXTS])
    with torch.inference_mode():
        model = cast("TextModel", load_model(checkpoint))
        return similarity(model, [SimilarityRequest(texts=tuple(tokens))])[0].scores


SPARSE: dict[str, tuple[str, Callable[[Path], nn.Module], Callable[[], SpladePooling], dict[str, Any]]] = {
    "max": ("BertForMaskedLM", lambda base: MLMTransformer(str(base)), lambda: SpladePooling("max"), {}),
    "sum": (
        "BertForMaskedLM",
        lambda base: Transformer(str(base), transformer_task="fill-mask"),
        lambda: SpladePooling("sum"),
        {"similarity_fn_name": "cosine", "prompts": PROMPTS, "default_prompt_name": "query"},
    ),
    "twice": (
        "AlbertForMaskedLM",
        lambda base: MLMTransformer(str(base)),
        lambda: SpladePooling("max", "log1p_relu"),
        {"max_active_dims": 7},
    ),
}


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_vectors_are_those_of_the_library(bases: Path, tmp_path: Path, kind: str) -> None:
    base, transformer, pooling, settings = SPARSE[kind]
    folder = tmp_path / "mine"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SparseEncoder(modules=[transformer(bases / base), pooling()], device="cpu", **settings).save_pretrained(
            str(folder), create_model_card=False
        )
        reference = SparseEncoder(str(folder), device="cpu")
    expected = reference.encode(TEXTS, convert_to_sparse_tensor=False)
    for result, row in zip(ours(folder), expected, strict=True):
        assert result.indices is not None
        assert torch.equal(result.indices, row.nonzero()[:, 0])
        assert_close(result.embedding, row[result.indices])
    assert checkpoint_of(folder).embedding_width == 60
    if not settings.get("default_prompt_name"):
        assert_close(similarities(folder), reference.similarity(expected[:1], expected[1:])[0])
    with pytest.raises(InvalidItems, match="pooling is 'mean', but the embedding is sparse") as refused:
        ours(folder, pooling="mean")
    assert refused.value.problems[0].parameter == "pooling"


def test_a_model_of_masked_words_makes_sparse_vectors_on_request(bases: Path) -> None:
    folder = bases / "BertForMaskedLM"
    reference = SparseEncoder(modules=[Transformer(str(folder), transformer_task="fill-mask"), SpladePooling("max")])
    expected = reference.encode(TEXTS, convert_to_sparse_tensor=False)
    for result, row in zip(ours(folder, sparse=True), expected, strict=True):
        assert result.indices is not None
        assert_close(torch.zeros(60).scatter(0, result.indices, result.embedding), row.cpu())
    assert ours(folder)[0].indices is None


def test_a_cross_encoder_of_version_6_is_read(bases: Path, tmp_path: Path) -> None:
    CrossEncoder(str(bases / "BertForSequenceClassification"), device="cpu").save_pretrained(str(tmp_path / "mine"))
    assert "classify" in checkpoint_of(tmp_path / "mine").task_names


def module(kind: str, path: str = "2_X") -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        modules = json.loads((folder / "modules.json").read_text())
        (folder / "modules.json").write_text(json.dumps([*modules, {"type": kind, "path": path}]))

    return add


def setting(file: str, **values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder, file, **values)


def only_a_pickle(folder: Path) -> None:
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")


def reversed_order(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0], *modules[:0:-1]]))


OF_MODELS = ("CNN", "LSTM", "WordEmbeddings", "WeightedLayerPooling", "BoW", "CLIPModel", "Router", "Asym")
SENTENCES, LIBRARY = "config_sentence_transformers.json", "sentence_bert_config.json"
REFUSALS: dict[str, tuple[Callable[[Path], None], str]] = {
    **{
        kind: (module(f"sentence_transformers.models.{kind}"), f"the module {kind} is not supported; known are Trans")
        for kind in (*OF_MODELS, "StaticEmbedding", "WordWeights", "SparseAutoEncoder", "MultiVectorMask")
    },
    "custom code": (module("custom_st.Pooling"), "the module custom_st.Pooling is code of its own, which is never run"),
    "an order": (reversed_order, "the modules are Transformer, Dense, Pooling; only this order is supported"),
    "two poolings": (
        lambda f: module("sentence_transformers.models.Pooling", "1_Pooling")(f),
        "the modules are Transformer, Pooling, Dense, Pooling; only this order",
    ),
    "no path": (lambda f: (f / "modules.json").write_text('[{"type": "x"}]') and None, "must have a type and a path"),
    "a pickle": (only_a_pickle, "mine/2_Dense has pytorch_model.bin and no model.safetensors"),
    "no weights": (lambda f: (f / "2_Dense/model.safetensors").unlink(), "mine/2_Dense/model.safetensors is missing"),
    "no dense": (lambda f: (f / "2_Dense/config.json").unlink(), "mine/2_Dense/config.json is missing"),
    "an activation": (
        setting("2_Dense/config.json", activation_function="torch.nn.modules.activation.PReLU"),
        "mine/2_Dense/config.json: activation_function is 'torch.nn.modules.activation.PReLU'; known are",
    ),
    "a function": (setting("2_Dense/config.json", activation_function="torch.tanh"), "activation_function is 'torch.t"),
    "an own activation": (setting("2_Dense/config.json", activation_function="mine.Tanh"), "activation_function is"),
    "a width": (setting("2_Dense/config.json", in_features=11), "in_features is 11, but the vectors before it have 12"),
    "an output": (setting("2_Dense/config.json", out_features="5"), "out_features is '5'; it must be a positive"),
    "other weights": (setting("2_Dense/config.json", bias=False), "mine/2_Dense: the weights have the shapes"),
    "tokens": (setting("2_Dense/config.json", module_input_name="token_embeddings"), "module_input_name is 'token_emb"),
    "a pooling": (setting("1_Pooling/config.json", pooling_mode="median"), "pooling_mode is 'median'; known are cls"),
    "a flag": (setting("1_Pooling/config.json", pooling_mode_median=True), "pooling_mode_median is not supported"),
    "no mode": (setting("1_Pooling/config.json", pooling_mode=[]), r"pooling_mode is \[\]; known are"),
    "a measure": (setting(SENTENCES, similarity_fn_name="maxsim"), "similarity_fn_name is 'maxsim'; known are cosine"),
    "a dimension": (setting(SENTENCES, truncate_dim=0), "truncate_dim is 0; it must be a positive integer"),
    "a default": (
        setting(SENTENCES, default_prompt_name="x"),
        "default_prompt_name is 'x'; the prompts are document, query",
    ),
    "prompts": (setting(SENTENCES, prompts={"query": 5}), "prompts is {'query': 5}; it must name strings"),
    "a type": (setting(SENTENCES, model_type="MultiVectorEncoder"), "model_type is 'MultiVectorEncoder'; known are"),
    "a task": (setting(LIBRARY, transformer_task="fill-mask"), "transformer_task is 'fill-mask', which is not supp"),
    "an output name": (
        setting(LIBRARY, modality_config={"text": {"method": "forward", "method_output_name": "pooler_output"}}),
        "modality_config asks for .*pooler_output",
    ),
    "expansion": (setting(LIBRARY, query_expansion={"length": 32}), "query_expansion is .* which is not supported"),
    "arguments": (setting(LIBRARY, config_args={"output_attentions": True}), "output_attentions of config_kwargs"),
    "a limit": (setting("tokenizer_config.json", model_max_length=2), "model_max_length is 2; it must be at least 3"),
    "a text": (setting("tokenizer_config.json", model_max_length="9"), "model_max_length is '9'; it must be at least"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_what_cannot_be_honoured_is_refused_by_name(bases: Path, tmp_path: Path, fault: str, saved: Path) -> None:
    spoil, message = REFUSALS[fault]
    shutil.copytree(saved, tmp_path / "mine")
    spoil(tmp_path / "mine")
    with pytest.raises(CheckpointError, match=message):
        load_model(read_checkpoint(tmp_path / "mine"))


@pytest.fixture(scope="module")
def saved(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(bases, tmp_path_factory.mktemp("saved") / "mine", Pooling(WIDTH), Dense(WIDTH, 5))


def test_the_layers_count_as_parameters_and_keep_their_precision(bases: Path, saved: Path) -> None:
    plain, model = (load_model(read_checkpoint(folder)) for folder in (bases / "BertModel", saved))
    assert model.n_parameters - plain.n_parameters == 5 * WIDTH + 5
    assert model.memory_bytes - plain.memory_bytes == 4 * (5 * WIDTH + 5)
    model.to(torch.bfloat16)
    assert cast("Any", model).vector_steps[0].weight.dtype is torch.float32
