"""GPT-2's tokenizers before `tokenizer.json`: byte pair encoding of bytes."""

from models.codecs.text.byte_level_bpe import read_byte_level_bpe
from models.published_tokenizer import TokenizerDefaults

TOKENIZER = TokenizerDefaults(
    files=("vocab.json", "merges.txt"),
    read=read_byte_level_bpe,
    special_tokens={
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    },
    class_name="GPT2Tokenizer",
    takes_types=False,
)
