"""Tokenizers of XLM-RoBERTa and CamemBERT before `tokenizer.json`: `sentencepiece.bpe.model`, with the ids of fairseq.

Despite its name, the file holds a unigram model in the format of sentencepiece. Its pieces come after the special
tokens of fairseq, the library that the models were trained with, and the mask comes last.
"""

from collections.abc import Sequence

from sentencepiece import SentencePieceProcessor
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram

from models.codecs.text.special_tokens import declare_special_tokens, roberta_template
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.codecs.text.unigram import read_charsmap, read_fields
from models.errors import CheckpointError
from models.published_tokenizer import TokenizerSource

FILE = "sentencepiece.bpe.model"
FAIRSEQ_UNK_ID = 3

_PIECES, _TRAINER_SPEC, _MODEL_TYPE, _PIECE_TYPE = 1, 2, 3, 3
"""Numbers of the fields `ModelProto.pieces`, `ModelProto.trainer_spec`, `TrainerSpec.model_type` and
`SentencePiece.type`. Source: sentencepiece_model.proto."""
_UNIGRAM, _CONTROL, _USER_DEFINED = 1, 3, 4
"""Values of these types."""


def read_xlm_roberta(source: TokenizerSource) -> TokenizersCodec:
    """Return the codec of an XLM-RoBERTa folder. Source: Conneau et al. 2020, section 3.

    The first three pieces, `<unk>`, `<s>` and `</s>`, are replaced by the four special tokens.
    """
    names = [source.settings[name] for name in ("bos_token", "pad_token", "eos_token", "unk_token")]
    return _read(source, [(name, 0.0) for name in names], n_dropped=3)


def read_camembert(source: TokenizerSource) -> TokenizersCodec:
    """Return the codec of a CamemBERT folder. Source: Martin et al. 2020, section 4.

    Only the first piece, `<unk>`, is dropped, so that `<s>` and `</s>` are pieces of the model. Those of fairseq are
    not used, which their names say.
    """
    padding, unknown = source.settings["pad_token"], source.settings["unk_token"]
    unused = ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")
    first = [(unused[0], 0.0), (padding, 0.0), (unused[1], 0.0), (unknown, 0.0), (unused[2], -100.0)]
    return _read(source, first, n_dropped=1)


def _read(source: TokenizerSource, first: Sequence[tuple[str, float]], *, n_dropped: int) -> TokenizersCodec:
    """Return the codec of a folder.

    Args:
        source: the folder.
        first: the special tokens with the first ids, and their scores.
        n_dropped: the number of pieces, from the first, that they replace.

    Raises:
        CheckpointError: the file holds a model of another kind, or the vocabulary lacks a special token.
    """
    settings = source.settings
    pieces = SentencePieceProcessor(model_proto=source.read(FILE))
    model = pieces.serialized_model_proto()
    _check_kind(source.name, model)
    own = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(n_dropped, pieces.get_piece_size())]
    tokenizer = Tokenizer(Unigram([*first, *own, (settings["mask_token"], 0.0)], FAIRSEQ_UNK_ID, byte_fallback=False))
    if charsmap := read_charsmap(model):
        tokenizer.normalizer = normalizers.Precompiled(charsmap)
    prepended = "always" if settings.get("add_prefix_space", True) else "never"
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=prepended)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme=prepended)
    declare_special_tokens(tokenizer, settings)
    _declare_symbols(tokenizer, model)
    tokenizer.post_processor = roberta_template(tokenizer, source)
    return TokenizersCodec.of_checkpoint(tokenizer, source)


def _check_kind(name: str, model: bytes) -> None:
    """Raise CheckpointError, which gives the checkpoint's name, unless the model is a unigram model."""
    spec = b"".join(value for number, value in read_fields(model) if number == _TRAINER_SPEC and type(value) is bytes)
    kind = dict(read_fields(spec)).get(_MODEL_TYPE, _UNIGRAM)
    if kind != _UNIGRAM:
        raise CheckpointError(f"{name}: {FILE} has the model_type {kind!r}; only {_UNIGRAM}, unigram, is supported")


def _declare_symbols(tokenizer: Tokenizer, model: bytes) -> None:
    """Declare the pieces that the model never splits: control symbols, which are special, and those of its user."""
    for number, value in read_fields(model):
        if number == _PIECES and type(value) is bytes:
            fields = dict(read_fields(value))
            kind, piece = fields.get(_PIECE_TYPE), fields.get(1, b"")
            if kind in (_CONTROL, _USER_DEFINED) and type(piece) is bytes:
                token = AddedToken(piece.decode(), normalized=False, special=kind == _CONTROL)
                add = tokenizer.add_special_tokens if kind == _CONTROL else tokenizer.add_tokens
                add([token])
