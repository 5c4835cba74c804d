"""Folders whose tokenizers are declared in the ways in which people publish them, made of shipped ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.models.transformers.version_4 import ROOT

SHIPPED = {folder.name: folder for folder in (ROOT / "weights/transformers").glob("*/*")}
TOKENS = {"[ENT]": 5000, "[/ENT]": 5001}
OPTIONS = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}

Edit = Callable[[Path], None]


def copy_of(name: str, target: Path) -> Path:
    """Copy the files of a shipped checkpoint that its tokenizer consists of."""
    target.mkdir(parents=True)
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SHIPPED[name] / file, target / file)
    return target


def edit(folder: Path, file: str, **values: Any) -> None:
    """Set values of a JSON file; those that are None are removed."""
    path = folder / file
    content = {**(json.loads(path.read_text()) if path.exists() else {}), **values}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def says(**values: Any) -> Edit:
    """Return a function that sets values of `tokenizer_config.json`, which has no inputs of its own."""
    return lambda folder: edit(folder, "tokenizer_config.json", **{"model_input_names": None, **values})


def has_file(file: str, **values: Any) -> Edit:
    """Return a function that sets values of a file."""
    return lambda folder: edit(folder, file, **values)


def is_cased(folder: Path) -> None:
    """Make `tokenizer.json` keep upper case."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(content))


def has_old_files(folder: Path) -> None:
    """Replace `tokenizer.json` by the files of the time before it."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    if model["type"] == "WordPiece":
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in model["vocab"]))
        return
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))


def is_mpnets(folder: Path) -> None:
    """Make the vocabulary one of MPNet, with its special tokens in the places of BERT's."""
    text = (folder / "tokenizer.json").read_text()
    for old, new in {"[CLS]": "<s>", "[SEP]": "</s>", "[PAD]": "<pad>", "[MASK]": "<mask>"}.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    content = json.loads(text)
    ids = {name: content["model"]["vocab"][name] for name in ("<s>", "</s>")}
    content["post_processor"] = {
        "type": "RobertaProcessing",
        "sep": ["</s>", ids["</s>"]],
        "cls": ["<s>", ids["<s>"]],
        "trim_offsets": True,
        "add_prefix_space": False,
    }
    for added in content["added_tokens"]:
        added["lstrip"] = added["content"] == "<mask>"
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MPNetTokenizer"}))
    edit(folder, "config.json", model_type="mpnet", architectures=["MPNetModel"])


def token(content: str, **options: bool) -> dict[str, Any]:
    """Return a token with its options, as files write it."""
    return {"content": content, **OPTIONS, **options}


DECODER = {str(token_id): token(content) for content, token_id in TOKENS.items()}
BERT, ROBERTA, GPT = "bert-mini-en", "roberta-mini-en", "gpt-mini-en"
PADDING, START, BEGIN = {"pad_token": "<pad>"}, {"cls_token": "[CLS]"}, {"bos_token": "<|begin|>"}
BERT_OLD = (has_old_files, says(tokenizer_class="BertTokenizer"))
VARIANTS: dict[str, tuple[str, tuple[Edit, ...]]] = {
    "added file": (BERT, (has_file("added_tokens.json", **TOKENS),)),
    "added decoder": (BERT, (says(tokenizer_class="BertTokenizer", added_tokens_decoder=DECODER),)),
    "added spaces": (
        BERT,
        (
            says(
                tokenizer_class="BertTokenizer",
                added_tokens_decoder={
                    "5000": token("[ENT]", lstrip=True, rstrip=True),
                    "5001": token("Abq", normalized=True, special=False, single_word=True),
                },
            ),
        ),
    ),
    "additional": (BERT, (says(tokenizer_class="BertTokenizer", additional_special_tokens=list(TOKENS)),)),
    "additional in the map": (
        BERT,
        (
            says(tokenizer_class="BertTokenizer"),
            has_file("special_tokens_map.json", additional_special_tokens=list(TOKENS), **START),
        ),
    ),
    "extra by name": (BERT, (says(tokenizer_class="BertTokenizer", extra_special_tokens={"ent_token": "[ENT]"}),)),
    "old and added file": (BERT, (*BERT_OLD, has_file("added_tokens.json", **TOKENS))),
    "old and added decoder": (BERT, (*BERT_OLD, says(added_tokens_decoder=DECODER))),
    "old and additional": (BERT, (*BERT_OLD, says(additional_special_tokens=list(TOKENS)))),
    "cased by its class": (BERT, (says(tokenizer_class="BertTokenizer", do_lower_case=False),)),
    "uncased by its class": (BERT, (is_cased, says(tokenizer_class="BertTokenizerFast", do_lower_case=True))),
    "uncased by default": (BERT, (is_cased, says(tokenizer_class="BertTokenizer"))),
    "uncased by its type": (BERT, (is_cased, says(tokenizer_class=None))),
    "generic, so its class's settings are idle": (
        BERT,
        (is_cased, says(do_lower_case=True, model_input_names=["input_ids"])),
    ),
    "accents": (BERT, (says(tokenizer_class="BertTokenizer", strip_accents=False, tokenize_chinese_chars=False),)),
    "class in config.json": (
        BERT,
        (is_cased, says(tokenizer_class=None), has_file("config.json", tokenizer_class="BertTokenizer")),
    ),
    "no types": (BERT, (says(model_input_names=["input_ids", "attention_mask"]),)),
    "types": (BERT, (says(model_input_names=["input_ids", "token_type_ids", "attention_mask"]),)),
    "DistilBERT's": (BERT, (says(tokenizer_class="DistilBertTokenizer", do_lower_case=False),)),
    "Electra's": (BERT, (says(tokenizer_class="ElectraTokenizerFast"),)),
    "DistilBERT's old": (
        BERT,
        (has_old_files, says(tokenizer_class="DistilBertTokenizer"), has_file("config.json", model_type="distilbert")),
    ),
    "BERT's of a DistilBERT": (
        BERT,
        (says(tokenizer_class="BertTokenizer"), has_file("config.json", model_type="distilbert")),
    ),
    "Electra's old": (
        BERT,
        (has_old_files, says(tokenizer_class="ElectraTokenizer"), has_file("config.json", model_type="electra")),
    ),
    "MPNet's": (BERT, (is_mpnets,)),
    "MPNet's by its type": (BERT, (is_mpnets, says(tokenizer_class=None))),
    "MPNet's in upper case": (BERT, (is_mpnets, says(do_lower_case=False))),
    "MPNet's old": (BERT, (is_mpnets, has_old_files)),
    "MPNet's old in upper case": (BERT, (is_mpnets, has_old_files, says(do_lower_case=False))),
    "split": (BERT, (says(split_special_tokens=True, model_input_names=["input_ids"]),)),
    "RoBERTa's prefix": (ROBERTA, (says(tokenizer_class="RobertaTokenizer", add_prefix_space=True),)),
    "RoBERTa's default": (ROBERTA, (says(tokenizer_class="RobertaTokenizerFast"),)),
    "RoBERTa's old": (
        ROBERTA,
        (
            has_old_files,
            says(
                tokenizer_class="RobertaTokenizer",
                add_prefix_space=True,
                mask_token={"__type": "AddedToken", **token("<mask>", lstrip=True)},
            ),
        ),
    ),
    "BERT's old of a RoBERTa": (BERT, (*BERT_OLD, has_file("config.json", model_type="roberta"))),
    "BERT's old of an ALBERT": (
        BERT,
        (
            has_old_files,
            says(tokenizer_class=None),
            has_file("config.json", model_type="albert", tokenizer_class="BertTokenizerFast"),
        ),
    ),
    "RoBERTa's old of a BERT": (
        ROBERTA,
        (
            has_old_files,
            says(
                tokenizer_class="RobertaTokenizer", mask_token={"__type": "AddedToken", **token("<mask>", lstrip=True)}
            ),
            has_file("config.json", model_type="bert"),
        ),
    ),
    "GPT-2's": (GPT, (says(tokenizer_class="GPT2Tokenizer", add_prefix_space=True),)),
    "GPT-2's with a bos beside tokenizer.json": (GPT, (says(tokenizer_class="GPT2Tokenizer", add_bos_token=True),)),
    "GPT-2's old": (GPT, (has_old_files, says(tokenizer_class="GPT2Tokenizer"))),
    "GPT-2's padding": (GPT, (says(tokenizer_class="GPT2Tokenizer", **PADDING),)),
}
"""Folders by name, which versions 4 and 5 read alike: the shipped checkpoint, and the edits."""
ONE_VERSION: dict[str, tuple[str, tuple[Edit, ...], int]] = {
    "extra as a list": (BERT, (says(tokenizer_class="BertTokenizer", extra_special_tokens=list(TOKENS)),), 5),
    "generic of version 4": (BERT, (says(),), 4),
    "generic of version 5": (BERT, (says(tokenizer_class="TokenizersBackend", backend="tokenizers"),), 5),
    "written by version 5": (BERT, (says(backend="tokenizers"),), 5),
    "ALBERT's of version 4": ("albert-mini-en", (says(tokenizer_class=None),), 4),
    "GPT-2's bos, old": (GPT, (has_old_files, says(tokenizer_class="GPT2Tokenizer", add_bos_token=True)), 5),
    "GPT-2's new bos, old": (
        GPT,
        (has_old_files, says(tokenizer_class="GPT2Tokenizer", add_bos_token=True, **BEGIN)),
        5,
    ),
}
"""Folders that the versions read differently, or that one refuses, and the version that we follow."""


def build(root: Path) -> dict[str, Path]:
    """Make all folders, and return them by name."""
    folders: dict[str, Path] = {}
    disputed = {name: (source, edits) for name, (source, edits, _) in ONE_VERSION.items()}
    for name, (source, edits) in {**VARIANTS, **disputed}.items():
        folders[name] = copy_of(source, root / name.replace(" ", "-"))
        for change in edits:
            change(folders[name])
    return folders
