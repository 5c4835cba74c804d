"""GPT-2's and RoBERTa's tokenizers before `tokenizer.json`: byte pair encoding of bytes."""

from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from models.codecs.text.special_tokens import declare_special_tokens, require_special_ids
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.published_tokenizer import TokenizerSource


def read_byte_level_bpe(source: TokenizerSource) -> TokenizersCodec:
    """Return the codec of a folder with `vocab.json` and `merges.txt`. Source: Radford et al. 2019, section 2.2.

    Texts are enclosed in special tokens if the settings name a `cls_token`, as RoBERTa's do.

    Raises:
        CheckpointError: the vocabulary lacks one of these tokens.
    """
    settings = source.settings
    add_prefix_space = bool(settings.get("add_prefix_space", False))
    with source.copied("vocab.json") as vocab_file, source.copied("merges.txt") as merges_file:
        vocab, merges = BPE.read_file(str(vocab_file.path), str(merges_file.path))
    tokenizer = Tokenizer(BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    declare_special_tokens(tokenizer, settings)
    if "cls_token" in settings:
        start, end = require_special_ids(tokenizer, source, "cls_token", "sep_token")
        tokenizer.post_processor = processors.RobertaProcessing(
            end,
            start,
            trim_offsets=True,
            add_prefix_space=add_prefix_space,
        )
    elif settings.get("add_bos_token") or settings.get("add_eos_token"):
        tokenizer.post_processor = _template(tokenizer, source)
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return TokenizersCodec.of_checkpoint(tokenizer, source)


def _template(tokenizer: Tokenizer, source: TokenizerSource) -> processors.TemplateProcessing:
    """Return the template that encloses each text of an item in the tokens that the settings want.

    Raises:
        CheckpointError: the vocabulary lacks one of these tokens.
    """
    settings = source.settings
    wanted = {"bos_token": settings.get("add_bos_token"), "eos_token": settings.get("add_eos_token")}
    ids = dict(require_special_ids(tokenizer, source, *(role for role, is_wanted in wanted.items() if is_wanted)))
    start, end = (settings[role] if is_wanted else "" for role, is_wanted in wanted.items())
    single, second = (" ".join(filter(None, (start, text, end))) for text in ("$A", "$B"))
    return processors.TemplateProcessing(single=single, pair=f"{single} {second}", special_tokens=list(ids.items()))
