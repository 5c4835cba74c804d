"""BERT's tokenizers before `tokenizer.json`: WordPiece, with one token a line in `vocab.txt`."""

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from models.codecs.text.special_tokens import bert_template, declare_special_tokens
from models.codecs.text.tokenizers_codec import TokenizersCodec
from models.published_tokenizer import TokenizerSource


def read_wordpiece(source: TokenizerSource) -> TokenizersCodec:
    """Return the codec of a folder with `vocab.txt`. Source: Devlin et al. 2019, section 3."""
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
    declare_special_tokens(tokenizer, settings)
    tokenizer.post_processor = bert_template(tokenizer, source)
    return TokenizersCodec.of_checkpoint(tokenizer, source)
