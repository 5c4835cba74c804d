"""The bodies of the pipelines of the Hugging Face Inference API.

The names of fields are those of the API. A field that this server cannot honour takes only the values that ask for
nothing, which clients send by default.
"""

from typing import Annotated, Literal

from pydantic import Field, RootModel
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType

from app.schemas.foreign.huggingface.base import PipelineBody, TopK
from app.schemas.foreign.huggingface.generation import PipelineTextGenerationBody
from app.schemas.foreign.neutral import only
from app.schemas.shared.choices import Activation, Aggregation
from app.schemas.shared.envelope import Strict

Texts = str | Annotated[list[str], Field(min_length=1)]


Truncation = Annotated[
    bool | None,
    Field(description="Whether to cut a text that is longer than the model's context; if omitted, it is refused."),
]


class PipelineNoParameters(Strict):
    """Parameters of a pipeline that has none."""


class PipelineFillMaskParameters(Strict):
    """Parameters of `fill-mask`."""

    top_k: TopK | None = Field(None, description="Number of tokens to return for each mask; 5 if omitted.")
    targets: list[str] | None = Field(None, description="Tokens to choose from; the whole vocabulary if omitted.")
    truncation: Truncation = None


class PipelineFillMaskBody(PipelineBody):
    """Body of `fill-mask`."""

    inputs: Texts = Field(description="A text with a mask, such as `[MASK]`, or a list of such texts.")
    parameters: PipelineFillMaskParameters | None = Field(None, description="Parameters of the pipeline.")


class PipelineClassificationParameters(Strict):
    """Parameters of `image-classification`, which `text-classification` has as well."""

    top_k: TopK | None = Field(None, description="Number of labels to return; all if omitted.")
    function_to_apply: Activation | None = Field(
        None, description="Function that turns logits into scores; the one the checkpoint was trained for if omitted."
    )


class PipelineTextClassificationParameters(PipelineClassificationParameters):
    """Parameters of `text-classification`."""

    truncation: Truncation = None


class PipelineTextPair(Strict):
    """A pair of texts to classify together."""

    text: str = Field(description="The first text.")
    text_pair: str = Field(description="The second text.")


class PipelineTextClassificationBody(PipelineBody):
    """Body of `text-classification`."""

    inputs: str | PipelineTextPair | Annotated[list[str | PipelineTextPair], Field(min_length=1)] = Field(
        description="A text or a pair of texts, or a list of such."
    )
    parameters: PipelineTextClassificationParameters | None = Field(None, description="Parameters of the pipeline.")


class PipelineTokenClassificationParameters(Strict):
    """Parameters of `token-classification`."""

    aggregation_strategy: Aggregation | None = Field(
        None, description="How tokens are joined into entities; `simple` if omitted."
    )
    ignore_labels: list[str] | None = Field(
        None, description="Labels to leave out of the answer. `O` must be among them, because it is never answered."
    )
    stride: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Number of tokens that windows of a long text share. It has no effect, because a text that is "
        "longer than the model's context is never read in windows.",
    )
    truncation: Truncation = None


class PipelineTokenClassificationBody(PipelineBody):
    """Body of `token-classification`."""

    inputs: Texts = Field(description="A text or a list of texts.")
    parameters: PipelineTokenClassificationParameters | None = Field(None, description="Parameters of the pipeline.")


class PipelineQuestion(Strict):
    """A question and the text that may answer it."""

    question: str = Field(description="The question.")
    context: str = Field(description="The text that may answer it.")


class PipelineQuestionAnsweringParameters(Strict):
    """Parameters of `question-answering`."""

    top_k: TopK | None = Field(
        None, description="Maximum number of answers. More than 1 makes the answer a list; 1 if omitted."
    )
    doc_stride: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Number of tokens that neighbouring windows of a long context share."
    )
    max_answer_len: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Maximum length of an answer in tokens; 15 if omitted."
    )
    handle_impossible_answer: bool | None = Field(
        None, description="Whether an empty answer competes with the others; false if omitted."
    )
    align_to_words: Annotated[bool | None, only(True, reason="answers are whole words")] = Field(
        None, description="Only null and true are taken: answers are whole words."
    )
    max_seq_len: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Maximum length in tokens of a window. It must not be less than the question and context have, or "
        "than the model's context, because windows are as long as the model reads.",
    )
    max_question_len: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Maximum number of tokens of the question. A longer question is refused and never cut."
    )


class PipelineQuestionAnsweringBody(PipelineBody):
    """Body of `question-answering`."""

    inputs: PipelineQuestion | Annotated[list[PipelineQuestion], Field(min_length=1)] = Field(
        description="A question with its context, or a list of such."
    )
    parameters: PipelineQuestionAnsweringParameters | None = Field(None, description="Parameters of the pipeline.")


class PipelineFeatureExtractionBody(PipelineBody):
    """Body of `feature-extraction`. Its parameters stand beside the inputs."""

    inputs: Texts = Field(description="A text or a list of texts.")
    parameters: PipelineNoParameters | None = Field(None, description="An empty object or null.")
    normalize: bool | None = Field(
        None, description="Whether to scale each vector to unit length; as the checkpoint was trained if omitted."
    )
    prompt_name: str | None = Field(None, max_length=1000, description="Name of the prompt to put before each text.")
    truncate: bool | None = Field(
        None,
        description="Whether to cut a text that is longer than the model's context; if omitted, it is refused.",
    )
    truncation_direction: Annotated[str, Field(pattern="^([Ll]eft|[Rr]ight)$")] | None = Field(
        None,
        description="The side at which texts are cut if `truncate` is true; as the checkpoint says, mostly the right "
        "one, if omitted.",
    )
    dimensions: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Number of elements of each vector to keep, from the first; all if omitted."
    )
    encoding_format: Annotated[str | None, only("float", reason="vectors are lists of numbers")] = Field(
        None, description="Only null and `float` are taken: vectors are lists of numbers."
    )


class PipelineSentences(Strict):
    """A sentence and those that it is compared with."""

    source_sentence: str = Field(description="The sentence.")
    sentences: Annotated[list[str], Field(min_length=1)] = Field(description="The sentences to compare it with.")


class PipelineSentenceSimilarityBody(PipelineBody):
    """Body of `sentence-similarity`."""

    inputs: PipelineSentences = Field(description="A sentence, and those to compare it with.")
    parameters: PipelineNoParameters | None = Field(None, description="An empty object or null.")


TruncationStrategy = TypeAliasType(
    "TruncationStrategy",
    Annotated[
        Literal["do_not_truncate", "longest_first", "only_first", "only_second"],
        Field(description="Which texts are cut; `only_second` cuts none, because there is no second text."),
    ],
)


class PipelineTranslationSearch(Strict):
    """Parameters of the search for a translation."""

    max_new_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="Maximum length in tokens.")
    num_beams: Annotated[int, Field(ge=1)] | None = Field(None, description="Number of beams of the search.")
    length_penalty: float | None = Field(None, description="Exponent of the length in the score of the search.")


class PipelineTranslationParameters(Strict):
    """Parameters of `translation`."""

    src_lang: Annotated[str | None, only(reason="the model translates from one language")] = Field(
        None, description="Only null is taken: the model translates from one language."
    )
    tgt_lang: Annotated[str | None, only(reason="the model translates into one language")] = Field(
        None, description="Only null is taken: the model translates into one language."
    )
    clean_up_tokenization_spaces: Annotated[
        bool | None, only(False, reason="a text is as the tokenizer decodes it")
    ] = Field(None, description="Only null and false are taken: a text is as the tokenizer decodes it.")
    truncation: TruncationStrategy | None = Field(
        None,
        description="Whether to cut a text that is longer than the model's context, or to refuse it (the default).",
    )
    generate_parameters: PipelineTranslationSearch | None = Field(
        None, description="Parameters of the search for a translation."
    )


class PipelineTranslationBody(PipelineBody):
    """Body of `translation`."""

    inputs: Texts = Field(description="A text or a list of texts.")
    parameters: PipelineTranslationParameters | None = Field(None, description="Parameters of the pipeline.")


Image = Annotated[str | SkipJsonSchema[bytes], Field(description="The image in base64, or as a `data:` URL.")]


class PipelineImageClassificationBody(PipelineBody):
    """Body of `image-classification`, if it is not the image itself."""

    inputs: Image
    parameters: PipelineClassificationParameters | None = Field(None, description="Parameters of the pipeline.")


ImagePrompt = TypeAliasType(
    "ImagePrompt", Annotated[Literal["reconstruct", "denoise"], Field(description="What is done with an image.")]
)


class PipelineTargetSize(Strict):
    """The size of an image in pixels."""

    width: int = Field(description="Width in pixels.")
    height: int = Field(description="Height in pixels.")


class PipelineImageToImageParameters(Strict):
    """Parameters of `image-to-image`."""

    prompt: ImagePrompt | None = Field(
        None,
        description="Whether to reconstruct the image or to remove its noise; the latter if omitted and the model "
        "declares itself the best for it.",
    )
    target_size: PipelineTargetSize | None = Field(
        None, description="The size of the answer: only that of the model's images."
    )
    negative_prompt: Annotated[str | None, only(reason="nothing is generated from a text")] = Field(
        None, description="Only null is taken: nothing is generated from a text."
    )
    num_inference_steps: Annotated[int | None, only(1, reason="the model is applied once")] = Field(
        None, description="Only null and 1 are taken: the model is applied once."
    )
    guidance_scale: Annotated[float | None, only(reason="nothing is generated from a text")] = Field(
        None, description="Only null is taken: nothing is generated from a text."
    )


class PipelineImageToImageBody(PipelineBody):
    """Body of `image-to-image`, if it is not the image itself."""

    inputs: Image
    parameters: PipelineImageToImageParameters | None = Field(None, description="Parameters of the pipeline.")


class PipelineInput(
    RootModel[
        PipelineFillMaskBody
        | PipelineTextClassificationBody
        | PipelineTokenClassificationBody
        | PipelineQuestionAnsweringBody
        | PipelineFeatureExtractionBody
        | PipelineSentenceSimilarityBody
        | PipelineTranslationBody
        | PipelineTextGenerationBody
        | PipelineImageClassificationBody
        | PipelineImageToImageBody
    ]
):
    """Body of any pipeline."""
