"""RoBERTa's tokenizers before `tokenizer.json`: byte pair encoding of bytes, or a unigram model of sentencepiece."""

from models.codecs.text.byte_level_bpe import read_byte_level_bpe
from models.codecs.text.fairseq_unigram import FILE, read_camembert, read_xlm_roberta
from models.published_tokenizer import TokenizerDefaults

SPECIAL_TOKENS = {
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}
TOKENIZER = TokenizerDefaults(
    files=("vocab.json", "merges.txt"),
    read=read_byte_level_bpe,
    special_tokens=SPECIAL_TOKENS,
    class_name="RobertaTokenizer",
)
_SPECIAL_TOKENS = {**SPECIAL_TOKENS, "bos_token": "<s>", "eos_token": "</s>"}
VARIANTS = {
    "xlm-roberta": TokenizerDefaults(
        files=(FILE,), read=read_xlm_roberta, special_tokens=_SPECIAL_TOKENS, class_name="XLMRobertaTokenizer"
    ),
    "camembert": TokenizerDefaults(
        files=(FILE,), read=read_camembert, special_tokens=_SPECIAL_TOKENS, class_name="CamembertTokenizer"
    ),
}
"""Tokenizers of the models that are RoBERTa under another `model_type`, by this name."""
