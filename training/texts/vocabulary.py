"""Train tokenizers, and store them beside the weights.

A vocabulary is trained when a recipe first needs it, into the folder of the checkpoint it ships with. Recipes that
start from that checkpoint read it there. Deleting the file trains it anew; tokens of equal count may then get other
ids, so that every checkpoint with this vocabulary has to be trained again.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, Unigram, WordPiece

from models.codecs.text import SpecialTokens, TokenizersCodec
from training.data.files import DataFolder
from training.errors import DataError
from training.recipe import Resources

TOKENIZER_FILE = "tokenizer.json"
SETTINGS_FILE = "tokenizer_config.json"
ALPHABET_LIMIT = 400
"""Maximum distinct characters of a WordPiece vocabulary; rarer ones become the unknown token."""

Texts = Callable[[DataFolder], Iterable[str]]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """How a vocabulary is trained and where it ships.

    `folder` is the checkpoint's folder below the weights. `roles` maps the roles of special tokens, such as
    `mask_token`, to the tokens, in the order of their ids.
    """

    folder: str
    roles: Mapping[str, str]
    train: Callable[[DataFolder], Tokenizer]

    def tokenizer(self, resources: Resources) -> Tokenizer:
        """Read the tokenizer from its file, training it first if there is none."""
        file = resources.weights / self.folder / TOKENIZER_FILE
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            self.train(resources.data).save(str(file), pretty=False)
        return Tokenizer.from_file(str(file))

    def codec(self, resources: Resources, max_tokens: int) -> TokenizersCodec:
        """Return the codec that the server uses for this tokenizer."""
        tokenizer = self.tokenizer(resources)
        ids = {role: tokenizer.token_to_id(token) for role, token in self.roles.items()}
        special = SpecialTokens(
            mask=ids.get("mask_token"),
            padding=ids.get("pad_token"),
            all=frozenset(token_id for token_id in ids.values() if token_id is not None),
        )
        return TokenizersCodec(tokenizer, special, max_tokens)

    def id_of(self, tokenizer: Tokenizer, role: str) -> int:
        """Return the id of the special token in that role, such as `mask_token`.

        Raises:
            DataError: the vocabulary lacks it.
        """
        token_id: int | None = tokenizer.token_to_id(self.roles[role])
        if token_id is None:
            raise DataError(f"the vocabulary of {self.folder} lacks {self.roles[role]}")
        return token_id

    def write(self, folder: Path, resources: Resources, max_tokens: int) -> None:
        """Write the tokenizer files into the folder of another checkpoint."""
        tokenizer = self.tokenizer(resources)
        tokenizer.save(str(folder / TOKENIZER_FILE), pretty=False)
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_tokens,
            "model_input_names": self._input_names(tokenizer),
            **self.roles,
        }
        (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n")

    def _input_names(self, tokenizer: Tokenizer) -> list[str]:
        """Return the inputs of the model, which versions 4 and 5 of transformers would guess differently."""
        has_types = "cls_token" in self.roles and any(tokenizer.encode("a", "a").type_ids)
        return ["input_ids", *(["token_type_ids"] if has_types else []), "attention_mask"]


BERT_ROLES = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
ALBERT_ROLES = {**BERT_ROLES, "pad_token": "<pad>", "unk_token": "<unk>"}
ROBERTA_ROLES = {
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
GPT_ROLES = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
MARIAN_ROLES = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
SENTENCE_ROLES = {"eos_token": "</s>", "pad_token": "<pad>", "mask_token": "<mask>"}


def wordpiece(texts: Texts, size: int) -> Callable[[DataFolder], Tokenizer]:
    """Return a function that trains BERT's tokenizer: pieces of lower-case words without accents.

    Source: Devlin et al. 2019, section 3.
    """

    def train(data: DataFolder) -> Tokenizer:
        tokenizer = Tokenizer(WordPiece(unk_token=BERT_ROLES["unk_token"]))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        special = list(BERT_ROLES.values())
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, limit_alphabet=ALPHABET_LIMIT)
        tokenizer.train_from_iterator(texts(data), trainer)
        return _with_bert_template(tokenizer)

    return train


def unigram(texts: Texts, size: int) -> Callable[[DataFolder], Tokenizer]:
    """Return a function that trains ALBERT's tokenizer: a unigram model of lower-case texts without accents.

    Punctuation marks are tokens by themselves. Source: Kudo 2018.
    """

    def train(data: DataFolder) -> Tokenizer:
        tokenizer = Tokenizer(Unigram())
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(), pre_tokenizers.Split(Regex(r"▁?\p{P}"), "isolated")]
        )
        tokenizer.decoder = decoders.Metaspace()
        special = [AddedToken(t, lstrip=t == "[MASK]", special=True, normalized=False) for t in ALBERT_ROLES.values()]
        unknown = ALBERT_ROLES["unk_token"]
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token=unknown)
        tokenizer.train_from_iterator(texts(data), trainer)
        return _with_bert_template(tokenizer)

    return train


def byte_level(
    texts: Texts, size: int, roles: Mapping[str, str], *, prefix_space: bool = False
) -> Callable[[DataFolder], Tokenizer]:
    """Return a function that trains GPT-2's tokenizer: byte pair encoding of bytes.

    With `prefix_space`, a text is read as if it began with a space, so that its first word has the same tokens as
    elsewhere, and decoded texts lose this space.

    Source: Radford et al. 2019, section 2.2.
    """

    def train(data: DataFolder) -> Tokenizer:
        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
        tokenizer.decoder = decoders.ByteLevel()
        if prefix_space:
            tokenizer.decoder = decoders.Sequence([tokenizer.decoder, decoders.Strip(" ", 1, 0)])
        special = [
            AddedToken(token, lstrip=role == "mask_token", special=True, normalized=False)
            for role, token in roles.items()
        ]
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list({token.content: token for token in special}.values()),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )
        tokenizer.train_from_iterator(texts(data), trainer)
        tokenizer.post_processor = _byte_level_post_processor(tokenizer, roles)
        return tokenizer

    return train


def _byte_level_post_processor(tokenizer: Tokenizer, roles: Mapping[str, str]) -> processors.PostProcessor:
    """Return the special tokens around a text: RoBERTa's before and after it, Marian's after it, none for GPT."""
    if "cls_token" in roles:
        end, start = _with_ids(tokenizer, roles["sep_token"], roles["cls_token"])
        return processors.RobertaProcessing(end, start, add_prefix_space=False)
    if "pad_token" in roles:
        last = roles["eos_token"]
        special = _with_ids(tokenizer, last)
        return processors.TemplateProcessing(single=f"$A {last}", pair=f"$A $B {last}", special_tokens=special)
    return processors.ByteLevel(trim_offsets=False)


def _with_bert_template(tokenizer: Tokenizer) -> Tokenizer:
    """Make the tokenizer enclose texts as `[CLS] A [SEP]` and pairs as `[CLS] A [SEP] B [SEP]`."""
    start, end = BERT_ROLES["cls_token"], BERT_ROLES["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B:1 {end}:1",
        special_tokens=_with_ids(tokenizer, start, end),
    )
    return tokenizer


def _with_ids(tokenizer: Tokenizer, *tokens: str) -> list[tuple[str, int]]:
    return [(token, tokenizer.token_to_id(token) or 0) for token in tokens]
