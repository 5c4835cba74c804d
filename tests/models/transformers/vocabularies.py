"""Small tokenizers with as many ids as a model has embeddings."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

WORDS = ["the", "a", "dog", "cat", "sees", "runs", "man", "house", "red", "in", "of", "and", ".", ",", "?", "e", "s"]
ROBERTAS = ("roberta", "xlm-roberta", "camembert")
"""Values of `model_type` of RoBERTa's network."""
MPNET = ("<s>", "<pad>", "</s>", "[UNK]", "<mask>")
"""Special tokens of MPNet."""


def write_tokenizer(folder: Path, model_type: str, vocab_size: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`."""
    ends: dict[str, tuple[str, ...]] = dict.fromkeys(ROBERTAS, ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    ends |= {"gpt2": ("<|endoftext|>",), "mpnet": MPNET}
    special: tuple[str, ...] = ends.get(model_type, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
    if model_type == "marian":
        special = ("</s>", "<unk>", "<pad>")
    names = [*special, *WORDS]
    names = (names + [f"w{i}" for i in range(vocab_size)])[:vocab_size]
    vocab = {name: number for number, name in enumerate(names)}
    unknown = next((name for name in special if "unk" in name.lower()), special[0])
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(special))
    start, end = ("<s>", "</s>") if model_type in (*ROBERTAS, "mpnet") else ("[CLS]", "[SEP]")
    if model_type == "marian":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", 0)]
        )
    elif model_type != "gpt2":
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A {end}",
            pair=f"{start} $A {end} $B:1 {end}:1",
            special_tokens=[(name, vocab[name]) for name in (start, end)],
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({}))
