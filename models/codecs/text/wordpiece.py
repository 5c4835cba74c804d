"""Tokenizers before `tokenizer.json` of BERT and its kin: WordPiece, with one token a line in `vocab.txt`."""

from collections.abc import Callable

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from models.codecs.text.special_tokens import bert_template, declare_special_tokens, roberta_template
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.published_tokenizer import TokenizerSource

Template = Callable[[Tokenizer, TokenizerSource], processors.TemplateProcessing]
"""Makes the template that encloses texts in special tokens."""


def read_wordpiece(source: TokenizerSource) -> TokenizersCodec:
    """Return the codec of a folder with BERT's `vocab.txt`. Source: Devlin et al. 2019, section 3."""
    return _read(source, bert_template, mask_includes_space=False)


def read_mpnet_wordpiece(source: TokenizerSource) -> TokenizersCodec:
    """Return the codec of a folder with MPNet's `vocab.txt`. Texts are enclosed, and masks are found, as by RoBERTa."""
    return _read(source, roberta_template, mask_includes_space=True)


def _read(source: TokenizerSource, template: Template, *, mask_includes_space: bool) -> TokenizersCodec:
    settings = source.settings
    with source.copied("vocab.txt") as file:
        vocab = WordPiece.read_file(str(file.path))
    tokenizer = Tokenizer(WordPiece(vocab, unk_token=settings["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    declare_special_tokens(tokenizer, settings, mask_includes_space=mask_includes_space)
    tokenizer.post_processor = template(tokenizer, source)
    return TokenizersCodec.of_checkpoint(tokenizer, source)
