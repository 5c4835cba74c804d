"""Texts to tokens and back.

codec       what every codec of texts does; the one on the `tokenizers` library
files       the tokenizer a checkpoint's folder asks for
marian      the one on the `sentencepiece` library
assembly    tokens to text as they arrive: whole characters only, stop strings held back
entities    classes of tokens to entities
answers     logits of spans to answers
"""

from models.codecs.text.codec import Special, TextCodec
from models.codecs.text.files import read_text_codec

__all__ = ["Special", "TextCodec", "read_text_codec"]
