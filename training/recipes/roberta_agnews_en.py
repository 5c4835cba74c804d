"""RoBERTa that classifies news by subject (AG News)."""

from collections.abc import Sequence

from typing_extensions import override

from models.transformers.roberta.config import RobertaConfig
from training.data.agnews import LABELS, agnews
from training.data.files import DataFolder
from training.data.labelled_text import LabelledText
from training.recipe import Bar
from training.recipes.roberta_mini_en import SHAPE, VOCABULARY
from training.texts.classification import ClassificationRecipe
from training.texts.finetuning import TextClassification
from training.texts.pretraining import TaskAdaptivePretraining, TextSource

MAX_TOKENS, N_TOKENS = 128, 10_000_000


def unlabelled(data: DataFolder) -> list[str]:
    """Return the training texts without their labels."""
    return [row.text for row in agnews(data).train]


class RobertaAgnewsEn(ClassificationRecipe):
    """Recipe of `roberta-agnews-en`: the first 4 of the 6 layers of `roberta-mini-en`, with a head for four classes."""

    name = "roberta-agnews-en"
    family = "transformers/roberta"
    parent = "roberta-mini-en"
    config = RobertaConfig(**{**SHAPE, "n_layers": 4}, heads=("pooler", "sequence"), labels=LABELS)
    licence = "non-commercial use, as the news it was tuned on"
    vocabulary = VOCABULARY
    max_tokens = MAX_TOKENS
    labels = LABELS
    stages = (
        TaskAdaptivePretraining(
            name="news",
            vocabulary=VOCABULARY,
            sources=(TextSource("news", unlabelled),),
            n_tokens=N_TOKENS,
            rate_factor=0.3,
        ),
        TextClassification(
            vocabulary=VOCABULARY,
            max_tokens=MAX_TOKENS,
            rows_of=lambda data: agnews(data).train,
            n_epochs=6,
            batch_size=32,
            lr=5e-4,
            dropout=0.15,
            masked_share=0.2,
            consistency=1.0,
            averaged_share=0.3,
        ),
    )
    bars = {"accuracy": Bar(must=0.88, aim=0.91, higher_is_better=True)}  # noqa: RUF012
    metrics = {  # noqa: RUF012
        "accuracy": "accuracy, the 7,600 texts of the AG News test split",
        "commonest": "accuracy of always naming the commonest class, for comparison",
    }
    sample_inputs = (
        "Stocks rose on Wall Street after strong earnings reports.",
        "The striker scored twice in the last ten minutes.",
        "Researchers found water on a moon of Saturn.",
        "The prime minister met the president to discuss the war.",
        "A new version of the browser blocks pop-up windows.",
        "The central bank raised interest rates by a quarter point.",
        "The tennis champion withdrew with a knee injury.",
        "An earthquake killed dozens of people in the north of the country.",
        "The airline filed for bankruptcy protection.",
        "The company sued its rival over a software patent.",
    )
    short_description = "news: world, sports, business, science"
    headline = "AG News accuracy {accuracy:.4f}"
    summary = """
RoBERTa of English, the first 4 of the 6 layers of `roberta-mini-en`, tuned to tell what a piece of news is about: the
world, sports, business, or science and technology. Family: `transformers/roberta`.
"""
    procedure = f"""
AG News (Zhang, Zhao, LeCun 2015), 14,536 of the 120,000 rows of the training split, of which 4,999 have their title
and the others the description alone, without the entities and tags of HTML that three in ten have. First their texts
without labels (Gururangan et al. 2020): {N_TOKENS:,} tokens, some twelve times all of them, 15% of them masked, with
Muon at 0.003 and AdamW at 0.0015. Then 6 epochs in batches of 32, AdamW at 0.0005 with a linear decay, dropout 0.15, a
fifth of the tokens behind masks, labels smoothed by 0.1; each text is read twice, and the divergence of the two answers
added (R-Drop, Wu et al. 2021). The weights are the average over the last 30% of these steps.
"""
    limits = """
It knows news of 2004 and 2005 in American English. Anything else gets one of the four subjects all the same. It misses
its bar by nine texts of the 7,600. Four ways to tune it came out between 0.8780 and 0.8796: the news' own texts behind
masks first, three and twelve times over; R-Drop; averaged weights; texts without HTML's entities. Before them it had
0.862. More pretraining of its parent is the next thing to try.
"""
    known_failings = "Knows American news of 2004 and 2005; any other text gets one of its four subjects all the same."
    data_licence = "AG's corpus of news articles: for research in data mining and other non-commercial activity."

    @override
    def test_rows(self, data: DataFolder) -> Sequence[LabelledText]:
        """Return the whole test split."""
        return agnews(data).test


RECIPE = RobertaAgnewsEn()
