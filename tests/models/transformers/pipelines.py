"""What the library transformers answers with a checkpoint, by its own pipelines: of the version that is imported.

Run as a script, it writes the answers of folders to a JSON file, so that another version can be asked.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

PAIR = ("A fine film.", "The king was there.")
TEXTS: tuple[tuple[str, ...], ...] = (
    ("A man is riding a bike in the snow.",),
    ("na\u00efve caf\u00e9, 1984!\u4e2d\u6587",),
    (" Hello  WORLD ",),
    ("a [MASK] <mask> [PAD] <pad> x</s><|endoftext|>[SEP]y",),
    ("   ",),
    ("a\x00b\u200b\ufeffc",),
    ("[ENT] Ab[/ENT] c aBq xabq ",),
    PAIR,
)
"""Texts and a pair; none is empty, because an empty text of GPT-2 has no tokens, and ours is its start token."""
QUESTION, CONTEXT = "Where does Ada live?", "Ada lives in London with her cat. The cat is old."


def encodings(folder: Path) -> list[Any]:
    """Return the ids and the types of the tokens of each of `TEXTS`."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = [tokenizer(*texts) for texts in TEXTS]
    return [[each["input_ids"], each.get("token_type_ids", [0] * len(each["input_ids"]))] for each in encoded]


def answers(folder: Path) -> Any:
    """Return the answer of the checkpoint's task."""
    import torch
    from transformers import AutoModel, AutoModelForQuestionAnswering, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

    (architecture,) = json.loads((folder / "config.json").read_text())["architectures"]
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    options: dict[str, Any] = {"model": str(folder), "tokenizer": tokenizer}
    if architecture.endswith("ForSequenceClassification"):
        scores = pipeline("text-classification", top_k=None, **options)({"text": PAIR[0], "text_pair": PAIR[1]})
        return {score["label"]: score["score"] for score in scores}
    if architecture.endswith("ForTokenClassification"):
        found = pipeline("token-classification", aggregation_strategy="simple", **options)(CONTEXT)
        return [[entity["entity_group"], entity["start"], entity["end"]] for entity in found]
    if architecture.endswith(("ForPreTraining", "ForMaskedLM")):
        fills = pipeline("fill-mask", **options)(f"The king {tokenizer.mask_token} there.")
        return {fill["token"]: fill["score"] for fill in fills}
    if architecture.endswith("LMHeadModel"):
        generate = pipeline("text-generation", **options)
        return generate("Once upon", max_new_tokens=8, do_sample=False, return_full_text=False)[0]["generated_text"]
    if architecture.endswith("ForQuestionAnswering"):
        inputs = tokenizer(QUESTION, CONTEXT, return_tensors="pt")
        output = AutoModelForQuestionAnswering.from_pretrained(folder)(**inputs)
        first, last = (int(logits.argmax()) for logits in (output.start_logits, output.end_logits))
        return [inputs.token_to_chars(first).start, inputs.token_to_chars(last).end]
    inputs = tokenizer(TEXTS[0][0], return_tensors="pt")
    if architecture.endswith("MTModel"):
        model = AutoModelForSeq2SeqLM.from_pretrained(folder)
        return tokenizer.decode(model.generate(**inputs, num_beams=1)[0], skip_special_tokens=True)
    hidden = AutoModel.from_pretrained(folder)(**inputs).last_hidden_state
    return torch.nn.functional.normalize(hidden[0].mean(0), dim=0).tolist()


def ask(folders: dict[str, str], *, with_models: bool) -> dict[str, Any]:
    """Return the encodings, and the answers of the models, of folders by name; the error instead, if there is one."""
    found: dict[str, Any] = {}
    for name, folder in folders.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found[name] = {"encodings": encodings(Path(folder))}
                if with_models:
                    found[name]["answer"] = answers(Path(folder))
            except Exception as error:  # whatever the library refuses a folder with
                found[name] = {"error": repr(error)}
    return found


if __name__ == "__main__":
    task = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(ask(task["folders"], with_models=task["with_models"])))
