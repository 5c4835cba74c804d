"""MPNet's tokenizers before `tokenizer.json`: WordPiece, with texts between the special tokens of RoBERTa."""

from models.codecs.text.wordpiece import read_mpnet_wordpiece
from models.published_tokenizer import TokenizerDefaults

TOKENIZER = TokenizerDefaults(
    files=("vocab.txt",),
    read=read_mpnet_wordpiece,
    special_tokens={
        "bos_token": "<s>",
        "eos_token": "</s>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
        "pad_token": "<pad>",
        "unk_token": "[UNK]",
    },
    class_name="MPNetTokenizer",
)
