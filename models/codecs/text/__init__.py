"""Codecs that convert texts to tokens and back.

codec             the base class
tokenizers_codec  the codec on the `tokenizers` library
marian            the codec on the `sentencepiece` library, for Marian's models
reading           reads the tokenizer of a checkpoint
tokenizer_settings
                  reads the settings and the declared tokens beside a vocabulary
tokenizer_classes
                  the tokenizer classes of the library transformers, whose settings count above `tokenizer.json`
added_tokens      finds declared tokens in texts for codecs that are not on the `tokenizers` library
wordpiece, byte_level_bpe, unigram, fairseq_unigram
                  readers of the older formats that families name in their `tokenizer.py`
special_tokens    tokens that are no text, and their roles
items             the items of a request about texts
prompts           texts that a checkpoint expects before those that it makes vectors of
assembly          joins tokens, as they arrive, to text
words             finds the words of a text
label_schemes     reads what the labels of tokens say
entities          converts the classes of tokens to entities
targets           finds the tokens that a request names
answers           converts the logits of spans to answers
"""

from models.codecs.text.codec import TextCodec
from models.codecs.text.items import TextItem, clean_text
from models.codecs.text.prompts import Prompts
from models.codecs.text.reading import read_text_codec
from models.codecs.text.special_tokens import SpecialTokens
from models.codecs.text.tokenizers_codec import TokenizersCodec

__all__ = ["Prompts", "SpecialTokens", "TextCodec", "TextItem", "TokenizersCodec", "clean_text", "read_text_codec"]
