"""The results of the tasks. Written by `client/generate.py` from the OpenAPI document."""

from dataclasses import dataclass
from typing import Any, Literal

from manifold_client.answer import Numbers


@dataclass(frozen=True, kw_only=True)
class FoundAnswer:
    """A part of the context that answers the question.

    Attributes:
        answer: The part of the context, in whole words; empty for no answer.
        score: Probability of the answer's first token times that of its last one, among the tokens of the context and
            the choice of no answer. Places with the same text add up, those in other windows of a long context
            included, to 1 at most. The score of no answer is the least of any window.
        start: Index of the first character of the answer in the context.
        end: Index after the last character of the answer.
    """

    answer: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class AnswerOutput:
    """The answers to one question.

    Attributes:
        answers: The answers, best first.
    """

    answers: list[FoundAnswer]


@dataclass(frozen=True, kw_only=True)
class AttendOutput:
    """The attention weights of one text and, for an encoder-decoder, of its translation.

    Attributes:
        tokens: The tokens of the text.
        attention: Weights between the tokens of the text, `[layer][head][query][key]`; those of a query sum to 1.
        target_tokens: The tokens of the translation, which the decoder reads; only for encoder-decoders.
        target_attention: Weights between the tokens of the translation; only for encoder-decoders.
        cross_attention: Weights from the translation's tokens to the text's; only for encoder-decoders.
    """

    tokens: list[str]
    attention: Numbers
    target_tokens: list[str] | None = None
    target_attention: Numbers | None = None
    cross_attention: Numbers | None = None


@dataclass(frozen=True, kw_only=True)
class ScoredLabel:
    """A label and its score.

    Attributes:
        label: Name of the label.
        score: Score of the label: a probability, or a logit if no function is applied.
    """

    label: str
    score: float


@dataclass(frozen=True, kw_only=True)
class ClassifyOutput:
    """The labels of one item.

    Attributes:
        labels: The labels, best first.
    """

    labels: list[ScoredLabel]


@dataclass(frozen=True, kw_only=True)
class NamedEntity:
    """A part of the text that names something.

    Attributes:
        entity_group: Kind of the entity, such as `PER` for a person.
        score: Probability of this kind, the mean over the parts that were joined.
        word: The part of the text.
        start: Index of the first character of the entity in the text.
        end: Index after the last character of the entity.
    """

    entity_group: str
    score: float
    word: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class ClassifyTokensOutput:
    """The entities of one text.

    Attributes:
        entities: The entities, in the order of the text.
    """

    entities: list[NamedEntity]


@dataclass(frozen=True, kw_only=True)
class CompressOutput:
    """A stream, and how well it represents the items in it. The stream of one sound.

    Attributes:
        stream: The stream in base64, which `/decompress` reads with the same model.
        bytes: Length of the stream in bytes, including the header.
        bits_per_element: Bits of the stream for each element of the items.
        ratio: Size of the items divided by that of the stream; an element counts 8 bits in images, else 32.
        mse: Mean squared error of the items that `/decompress` returns.
        psnr: Peak signal-to-noise ratio in dB of the items that `/decompress` returns; 100 if nothing is lost.
        kbit_per_s: Kilobits of the stream for each second of the sound.
    """

    stream: str
    bytes: int
    bits_per_element: float | None = None
    ratio: float
    mse: float | None = None
    psnr: float | None = None
    kbit_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class DecodeOutput:
    """The item of one latent. The sound of one object of codes.

    Attributes:
        reconstruction: The item: numbers of the item's shape, or a `data:` URL.
    """

    reconstruction: Numbers | str | dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DecompressOutput:
    """The items of one stream. The sound of one stream.

    Attributes:
        items: The items, in the order in which they were compressed.
    """

    items: list[Numbers | str | dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class DenoiseOutput:
    """One item without noise. The other fields are there only if the request asks for noise to be added. One sound
    without noise. The other fields are there only if the request asks for noise to be added. One sentence that was put
    right. The other fields are there only if the request asks for noise to be added.

    Attributes:
        denoised: The item without noise.
        noisy: The item with the added noise.
        psnr_before: Peak signal-to-noise ratio of the noisy item, in dB.
        psnr_after: Peak signal-to-noise ratio of the denoised item, in dB.
        snr_before: Ratio of the sound to the added noise, in dB.
        snr_after: Ratio of the sound to the difference of the denoised sound from it, in dB.
        edits_before: Least number of tokens to insert, delete or replace in the noisy sentence to get the input.
        edits_after: The same number for the sentence that was put right.
    """

    denoised: Numbers | str | dict[str, Any]
    noisy: Numbers | str | dict[str, Any] | None = None
    psnr_before: float | None = None
    psnr_after: float | None = None
    snr_before: float | None = None
    snr_after: float | None = None
    edits_before: int | None = None
    edits_after: int | None = None


@dataclass(frozen=True, kw_only=True)
class ElementContribution:
    """How much one element contributes to the score; if items have columns, how much one column does.

    Attributes:
        index: Indices of the element in the item, one for each dimension; of a series with columns, the row; missing
            for rows of a table.
        column: Name of the column; only for items with columns.
        token: The token as a part of the text; only for sentences.
        contribution: The part of the score that the element, the column or the token causes.
    """

    index: list[int] | None = None
    column: str | None = None
    token: str | None = None
    contribution: float


@dataclass(frozen=True, kw_only=True)
class RowScores:
    """The scores of the rows of a series.

    Attributes:
        scores: Score of each row.
        p_values: Conformal p-value of each score against those of rows of held-out normal series.
    """

    scores: Numbers
    p_values: Numbers


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Consecutive rows of a series whose scores exceed the threshold.

    Attributes:
        first: Number of the first row, counted from 0.
        last: Number of the last row.
        first_time: Time of the first row as the client wrote it; missing without times.
        last_time: Time of the last row as the client wrote it; missing without times.
        score: The largest score of these rows.
        contributions: The share of each column in the scores of these rows; they sum to 1.
    """

    first: int
    last: int
    first_time: Any = None
    last_time: Any = None
    score: float
    contributions: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FrameContribution:
    """How much one frame of a sound contributes to its score.

    Attributes:
        start_s: Beginning of the frame in the sound, in seconds.
        end_s: End of the frame, in seconds; that of the sound at the latest.
        contribution: The part of the score that the frame causes.
    """

    start_s: float
    end_s: float
    contribution: float


@dataclass(frozen=True, kw_only=True)
class DetectAnomaliesOutput:
    """The score of one item, and what it is made of.

    A series with columns is scored row by row; it has the largest score, and the least p-value, of its rows. The score
    of one sound, and which of its frames it is made of.

    Attributes:
        score: Score of the item; the higher, the less normal.
        threshold: Score above which an item is an anomaly.
        is_anomaly: Whether the score exceeds the threshold.
        percentile: Share of the held-out normal items, in percent, that score no higher.
        p_value: Conformal p-value of the score against the held-out normal items.
        contributions: Contribution of each element to the score, in the item's shape, or of each column of a table by
            its name; they sum to the score. Of a series with columns, a list for each column; those of a row sum to the
            score of the row.
        top: The largest contributions, in descending order.
        key: What tells the series from others, as the client wrote it, if there is a key.
        rows: The scores of the rows; only for series with columns.
        anomalies: The rows whose scores exceed the threshold; only for series with columns.
        frame_s: Length of a frame in seconds.
    """

    score: float
    threshold: float
    is_anomaly: bool
    percentile: float
    p_value: float
    contributions: Numbers | dict[str, Any]
    top: list[ElementContribution]
    key: Any = None
    rows: RowScores | None = None
    anomalies: list[Stretch] | None = None
    frame_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class DetokenizeOutput:
    """The text of one list of tokens.

    Attributes:
        text: The text.
    """

    text: str


@dataclass(frozen=True, kw_only=True)
class SparseEmbedding:
    """An embedding over the vocabulary of which only the elements are listed that are not zero.

    Attributes:
        indices: The token ids of these elements, ascending.
        values: Their values, all positive.
    """

    indices: list[int]
    values: Numbers


@dataclass(frozen=True, kw_only=True)
class EncodeOutput:
    """The latent of one item. The codes of one sound, which `/decode` takes. The embedding of one text.

    Attributes:
        latent: The latent: numbers of the model's latent shape.
        mean: Mean of the posterior; only for models that have a posterior.
        log_variance: Logarithm of the posterior's variance; only for models that have a posterior.
        prior_score: Probability, as the discriminator sees it, that the latent was drawn from the prior; only for
            models that have a discriminator.
        codes: For each chunk of the sound, and for each codebook, the index of each frame. Models without chunks have
            one.
        length: Number of samples of the sound.
        scales: Volume of each chunk; only for models that bring all chunks to the same volume.
        embedding: The embedding: a list of numbers, or a string of base64 if asked for; without pooling, one for each
            token; if it is sparse, an object of `indices` and `values`.
        scale: Number to multiply the elements by, after 128 is taken from those of `uint8`; without pooling, one for
            each token. Only for the encodings `int8` and `uint8`.
    """

    latent: Numbers | None = None
    mean: Numbers | None = None
    log_variance: Numbers | None = None
    prior_score: float | None = None
    codes: list[list[list[int]]] | None = None
    length: int | None = None
    scales: Numbers | None = None
    embedding: Numbers | str | SparseEmbedding | None = None
    scale: float | Numbers | None = None


@dataclass(frozen=True, kw_only=True)
class MaskFill:
    """A token that may stand in the place of a mask.

    Attributes:
        score: Probability of the token.
        token: Id of the token.
        token_str: The token as text.
        sequence: The text with the token in place of the mask; other masks are left as they are.
    """

    score: float
    token: int
    token_str: str
    sequence: str


@dataclass(frozen=True, kw_only=True)
class FillMaskOutput:
    """The predictions for the masks of one text.

    Attributes:
        fills: The likeliest tokens for each mask, best first.
    """

    fills: list[list[MaskFill]]


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A token that could have been generated, and its log-probability.

    Attributes:
        token: Id of the token.
        token_str: The token as text.
        logprob: Log-probability of the token in nats, before any parameter changes it.
    """

    token: int
    token_str: str
    logprob: float


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """A generated token, its log-probability, and those of the likeliest tokens in its place.

    Attributes:
        token: Id of the token.
        token_str: The token as text.
        logprob: Log-probability of the token in nats, before any parameter changes it.
        top: The likeliest tokens in the place of this one.
    """

    token: int
    token_str: str
    logprob: float
    top: list[Alternative]


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generated text.

    Attributes:
        text: The generated text, without the prompt and without a stop string.
        finish_reason: Why the text ends: the model ended it or it met a stop string (`stop`), or a limit (`length`).
        tokens: Ids of the generated tokens, including those of a stop string.
        logprobs: The log-probability of each token, if the request asks for them.
        score: Score by which beam search ranks the text; only for beam search.
        seed: Sampling seed; the same seed gives the same text again.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: list[int]
    logprobs: list[TokenLogprob] | None = None
    score: float | None = None
    seed: int


@dataclass(frozen=True, kw_only=True)
class GenerateOutput:
    """The texts generated for one input.

    Attributes:
        generations: The generated texts.
    """

    generations: list[Generation]


@dataclass(frozen=True, kw_only=True)
class GenerateEvent:
    """Event of a stream for one token of one text.

    Attributes:
        input: Index of the input, from 0.
        generation: Index of the text among those of the same input, from 0.
        text: The new characters; empty while the token ends within a character.
        token: Id of the token; null if the text ends without one.
        logprobs: The log-probability of the token, if the request asks for it.
        finish_reason: Why the text ends; null unless this is its end.
        seed: Sampling seed; the same seed gives the same text again.
    """

    input: int
    generation: int
    text: str
    token: int | None = None
    logprobs: TokenLogprob | None = None
    finish_reason: Literal["stop", "length"] | None = None
    seed: int


@dataclass(frozen=True, kw_only=True)
class ImputeOutput:
    """One item whose missing values have been filled in. One sentence whose unknown words have been written.

    Attributes:
        imputed: The item with its missing values filled in; observed values are unchanged.
    """

    imputed: Numbers | str | dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class InterpolateOutput:
    """The frames from the first item to the second.

    Attributes:
        frames: Decoded items; the first and the last are reconstructions of the inputs.
        latents: The latent of each frame.
    """

    frames: list[Numbers | str | dict[str, Any]]
    latents: Numbers


@dataclass(frozen=True, kw_only=True)
class ProjectOutput:
    """The point of one item.

    Attributes:
        x: First coordinate of the point.
        y: Second coordinate of the point.
    """

    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class ReconstructOutput:
    """The reconstruction of one item. The reconstruction of one sound. The reconstruction of one sentence.

    Attributes:
        reconstruction: The reconstruction: numbers of the item's shape, or a `data:` URL.
        mse: Mean squared error over the elements of the item, as the model normalises them.
        mae: Mean absolute error over the elements of the item, as the model normalises them.
        edits: Least number of tokens to insert, delete or replace in the reconstruction to get the sentence.
        nll: Negative log-likelihood of the sentence given its latent, in nats for each of its tokens.
    """

    reconstruction: Numbers | str | dict[str, Any]
    mse: float | None = None
    mae: float | None = None
    edits: int | None = None
    nll: float | None = None


@dataclass(frozen=True, kw_only=True)
class RankedCandidate:
    """A candidate and its score.

    Attributes:
        index: Place of the candidate in `candidates`, from 0.
        score: How well the candidate answers the query; the higher, the better. It is the score of the only class of a
            cross-encoder, a probability for most; for a sentence encoder it is the similarity of the embeddings, as in
            `/similarity`.
    """

    index: int
    score: float


@dataclass(frozen=True, kw_only=True)
class RerankOutput:
    """The candidates of one query.

    Attributes:
        ranking: The candidates, best first; of those with the same score, the earlier comes first.
    """

    ranking: list[RankedCandidate]


@dataclass(frozen=True, kw_only=True)
class SampleOutput:
    """One new item.

    Attributes:
        sample: The item: numbers of the item's shape, or a `data:` URL.
        latent: The latent of the item; `/decode` makes the same item of it.
        seed: Sampling seed; the same seed gives the same items again.
    """

    sample: Numbers | str | dict[str, Any]
    latent: Numbers
    seed: int


@dataclass(frozen=True, kw_only=True)
class TokenScore:
    """A token of the text and its log-probability.

    Attributes:
        token: The token.
        log_prob: Log-probability of the token in nats; null for tokens that are not predicted, such as the first.
    """

    token: str
    log_prob: float | None


@dataclass(frozen=True, kw_only=True)
class ScoreTextOutput:
    """The likelihood of one text; from a bidirectional model, the pseudo-likelihood (Salazar et al. 2020).

    Attributes:
        log_likelihood: Log-likelihood in nats: the sum over the predicted tokens.
        perplexity: Perplexity: exp(-log_likelihood / predicted tokens); null if no token is predicted.
        tokens: The tokens of the text with their log-probabilities.
    """

    log_likelihood: float
    perplexity: float | None
    tokens: list[TokenScore]


@dataclass(frozen=True, kw_only=True)
class SimilarityOutput:
    """The similarities of one source to its candidates.

    Attributes:
        scores: Similarity of the embeddings of the source and of each candidate; the higher, the more similar. It is
            the cosine of the angle between them, in [-1, 1], unless the checkpoint names another measure: the dot
            product, or the negative of the Euclidean or the Manhattan distance.
    """

    scores: Numbers


@dataclass(frozen=True, kw_only=True)
class TokenizeOutput:
    """The tokens of one text.

    Attributes:
        ids: Ids of the tokens.
        tokens: The tokens as the vocabulary writes them.
        offsets: Place of each token in the text: the index of its first character, and the index after its last.
    """

    ids: list[int]
    tokens: list[str]
    offsets: list[Any]


@dataclass(frozen=True, kw_only=True)
class TranslateOutput:
    """The translation of one text.

    Attributes:
        translation: The translation.
        score: Log-likelihood in nats, divided by the length to the power of `length_penalty`.
    """

    translation: str
    score: float


@dataclass(frozen=True, kw_only=True)
class ModelItem:
    """The items that a model takes.

    Attributes:
        modality: Kind of the items: `audio`, `image`, `series`, `table`, `table_series` (rows of a table in the order
            of time), `vector`, `sentence` (a text as an item of an autoencoder) or `text`.
        shape: Shape of an item; -1 stands for a side of a picture that may have any length. That of sounds is the shape
            of one second: samples and channels.
        bandwidths: Bandwidths that a sound can be encoded at, in kbit/s, ascending; null for other items.
        multiple: Number that both sides of a picture are multiples of, for models that take several sizes.
        paper: Colour of the paper in the images that the model was trained on; null for photographs.
        ink_box: Number of pixels of the longer side of the ink, for models that take the parameter `centre`.
        columns: The columns of a table: `name`, `kind` (`number`, `boolean`, `category` or `date`), `has_gaps`, and
            what the kind has: `unit`, `values` or `cycles`. Null for other items.
        time: Name of the column of times, for series of rows that have one.
        key: Name of the column that tells several series in one request apart, for series that have one.
    """

    modality: str
    shape: list[int]
    bandwidths: Numbers | None = None
    multiple: int | None = None
    paper: str | None = None
    ink_box: int | None = None
    columns: list[dict[str, Any]] | None = None
    time: str | None = None
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """Comparison of a model's answers, in float32, with those that its folder promises.

    Attributes:
        source: File with the expected numbers: `expected.json`, or the model card `README.md`.
        agrees: Whether no number differs by more than the tolerance.
        n_numbers: Number of numbers that were compared.
        largest_difference: Largest absolute difference of two numbers.
        tolerance: Largest difference that is allowed.
        changed_files: Files that changed since the expected numbers were computed; looked for only if they differ.
    """

    source: str
    agrees: bool
    n_numbers: int
    largest_difference: float
    tolerance: float
    changed_files: list[str]


@dataclass(frozen=True, kw_only=True)
class ItemDrift:
    """How far the last items that a model has scored are from those that it was fitted to.

    Attributes:
        n_items: Number of the last items, or rows of series, that were looked at.
        low_p_share: Share of them whose p-value is below 0.01; of items like the held-out ones, it is 0.01.
        stability_index: Population stability index of each column: below 0.1 little has changed, and above 0.25 much.
            Empty for items without columns.
    """

    n_items: int
    low_p_share: float
    stability_index: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What the server knows about a model.

    Fields that come from the checkpoint are null while it cannot be read; those that come from the loaded model are
    null while it is not loaded.

    Attributes:
        id: Id of the model, by which requests name it.
        state: State of the model. An `idle` model is not in memory, and the next request for it loads it.
        reason: Why the model failed, or could not be loaded; null unless it did.
        family: Family of the model, such as `autoencoders/variational`.
        title: Name of the family in words.
        tasks: Names of the tasks that the model serves.
        item: The items that the model takes.
        limits: Limits of one request to the model: `max_items`, and by the kind of items: `max_tokens` (with special
            and generated ones), `max_characters`, `max_pixels` (of all encoded images), `max_picture_pixels` (of one
            picture), `max_audio_seconds` or `max_length` (steps of a series).
        known_failings: What the model is known to do badly; see its model card.
        latent_shape: Shape of a latent; -1 stands for a side that depends on the item.
        embedding_width: Number of elements of the embedding of a text.
        pooling: How the vectors of a text's tokens become its embedding, unless a request says otherwise; several ways
            are concatenated.
        normalize: Whether the embedding is scaled to unit length, unless a request says otherwise.
        similarity: How `/similarity` compares two embeddings.
        prompts: Prompts that `prompt_name` may choose, by name; each stands before a text.
        default_prompt_name: Name of the prompt that stands before a text unless a request chooses another.
        tokenizer_class: Tokenizer class whose rules apply; empty if the checkpoint names none.
        has_token_types: Whether the tokens of a pair's second text have another type than those of the first.
        generation_defaults: Values of the parameters of `/generate` and `/translate` that requests leave out, where the
            checkpoint has its own, by their names in `generation_config.json`: there, `n` is `num_return_sequences`.
        labels: Names of the model's classes.
        scores: Scores that `/detect-anomalies` can compute, starting with the default.
        samplers: Samplers that `/sample` can draw with, starting with the default.
        lossless: Whether `/compress` can compress items of zeros and ones without loss.
        parameters: Number of trainable parameters.
        dtype: Data type that the model computes in.
        dtype_reason: Why the model computes in this data type.
        cosine_to_float32: Smallest cosine, over 16 random items, between the model's output for an item and its output
            in float32.
        memory_bytes: Memory of the weights and the calibration, without the cache of generation, in bytes.
        queued_items: Number of items that are waiting at this moment.
        running_sequences: Number of texts that are being generated at this moment.
        unused_weights: Names of the checkpoint's parameters that the model does not use.
        missing_heads: Heads that `config.json` names although the checkpoint has none of their weights.
        label_activation: Function that maps the logits of a text's classes to scores unless a request says otherwise:
            `softmax`, `sigmoid` or `none`.
        self_check: Comparison with the answers that the folder promises; null if it promises none. A model that differs
            from its `expected.json` fails to load, unless its files have changed since.
        drift: How far the last items of `/detect-anomalies` are from those that the model was fitted to; null until it
            has scored 100.
        metrics: Metrics measured on the published checkpoint; its model card explains them.
        licence: Licence of the weights, as an SPDX identifier.
        sha256: SHA-256 digest of the weights file, in hexadecimal.
    """

    id: str
    state: Literal["loading", "ready", "recovering", "idle", "unloading", "unloaded", "failed"]
    reason: str | None = None
    family: str | None = None
    title: str | None = None
    tasks: list[str] | None = None
    item: ModelItem | None = None
    limits: dict[str, Any] | None = None
    known_failings: str | None = None
    latent_shape: list[int] | None = None
    embedding_width: int | None = None
    pooling: list[str] | None = None
    normalize: bool | None = None
    similarity: str | None = None
    prompts: dict[str, Any] | None = None
    default_prompt_name: str | None = None
    tokenizer_class: str | None = None
    has_token_types: bool | None = None
    generation_defaults: dict[str, Any] | None = None
    labels: list[str] | None = None
    scores: list[str] | None = None
    samplers: list[str] | None = None
    lossless: bool | None = None
    parameters: int | None = None
    dtype: str | None = None
    dtype_reason: str | None = None
    cosine_to_float32: float | None = None
    memory_bytes: int | None = None
    queued_items: int | None = None
    running_sequences: int | None = None
    unused_weights: list[str] | None = None
    missing_heads: list[str] | None = None
    label_activation: str | None = None
    self_check: SelfCheck | None = None
    drift: ItemDrift | None = None
    metrics: dict[str, Any] | None = None
    licence: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelList:
    """Every model that the server knows.

    Attributes:
        models: The models.
    """

    models: list[ModelCard]


@dataclass(frozen=True, kw_only=True)
class Info:
    """Versions, default models and limits of the server.

    Attributes:
        version: Version of the server.
        torch: Version of PyTorch.
        device: Device that the models run on.
        default_models: Id of the model that serves a task where a request names none, by the name of the task and the
            kind of the inputs: `text`, `image` (an encoded image) or `item` (anything else). A model that is chosen
            stays the default for as long as the server runs.
        limits: Every numeric limit of the server, by the name of the setting; `idle_unload` is in seconds and
            `memory_limit` in bytes, and 0 means that there is none.
    """

    version: str
    torch: str
    device: str
    default_models: dict[str, Any]
    limits: dict[str, Any]
