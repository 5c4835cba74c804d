"""ALBERT's tokenizers before `tokenizer.json`: a unigram model of sentencepiece."""

from models.codecs.text.unigram import read_unigram
from models.published_tokenizer import TokenizerDefaults

TOKENIZER = TokenizerDefaults(
    files=("spiece.model",),
    read=read_unigram,
    special_tokens={
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    },
    class_name="AlbertTokenizer",
)
