"""GPT-2's and RoBERTa's tokenizers before `tokenizer.json`: byte pair encoding of bytes."""

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from models.codecs.text.special_tokens import declare_special_tokens
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.published_tokenizer import TokenizerSource


def read_byte_level_bpe(source: TokenizerSource) -> TokenizersCodec:
    """Return the codec of a folder with `vocab.json` and `merges.txt`. Source: Radford et al. 2019, section 2.2.

    Texts are enclosed in special tokens if the settings name a `cls_token`, as RoBERTa's do.
    """
    folder, settings = source.folder, source.settings
    add_prefix_space = bool(settings.get("add_prefix_space", False))
    vocab, merges = BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = Tokenizer(BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    declare_special_tokens(tokenizer, settings)
    if "cls_token" in settings:
        end, start = (
            (str(settings[name]), tokenizer.token_to_id(settings[name]) or 0) for name in ("sep_token", "cls_token")
        )
        tokenizer.post_processor = processors.RobertaProcessing(
            end, start, trim_offsets=True, add_prefix_space=add_prefix_space
        )
    elif settings.get("add_bos_token") or settings.get("add_eos_token"):
        tokenizer.post_processor = _template(tokenizer, settings)
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return TokenizersCodec.of_checkpoint(tokenizer, source)


def _template(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> processors.TemplateProcessing:
    """Return the template that encloses each text of an item in the tokens that the settings want."""
    start = str(settings["bos_token"]) if settings.get("add_bos_token") else ""
    end = str(settings["eos_token"]) if settings.get("add_eos_token") else ""
    single, second = (" ".join(filter(None, (start, text, end))) for text in ("$A", "$B"))
    return processors.TemplateProcessing(
        single=single,
        pair=f"{single} {second}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in dict.fromkeys((start, end)) if token],
    )
