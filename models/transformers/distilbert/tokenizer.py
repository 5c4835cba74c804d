"""DistilBERT's tokenizers before `tokenizer.json`: WordPiece."""

from models.codecs.text.wordpiece import read_wordpiece
from models.published_tokenizer import TokenizerDefaults

TOKENIZER = TokenizerDefaults(
    files=("vocab.txt",),
    read=read_wordpiece,
    special_tokens={
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
    },
    class_name="DistilBertTokenizer",
)
