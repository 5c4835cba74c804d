"""Tokenizers of Marian's models before `tokenizer.json`: a sentencepiece model for each language."""

from models.codecs.text.marian import read_marian
from models.published_tokenizer import TokenizerDefaults

TOKENIZER = TokenizerDefaults(
    files=("source.spm", "target.spm", "vocab.json"),
    read=read_marian,
    special_tokens={
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    },
    has_target=True,
    class_name="MarianTokenizer",
    takes_types=False,
)
