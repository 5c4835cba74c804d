"""Tiny checkpoints of texts, one for each task: minutes of training, to try every route. They know next to nothing.

    python -m training.tiny_texts DATA WEIGHTS [NAME …]
"""

import csv
import gzip
import itertools
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from rich.progress import track
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, Unigram, WordPiece
from torch import Tensor
from torch.nn import functional

from models.catalogue import family
from models.checkpoint.published import write_card, write_published
from models.codecs.text.codec import FastCodec, Special
from models.layers.attention import WithinTexts
from models.layers.encoder import TextEncoder
from models.layers.text_model import TextModel, plain_tokens
from models.tasks.text import Tokens
from models.transformers.albert.objective import loss as albert_loss
from models.transformers.bert.objective import loss as bert_loss
from models.transformers.gpt.model import Gpt
from models.transformers.gpt.objective import loss as gpt_loss
from models.transformers.roberta.objective import loss as roberta_loss
from models.transformers.vanilla.model import VanillaTransformer
from models.transformers.vanilla.objective import loss as vanilla_loss

VOCAB_SIZE, N_POSITIONS, BATCH_SIZE, PEAK_RATE = 2000, 256, 32, 3e-3
ENCODER = {"vocab_size": VOCAB_SIZE, "width": 64, "n_layers": 2, "n_heads": 2, "inner_width": 128}
MASKED_SHARE = 0.15
LICENCE = "Apache-2.0"

Loss = Callable[[Any, random.Random], Tensor]


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """How one checkpoint is made: its family and configuration, its tokenizer, and `prepare`, which gives the loss."""

    name: str
    family_id: str
    config: dict[str, Any]
    tokenizer: Callable[[Path], Tokenizer]
    prepare: Callable[[FastCodec, Path], Loss]
    what: str
    data: str
    n_steps: int = 1500
    parent: str | None = None


def lines(path: Path) -> list[str]:
    """Of a gzipped text."""
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def sentences(data: Path) -> list[str]:
    """English, of an encyclopaedia and of captions."""
    articles = lines(data / "wikipedia-en-sample/valid.txt.gz")
    captions = lines(data / "multi30k-en-de/train.en.gz")
    return [line for line in articles if 40 < len(line) < 1200] + captions


def stories(data: Path) -> list[str]:
    """For children, in lower case."""
    return [line for line in lines(data / "tinystories-sample/tinystories-first-4MB-lowercased.txt.gz") if line]


def wordpiece(data: Path) -> Tokenizer:
    """Lower case, as BERT has it."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))  # noqa: S106 a token, no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        sentences(data),
        trainers.WordPieceTrainer(vocab_size=VOCAB_SIZE, special_tokens=special, show_progress=False),
    )
    return enclosed(tokenizer, "[CLS]", "[SEP]")


def unigram(data: Path) -> Tokenizer:
    """As ALBERT has it."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        sentences(data),
        trainers.UnigramTrainer(
            vocab_size=VOCAB_SIZE,
            special_tokens=special,
            unk_token="<unk>",  # noqa: S106 a token, no password
            show_progress=False,
        ),
    )
    return enclosed(tokenizer, "[CLS]", "[SEP]")


def byte_level(texts: Callable[[Path], Sequence[str]], special: list[str]) -> Callable[[Path], Tokenizer]:
    """Pairs of bytes, as GPT-2 and RoBERTa have them."""

    def train(data: Path) -> Tokenizer:
        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCAB_SIZE,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts(data), trainer)
        if "<s>" in special:
            ends = (("</s>", special.index("</s>")), ("<s>", special.index("<s>")))
            tokenizer.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=False)
        elif "</s>" in special:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", special.index("</s>"))]
            )
        return tokenizer

    return train


def enclosed(tokenizer: Tokenizer, start: str, end: str) -> Tokenizer:
    """With a token before a text and one after each."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B:1 {end}:1",
        special_tokens=[(name, tokenizer.token_to_id(name) or 0) for name in (start, end)],
    )
    return tokenizer


def masked(tokens: Tokens, codec: FastCodec, draw: random.Random) -> tuple[Tokens, Tensor]:
    """A text with words behind masks, and what they hide (Devlin et al. 2019, section 3.1)."""
    ids, targets = tokens.ids.clone(), torch.full_like(tokens.ids, -1)
    places = [place for place, text in enumerate(tokens.texts) if text is not None]
    for place in draw.sample(places, max(1, int(MASKED_SHARE * len(places)))):
        targets[place] = ids[place]
        choice = draw.random()
        ids[place] = codec.special.mask if choice < 0.8 else draw.randrange(VOCAB_SIZE) if choice < 0.9 else ids[place]
    return replace(tokens, ids=ids), targets


def pretraining(ordered: bool) -> Callable[[FastCodec, Path], Loss]:
    """Masked words, and pairs: of another text, or `ordered`, the other way round."""

    def prepare(codec: FastCodec, data: Path) -> Loss:
        texts = [text for text in sentences(data) if len(text) > 60]

        def loss(model: TextEncoder, draw: random.Random) -> Tensor:
            pairs, labels = [], []
            for text in draw.sample(texts, BATCH_SIZE):
                words = text.split()[:80]
                cut = len(words) // 2
                first, second = " ".join(words[:cut]), " ".join(words[cut:])
                labels.append(draw.randrange(2))
                if labels[-1] and ordered:
                    first, second = second, first
                elif labels[-1]:
                    second = draw.choice(texts)[: len(second) + 1]
                pairs.append(masked(codec.encode_truncated(first, second), codec, draw))
            chosen = albert_loss if ordered else bert_loss
            return chosen(model, [text for text, _ in pairs], [hidden for _, hidden in pairs], torch.tensor(labels))

        return loss

    return prepare


def masked_words(codec: FastCodec, data: Path) -> Loss:
    """Masked words alone."""
    texts = stories(data)

    def loss(model: TextEncoder, draw: random.Random) -> Tensor:
        pairs = [masked(codec.encode_truncated(text[:400]), codec, draw) for text in draw.sample(texts, BATCH_SIZE)]
        return roberta_loss(model, [text for text, _ in pairs], [hidden for _, hidden in pairs])

    return loss


def continuations(codec: FastCodec, data: Path) -> Loss:
    """Stories, each begun and ended by the same token."""
    end = codec.id_of("<|endoftext|>") or 0
    texts = [[end, *codec.encode(text).ids.tolist(), end][:160] for text in stories(data)]

    def loss(model: Gpt, draw: random.Random) -> Tensor:
        return gpt_loss(model, [plain_tokens(ids) for ids in draw.sample(texts, BATCH_SIZE // 2)])

    return loss


def translations(codec: FastCodec, data: Path) -> Loss:
    """Captions of pictures, in English and German."""
    pairs = list(zip(*(lines(data / f"multi30k-en-de/train.{code}.gz") for code in ("en", "de")), strict=True))

    def loss(model: VanillaTransformer, draw: random.Random) -> Tensor:
        chosen = draw.sample(pairs, 2 * BATCH_SIZE)
        sources = [codec.encode_truncated(source) for source, _ in chosen]
        return vanilla_loss(model, sources, [codec.encode_truncated(target).ids for _, target in chosen], 0.1)

    return loss


def opinions(codec: FastCodec, data: Path) -> Loss:
    """Sentences of film reviews, good or bad."""
    rows = list(csv.reader(lines(data / "sst2/train.tsv.gz")[1:], delimiter="\t", quoting=csv.QUOTE_NONE))

    def loss(model: TextEncoder, draw: random.Random) -> Tensor:
        chosen = draw.sample(rows, BATCH_SIZE)
        packed = model.pack([codec.encode_truncated(text) for text, _ in chosen])
        pooled = model.pooled(packed, model.hidden(packed, WithinTexts(packed.segments)))
        return functional.cross_entropy(cast("Any", model.sequence_head)(pooled), torch.tensor([int(y) for _, y in chosen]))

    return loss


NAMES = ("O", "I-PER", "I-LOC", "I-ORG", "I-MISC")


def names(codec: FastCodec, data: Path) -> Loss:
    """Names in an encyclopaedia."""
    blocks = gzip.decompress((data / "ner-wikigold/wikigold.conll.txt.gz").read_bytes()).decode().split("\n\n")
    rows = [[line.split() for line in block.splitlines() if line.strip()] for block in blocks]
    rows = [row for row in rows if row and row[0][0] != "-DOCSTART-"]

    def loss(model: TextEncoder, draw: random.Random) -> Tensor:
        texts, targets = [], []
        for row in draw.sample(rows, BATCH_SIZE):
            ends = list(itertools.accumulate(len(word) + 1 for word, _ in row))
            tokens = codec.encode_truncated(" ".join(word for word, _ in row))
            words = [next(i for i, end in enumerate(ends) if start < end) for start, _ in tokens.offsets]
            wanted = [NAMES.index(row[word][1]) for word in words]
            targets.append([w if text == 0 else -1 for w, text in zip(wanted, tokens.texts, strict=True)])
            texts.append(tokens)
        states = torch.cat(model.states(texts))
        logits = cast("Any", model.token_head)(states)
        return functional.cross_entropy(logits, torch.tensor(list(itertools.chain(*targets))), ignore_index=-1)

    return loss


def questions(codec: FastCodec, data: Path) -> Loss:
    """Questions about paragraphs of an encyclopaedia."""
    content = json.loads(gzip.decompress((data / "qa-xquad-en/xquad.en.json.gz").read_bytes()))
    rows = list(_questions(content))

    def loss(model: TextEncoder, draw: random.Random) -> Tensor:
        losses = []
        texts, spans = [], []
        while len(texts) < BATCH_SIZE // 2:
            question, context, start, end = draw.choice(rows)
            for window in codec.windows(question, context, 64):
                inside = [p for p, text in enumerate(window.texts) if text == 1]
                first = [p for p in inside if window.offsets[p][0] <= start < window.offsets[p][1]]
                last = [p for p in inside if window.offsets[p][0] < end <= window.offsets[p][1]]
                if first and last:
                    texts.append(window)
                    spans.append((first[0], last[-1]))
                    break
        for state, span in zip(model.states(texts), spans, strict=True):
            losses.append(functional.cross_entropy(cast("Any", model.span_head)(state).T, torch.tensor(span)))
        return torch.stack(losses).mean()

    return loss


def _questions(content: dict[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for one in paragraph["qas"]:
                answer = one["answers"][0]
                start = answer["answer_start"]
                yield one["question"], paragraph["context"], start, start + len(answer["text"])


_BERT = {**ENCODER, "n_positions": N_POSITIONS, "n_token_types": 2}
_ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_VANILLA = {
    "vocab_size": VOCAB_SIZE,
    "target_vocab_size": VOCAB_SIZE,
    "n_positions": N_POSITIONS,
    "width": 96,
    "n_encoder_layers": 2,
    "n_decoder_layers": 2,
    "n_encoder_heads": 4,
    "n_decoder_heads": 4,
    "encoder_inner_width": 256,
    "decoder_inner_width": 256,
    "start_id": 2,
    "end_ids": (0,),
    "suppressed_ids": (2,),
}
_WIKI = "Wikipedia (CC BY-SA 3.0) and Multi30k captions (non-commercial research)"
TINY = (
    Tiny(
        name="bert-tiny-en",
        family_id="transformers/bert",
        config={**_BERT, "heads": ("pooler", "pair", "masked")},
        tokenizer=wordpiece,
        prepare=pretraining(ordered=False),
        what="masked words, next sentences",
        data=_WIKI,
    ),
    Tiny(
        name="bert-tiny-sst2-en",
        family_id="transformers/bert",
        config={**_BERT, "heads": ("pooler", "sequence"), "labels": ("negative", "positive")},
        tokenizer=wordpiece,
        prepare=opinions,
        what="good or bad",
        data="SST-2",
        parent="bert-tiny-en",
    ),
    Tiny(
        name="bert-tiny-ner-en",
        family_id="transformers/bert",
        config={**_BERT, "heads": ("tokens",), "labels": NAMES},
        tokenizer=wordpiece,
        prepare=names,
        what="names",
        data="Wikigold (CC BY 4.0)",
        parent="bert-tiny-en",
    ),
    Tiny(
        name="bert-tiny-qa-en",
        family_id="transformers/bert",
        config={**_BERT, "heads": ("span",)},
        tokenizer=wordpiece,
        prepare=questions,
        what="answers",
        data="XQuAD (CC BY-SA 4.0)",
        n_steps=600,
        parent="bert-tiny-en",
    ),
    Tiny(
        name="roberta-tiny-en",
        family_id="transformers/roberta",
        config={**ENCODER, "n_positions": N_POSITIONS + 2, "n_token_types": 1, "norm_eps": 1e-5, "heads": ("masked",)},
        tokenizer=byte_level(stories, _ROBERTA),
        prepare=masked_words,
        what="masked words",
        data="TinyStories (CDLA-Sharing-1.0)",
    ),
    Tiny(
        name="albert-tiny-en",
        family_id="transformers/albert",
        config={**_BERT, "embedding_width": 32, "heads": ("pooler", "pair", "masked")},
        tokenizer=unigram,
        prepare=pretraining(ordered=True),
        what="masked words, the order of sentences",
        data=_WIKI,
    ),
    Tiny(
        name="gpt-tiny-en",
        family_id="transformers/gpt",
        config={**ENCODER, "width": 96, "inner_width": 384, "n_positions": N_POSITIONS},
        tokenizer=byte_level(stories, ["<|endoftext|>"]),
        prepare=continuations,
        what="stories, continued",
        data="TinyStories (CDLA-Sharing-1.0)",
        n_steps=2500,
    ),
    Tiny(
        name="transformer-tiny-en-de",
        family_id="transformers/vanilla",
        config=_VANILLA,
        tokenizer=byte_level(
            lambda data: [line for code in ("en", "de") for line in lines(data / f"multi30k-en-de/train.{code}.gz")],
            ["</s>", "<unk>", "<pad>"],
        ),
        prepare=translations,
        what="captions, from English into German",
        data="Multi30k (non-commercial research)",
        n_steps=2500,
    ),
)


def make(tiny: Tiny, data: Path, weights: Path) -> Path:
    """Train one, from its parent's weights where it has one, and write its folder."""
    torch.manual_seed(0)
    spec = family(tiny.family_id)
    config = spec.config(**tiny.config)
    folder = weights / tiny.family_id / tiny.name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny.tokenizer(data)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {role: _role(tokenizer, names) for role, names in _ROLES.items()}
    codec = FastCodec(tokenizer, Special(mask=roles["mask"]), max_tokens=N_POSITIONS)
    model = cast("TextModel", spec.build(config))
    if tiny.parent:
        model.load_state_dict(torch_body(weights / tiny.family_id / tiny.parent), strict=False)
    fit(model, tiny.prepare(codec, data), tiny)
    extra = {"bos_token_id": roles["bos"], "eos_token_id": roles["eos"], "pad_token_id": roles["pad"]}
    if tiny.family_id == "transformers/vanilla":
        extra = {"pad_token_id": config.start_id}
    write_published(folder, model.eval(), spec, config, extra=extra, dtype=torch.float16)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": N_POSITIONS}) + "\n")
    write_card(folder, licence=LICENCE, metrics={})
    (folder / "README.md").write_text(CARD.format(tiny=tiny))
    return folder


CARD = """# {tiny.name}

**A tiny checkpoint to try the routes with, not to rely on**: minutes of training, 0.3 million parameters, no measured quality.

{tiny.what}. Trained for {tiny.n_steps} steps on {tiny.data}, by

```
.venv/bin/python -m training.tiny_texts DATA weights {tiny.name}
```
"""
_ROLES = {
    "mask": ("[MASK]", "<mask>"),
    "bos": ("<|endoftext|>", "<s>", "[CLS]"),
    "eos": ("<|endoftext|>", "</s>", "[SEP]"),
    "pad": ("[PAD]", "<pad>"),
}


def _role(tokenizer: Tokenizer, names: Sequence[str]) -> int | None:
    return next((one for name in names if (one := tokenizer.token_to_id(name)) is not None), None)


def torch_body(folder: Path) -> dict[str, Tensor]:
    """A checkpoint's parameters but those of its heads."""
    from models.checkpoint import load_model, read_checkpoint  # noqa: PLC0415 the parent was written a moment ago

    state = load_model(read_checkpoint(folder)).state_dict()
    return {name: tensor for name, tensor in state.items() if "head" not in name}


def fit(model: TextModel, loss: Loss, tiny: Tiny) -> None:
    """AdamW, the rate rising for a tenth of the steps and falling after, gradients shortened to 1."""
    draw = random.Random(0)  # noqa: S311 a training's order is no secret
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    recent: list[float] = []
    for step in track(range(tiny.n_steps), tiny.name):
        progress = step / tiny.n_steps
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(10 * progress, (1 - progress) / 0.9)
        value = loss(model.train(), draw)
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        recent = [*recent[-99:], value.item()]
    print(f"{tiny.name}: loss {sum(recent) / len(recent):.3f} nats over the last 100 steps")  # noqa: T201


if __name__ == "__main__":
    at, to, *wanted = sys.argv[1:]
    for tiny in TINY:
        if not wanted or tiny.name in wanted:
            make(tiny, Path(at), Path(to))
