"""The methods of the tasks. Written by `client/generate.py` from the OpenAPI document."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, TypedDict, TypeVar

from manifold_client.answer import Answer
from manifold_client.calls import Call, task_call
from manifold_client.results import (
    AnswerOutput,
    AttendOutput,
    ClassifyOutput,
    ClassifyTokensOutput,
    CompressOutput,
    DecodeOutput,
    DecompressOutput,
    DenoiseOutput,
    DetectAnomaliesOutput,
    DetokenizeOutput,
    EncodeOutput,
    FillMaskOutput,
    GenerateEvent,
    GenerateOutput,
    ImputeOutput,
    InterpolateOutput,
    ProjectOutput,
    ReconstructOutput,
    RerankOutput,
    SampleOutput,
    ScoreTextOutput,
    SimilarityOutput,
    TokenizeOutput,
    TranslateOutput,
)

OutputT = TypeVar("OutputT")


class NoiseParameters(TypedDict, total=False):
    """Noise to add to a clean item, to see how well it is removed."""

    type: Literal["gaussian", "masking", "salt_and_pepper"]
    level: float


class SentenceNoiseParameters(TypedDict, total=False):
    """Noise to add to the words of a sentence, to see how well it is removed."""

    dropped: float
    masked: float
    moved: int


class AsyncTasks:
    """A method for each task of the server."""

    @abstractmethod
    async def _run(self, kind: type[OutputT], call: Call) -> Answer[OutputT]: ...

    @abstractmethod
    def _stream(self, kind: type[OutputT], call: Call) -> AsyncIterator[OutputT]: ...

    async def answer(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        top_k: int | None = None,
        max_answer_tokens: int | None = None,
        stride: int | None = None,
        allow_no_answer: bool | None = None,
    ) -> Answer[AnswerOutput]:
        """Answer questions from contexts.

        Finds the answer to a question in a context. An item is an object of a `question` and a `context`; a context
        longer than the model's is read in overlapping windows. Returns the best answers to each question, with their
        places in the context and their scores, which are those of the pipeline `question-answering`.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            top_k: Maximum number of answers for each question. The default is 1.
            max_answer_tokens: Maximum length of an answer in tokens. The default is 15.
            stride: Number of tokens that neighbouring windows of a long context share. If omitted, it is 128, a quarter
                of the model's context, or half of what the question leaves for the context, whichever is least.
            allow_no_answer: Whether an empty answer, which says that the context has none, competes with the others.
                The model must have been trained for it, as on SQuAD 2. The default is false.
        """
        parameters: dict[str, Any] = {
            "top_k": top_k,
            "max_answer_tokens": max_answer_tokens,
            "stride": stride,
            "allow_no_answer": allow_no_answer,
        }
        call = task_call(
            "answer",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(AnswerOutput, call)

    async def attend(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
    ) -> Answer[AttendOutput]:
        """Return attention weights between tokens.

        Shows how much each token of a text attends to each other token, in every layer and head. An item is a text; for
        an encoder-decoder, `text_pair` may be its translation. Returns the tokens and their attention weights.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
            layers: Indices of the layers to return, from 0; all if omitted.
            heads: Indices of the heads to return, from 0; all if omitted.
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "truncation_side": truncation_side,
            "layers": layers,
            "heads": heads,
        }
        call = task_call(
            "attend",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(AttendOutput, call)

    async def classify(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
        top_k: int | None = None,
        function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
    ) -> Answer[ClassifyOutput]:
        """Classify items and texts.

        Assigns the labels that the model was trained on. An item is an image, a sound, or a text or pair of texts.
        Returns the labels of each item with their scores, best first.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
            top_k: Number of labels to return; all if omitted.
            function_to_apply: Function that turns the model's logits into scores; `none` returns the logits. The
                default is "softmax".
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
        """
        parameters: dict[str, Any] = {
            "fit": fit,
            "invert": invert,
            "centre": centre,
            "top_k": top_k,
            "function_to_apply": function_to_apply,
            "truncate": truncate,
            "truncation_side": truncation_side,
        }
        call = task_call(
            "classify",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(ClassifyOutput, call)

    async def classify_tokens(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
        aggregation: Literal["simple", "none", "first", "average", "max"] | None = None,
    ) -> Answer[ClassifyTokensOutput]:
        """Find named entities in texts.

        Finds the names of persons, places and other kinds that the model was trained on. An item is a text. Returns the
        entities of each text, with their kind, probability and place.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
            aggregation: How tokens are joined into entities. `none` returns each token; `simple` joins neighbouring
                tokens of one kind, which may cut words; the others join whole words, each classified by its first token
                (`first`), by the mean of its tokens (`average`) or by its surest token (`max`). The default is "first".
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "truncation_side": truncation_side,
            "aggregation": aggregation,
        }
        call = task_call(
            "classify_tokens",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(ClassifyTokensOutput, call)

    async def compress(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
        bits: int | None = None,
        lossless: bool | None = None,
        chain: bool | None = None,
        bandwidth: float | None = None,
    ) -> Answer[CompressOutput]:
        """Compress items into bitstreams.

        Compresses items by entropy coding their quantised latents or, for some models, without loss; and sounds by
        entropy coding their codes. An item is an image, a series, a row of a table, a vector or a sound. Returns a
        stream in base64 for each item, with its size and error.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
            bits: Bits of each latent element before entropy coding; 8 if omitted, and refused with `lossless`.
            lossless: Whether no bit of the items may be lost; only for variational models of binary items. The default
                is false.
            chain: Whether to put all items into one stream, which takes fewer bytes than one for each. The default is
                false.
            bandwidth: Bandwidth in kbit/s that a sound is encoded at, one of those that `GET /models/{id}` shows; the
                model's least if omitted.
        """
        parameters: dict[str, Any] = {
            "fit": fit,
            "invert": invert,
            "centre": centre,
            "bits": bits,
            "lossless": lossless,
            "chain": chain,
            "bandwidth": bandwidth,
        }
        call = task_call(
            "compress",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(CompressOutput, call)

    async def decode(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        format: Literal["array", "png", "wav", "flac"] | None = None,
        length: int | None = None,
    ) -> Answer[DecodeOutput]:
        """Map latents or codes to items.

        Decodes latents or codes, such as `/encode` returns. An item is a latent: numbers of the model's latent shape;
        or an object with the codes of a sound. Returns the reconstructed image, series, row, vector, sentence or sound
        for each.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            format: Whether images and sounds are answered as numbers, or as `data:` URLs of files: PNG for images, WAV
                or FLAC for sounds. The default is "array".
            length: Number of steps of a series, refused for other items; the length that the model was trained on if
                omitted.
        """
        parameters: dict[str, Any] = {
            "format": format,
            "length": length,
        }
        call = task_call(
            "decode",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(DecodeOutput, call)

    async def decompress(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        format: Literal["array", "png", "wav", "flac"] | None = None,
    ) -> Answer[DecompressOutput]:
        """Decompress bitstreams into items.

        Reads streams that `/compress` made with the same model. An item is a stream in base64. Returns the items of
        each stream; a foreign, truncated or damaged stream is refused.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            format: Whether images and sounds are answered as numbers, or as `data:` URLs of files: PNG for images, WAV
                or FLAC for sounds. The default is "array".
        """
        parameters: dict[str, Any] = {
            "format": format,
        }
        call = task_call(
            "decompress",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(DecompressOutput, call)

    async def denoise(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        format: Literal["array", "png", "wav", "flac"] | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
        noise: NoiseParameters | None = None,
        seed: int | None = None,
        bandwidth: float | None = None,
        snr_db: float | None = None,
        word_noise: SentenceNoiseParameters | None = None,
    ) -> Answer[DenoiseOutput]:
        """Remove noise from items.

        Removes noise from items; for a trial, it can add noise to clean ones first. An item is an image, a series, a
        vector, a sound, or a sentence whose words are in disorder or missing. Returns each item without noise and, if
        noise was added, the noisy item and both qualities.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            format: Whether images and sounds are answered as numbers, or as `data:` URLs of files: PNG for images, WAV
                or FLAC for sounds. The default is "array".
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
            noise: Noise to add to the items first; none if omitted.
            seed: Seed of the noise; 0 if omitted, and refused without `noise`. Each item has noise of its own, by its
                place in `inputs`.
            bandwidth: Bandwidth in kbit/s that a sound is encoded at, one of those that `GET /models/{id}` shows; the
                model's least if omitted.
            snr_db: Ratio of the sound to white noise that is added to it first, in dB; none is added if omitted.
            word_noise: Noise to add to the words of the sentences first; none if omitted.
        """
        parameters: dict[str, Any] = {
            "format": format,
            "fit": fit,
            "invert": invert,
            "centre": centre,
            "noise": noise,
            "seed": seed,
            "bandwidth": bandwidth,
            "snr_db": snr_db,
            "word_noise": word_noise,
        }
        call = task_call(
            "denoise",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(DenoiseOutput, call)

    async def detect_anomalies(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        score: str | None = None,
        threshold: float | None = None,
        percentile: float | None = None,
        false_alarm_rate: float | None = None,
        n_top: int | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
    ) -> Answer[DetectAnomaliesOutput]:
        """Score items against normal data and flag anomalies.

        Scores how unlike the normal items of the model's training data an item is. An item is an image, a series, a row
        of a table, a vector, a sentence or a sound. A series with columns is scored row by row. Returns the score of
        each item, whether it is an anomaly, and which elements, columns, tokens or times contribute most.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            score: Name of the score, one of the model's `scores`, such as `mse` (mean squared error of the
                reconstruction) or `outlier` (classifier of outliers); the first of them if omitted.
            threshold: Score above which an item is an anomaly; the checkpoint's own if omitted.
            percentile: Percentile of the scores of held-out normal items to use as the threshold; excludes `threshold`.
            false_alarm_rate: Share of normal items that may be called anomalies, from which the threshold follows;
                refused if there are too few held-out items to promise it. Excludes `threshold` and `percentile`.
            n_top: Number of the largest contributions to return in `top`. The default is 5.
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
        """
        parameters: dict[str, Any] = {
            "score": score,
            "threshold": threshold,
            "percentile": percentile,
            "false_alarm_rate": false_alarm_rate,
            "n_top": n_top,
            "fit": fit,
            "invert": invert,
            "centre": centre,
        }
        call = task_call(
            "detect_anomalies",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(DetectAnomaliesOutput, call)

    async def detokenize(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        add_special_tokens: bool | None = None,
    ) -> Answer[DetokenizeOutput]:
        """Turn token ids into text.

        Decodes token ids by the model's tokenizer, without a forward pass. An item is a list of token ids. Returns the
        text of each list.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            add_special_tokens: Whether special tokens appear in the text. The default is true.
        """
        parameters: dict[str, Any] = {
            "add_special_tokens": add_special_tokens,
        }
        call = task_call(
            "detokenize",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(DetokenizeOutput, call)

    async def encode(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
        sample: bool | None = None,
        seed: int | None = None,
        bandwidth: float | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
        prompt_name: str | None = None,
        pooling: Literal["mean", "cls", "max", "last", "none"] | None = None,
        normalize: bool | None = None,
        dimensions: int | None = None,
        encoding: Literal["float", "base64", "int8", "uint8", "binary", "ubinary"] | None = None,
        sparse: bool | None = None,
    ) -> Answer[EncodeOutput]:
        """Map items to latents or codes, texts to embeddings.

        Encodes items by an autoencoder, or texts by a Transformer. An item is an image, a series, a vector or a sound;
        or a text. Returns the latent of each item, the codes of each sound, or the embedding of each text.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
            sample: Whether to draw the latent from the posterior; only for models that have a posterior. The default is
                false.
            seed: Sampling seed; 0 if omitted, and refused without `sample`. Each item has its own draw, by its place in
                `inputs`.
            bandwidth: Bandwidth in kbit/s that a sound is encoded at, one of those that `GET /models/{id}` shows; the
                model's least if omitted.
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
            prompt_name: Name of the prompt to put before each text, one of those that `GET /models/{id}` shows. If
                omitted or null, it is the model's default prompt, if it has one; if empty, there is no prompt. Items of
                token ids get none.
            pooling: How the tokens' vectors become one: their mean, the first token's (`cls`), their maximum, the last
                token's, or each of them (`none`); as the checkpoint was trained if omitted.
            normalize: Whether to scale the embedding to unit length; as the checkpoint was trained if omitted.
            dimensions: Number of elements of the embedding to keep, from the first; all, or as many as the checkpoint
                says, if omitted.
            encoding: Form of the embedding: a list of numbers (`float`), the base64 of their bytes as little-endian
                float32 (`base64`), a list of integers from -127 to 127 with a `scale` to multiply them by (`int8`), 128
                more than these (`uint8`), one bit for each element, 1 if it is positive, eight in a byte (`ubinary`),
                or 128 less than these bytes (`binary`). The default is "float".
            sparse: Whether to return a sparse embedding over the vocabulary, as SPLADE does, for models that predict
                masked words; true for checkpoints that are made for it, and otherwise false, if omitted.
        """
        parameters: dict[str, Any] = {
            "fit": fit,
            "invert": invert,
            "centre": centre,
            "sample": sample,
            "seed": seed,
            "bandwidth": bandwidth,
            "truncate": truncate,
            "truncation_side": truncation_side,
            "prompt_name": prompt_name,
            "pooling": pooling,
            "normalize": normalize,
            "dimensions": dimensions,
            "encoding": encoding,
            "sparse": sparse,
        }
        call = task_call(
            "encode",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(EncodeOutput, call)

    async def fill_mask(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
        top_k: int | None = None,
        targets: Sequence[str] | None = None,
    ) -> Answer[FillMaskOutput]:
        """Predict masked words.

        Predicts masked words. An item is a text that has the model's mask token, such as `[MASK]`, in place of a word,
        once or more. Returns the likeliest tokens for each mask of each text, best first.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
            top_k: Number of tokens to return for each mask. The default is 5.
            targets: Tokens to choose from; the whole vocabulary if omitted. Each is spelt as in `token_str` or as in
                the vocabulary, in any case if the model ignores case. It names every token that `token_str` shows so.
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "truncation_side": truncation_side,
            "top_k": top_k,
            "targets": targets,
        }
        call = task_call(
            "fill_mask",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(FillMaskOutput, call)

    async def generate(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        max_new_tokens: int | None = None,
        min_new_tokens: int | None = None,
        do_sample: bool | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        typical_p: float | None = None,
        repetition_penalty: float | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        no_repeat_ngram_size: int | None = None,
        bad_words: Sequence[str] | None = None,
        num_beams: int | None = None,
        length_penalty: float | None = None,
        n: int | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        logprobs: int | None = None,
    ) -> Answer[GenerateOutput]:
        """Continue texts.

        Generates text, greedily, by sampling or by beam search. An item is a text to continue or, for an encoder-
        decoder, to translate. Returns the generated texts of each; with `stream`, Server-Sent Events, one for each
        token.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that leaves no room for new tokens, or to refuse it. A prompt is cut at its
                beginning, the source text of an encoder-decoder at its end. `usage.truncated` counts those that were
                cut. The default is false.
            max_new_tokens: Maximum number of tokens to generate. If omitted, the checkpoint's, else 64; as many as fit,
                if fewer.
            min_new_tokens: Minimum number of tokens to generate before a text may end; the checkpoint's, else 0, if
                omitted.
            do_sample: Whether to sample each token instead of taking the likeliest; if omitted, true if `temperature`,
                `top_k`, `top_p`, `min_p` or `typical_p` is given, or if the checkpoint samples.
            temperature: Number by which the logits are divided before sampling; the checkpoint's, else 1.0, if omitted.
            top_k: Number of likeliest tokens to sample from; the checkpoint's, else the whole vocabulary, if omitted.
            top_p: Total probability of the likeliest tokens to sample from; the checkpoint's, else the whole
                vocabulary, if omitted.
            min_p: Minimum probability of the tokens to sample from, as a share of the probability of the likeliest
                token; the checkpoint's, else no minimum, if omitted.
            typical_p: Total probability of the most typical tokens to sample from, which are those whose information is
                closest to the expected information; the checkpoint's, else the whole vocabulary, if omitted.
            repetition_penalty: Penalty on tokens that the text already has; above 1, they are less likely. If omitted,
                the checkpoint's, else 1.0.
            presence_penalty: Number subtracted from the logits of tokens that were already generated; below 0, they are
                more likely. The default is 0.0.
            frequency_penalty: Number subtracted from the logit of a token for each time that it was already generated;
                below 0, it is more likely. The default is 0.0.
            no_repeat_ngram_size: Number of tokens of the sequences that may occur only once in a text, including its
                prompt; 0 allows all repetitions. If omitted, the checkpoint's, else 0.
            bad_words: Strings that are not generated. Each is forbidden as the tokens that it is made of, by itself and
                after a space.
            num_beams: Number of beams of the search; 1 is no beam search. If omitted, 1 for sampling and streams,
                otherwise the checkpoint's, else 1.
            length_penalty: Exponent of the length by which beam search divides the log-likelihood of a text; the
                checkpoint's, else 1.0, if omitted.
            n: Number of texts to generate for each input; of beam search, the best ones. If omitted, the checkpoint's
                `num_return_sequences`, else 1.
            stop: A string or strings that end a text where they appear, and are not part of it.
            seed: Sampling seed; random, and returned, if omitted.
            logprobs: Number of likeliest tokens to return with their log-probabilities in the place of each generated
                token, besides that token; none are returned if omitted.
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "max_new_tokens": max_new_tokens,
            "min_new_tokens": min_new_tokens,
            "do_sample": do_sample,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "typical_p": typical_p,
            "repetition_penalty": repetition_penalty,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
            "no_repeat_ngram_size": no_repeat_ngram_size,
            "bad_words": bad_words,
            "num_beams": num_beams,
            "length_penalty": length_penalty,
            "n": n,
            "stop": stop,
            "seed": seed,
            "logprobs": logprobs,
        }
        call = task_call(
            "generate",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(GenerateOutput, call)

    def stream_generate(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        max_new_tokens: int | None = None,
        min_new_tokens: int | None = None,
        do_sample: bool | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        typical_p: float | None = None,
        repetition_penalty: float | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        no_repeat_ngram_size: int | None = None,
        bad_words: Sequence[str] | None = None,
        num_beams: int | None = None,
        length_penalty: float | None = None,
        n: int | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        logprobs: int | None = None,
    ) -> AsyncIterator[GenerateEvent]:
        """Continue texts, as a stream of events.

        Generates text, greedily, by sampling or by beam search. An item is a text to continue or, for an encoder-
        decoder, to translate. Returns the generated texts of each; with `stream`, Server-Sent Events, one for each
        token.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that leaves no room for new tokens, or to refuse it. A prompt is cut at its
                beginning, the source text of an encoder-decoder at its end. `usage.truncated` counts those that were
                cut. The default is false.
            max_new_tokens: Maximum number of tokens to generate. If omitted, the checkpoint's, else 64; as many as fit,
                if fewer.
            min_new_tokens: Minimum number of tokens to generate before a text may end; the checkpoint's, else 0, if
                omitted.
            do_sample: Whether to sample each token instead of taking the likeliest; if omitted, true if `temperature`,
                `top_k`, `top_p`, `min_p` or `typical_p` is given, or if the checkpoint samples.
            temperature: Number by which the logits are divided before sampling; the checkpoint's, else 1.0, if omitted.
            top_k: Number of likeliest tokens to sample from; the checkpoint's, else the whole vocabulary, if omitted.
            top_p: Total probability of the likeliest tokens to sample from; the checkpoint's, else the whole
                vocabulary, if omitted.
            min_p: Minimum probability of the tokens to sample from, as a share of the probability of the likeliest
                token; the checkpoint's, else no minimum, if omitted.
            typical_p: Total probability of the most typical tokens to sample from, which are those whose information is
                closest to the expected information; the checkpoint's, else the whole vocabulary, if omitted.
            repetition_penalty: Penalty on tokens that the text already has; above 1, they are less likely. If omitted,
                the checkpoint's, else 1.0.
            presence_penalty: Number subtracted from the logits of tokens that were already generated; below 0, they are
                more likely. The default is 0.0.
            frequency_penalty: Number subtracted from the logit of a token for each time that it was already generated;
                below 0, it is more likely. The default is 0.0.
            no_repeat_ngram_size: Number of tokens of the sequences that may occur only once in a text, including its
                prompt; 0 allows all repetitions. If omitted, the checkpoint's, else 0.
            bad_words: Strings that are not generated. Each is forbidden as the tokens that it is made of, by itself and
                after a space.
            num_beams: Number of beams of the search; 1 is no beam search. If omitted, 1 for sampling and streams,
                otherwise the checkpoint's, else 1.
            length_penalty: Exponent of the length by which beam search divides the log-likelihood of a text; the
                checkpoint's, else 1.0, if omitted.
            n: Number of texts to generate for each input; of beam search, the best ones. If omitted, the checkpoint's
                `num_return_sequences`, else 1.
            stop: A string or strings that end a text where they appear, and are not part of it.
            seed: Sampling seed; random, and returned, if omitted.
            logprobs: Number of likeliest tokens to return with their log-probabilities in the place of each generated
                token, besides that token; none are returned if omitted.
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "max_new_tokens": max_new_tokens,
            "min_new_tokens": min_new_tokens,
            "do_sample": do_sample,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "typical_p": typical_p,
            "repetition_penalty": repetition_penalty,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
            "no_repeat_ngram_size": no_repeat_ngram_size,
            "bad_words": bad_words,
            "num_beams": num_beams,
            "length_penalty": length_penalty,
            "n": n,
            "stop": stop,
            "seed": seed,
            "logprobs": logprobs,
            "stream": True,
        }
        call = task_call(
            "generate",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return self._stream(GenerateEvent, call)

    async def impute(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        format: Literal["array", "png", "wav", "flac"] | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
        iterations: int | None = None,
    ) -> Answer[ImputeOutput]:
        """Fill in missing values of items.

        Replaces missing values by what the model makes of the observed ones. An item is an image, a series or a vector,
        as numbers with null for each missing value; or a sentence, as a list of words with null for each unknown one.
        Returns the items without missing values.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            format: Whether images and sounds are answered as numbers, or as `data:` URLs of files: PNG for images, WAV
                or FLAC for sounds. The default is "array".
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
            iterations: Number of times that the missing values are replaced by their reconstruction. The default is 20.
        """
        parameters: dict[str, Any] = {
            "format": format,
            "fit": fit,
            "invert": invert,
            "centre": centre,
            "iterations": iterations,
        }
        call = task_call(
            "impute",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(ImputeOutput, call)

    async def interpolate(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        format: Literal["array", "png", "wav", "flac"] | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
        steps: int | None = None,
        method: Literal["linear", "slerp"] | None = None,
    ) -> Answer[InterpolateOutput]:
        """Interpolate between two items in latent space.

        Decodes points between the latents of two items. An item is an image, a series, a row of a table, a vector or a
        sentence, and there are exactly two. Returns a single output with the frames from the first item to the second,
        and their latents.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            format: Whether images and sounds are answered as numbers, or as `data:` URLs of files: PNG for images, WAV
                or FLAC for sounds. The default is "array".
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
            steps: Number of frames, including both ends. The default is 8.
            method: Whether to go straight through the latent space or along a great circle (`slerp`). The default is
                "linear".
        """
        parameters: dict[str, Any] = {
            "format": format,
            "fit": fit,
            "invert": invert,
            "centre": centre,
            "steps": steps,
            "method": method,
        }
        call = task_call(
            "interpolate",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(InterpolateOutput, call)

    async def project(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
        method: Literal["pca", "latent"] | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
        prompt_name: str | None = None,
    ) -> Answer[ProjectOutput]:
        """Project items into two dimensions.

        Places the items of one request in a plane, close to those that the model finds similar. An item is an image, a
        series, a row of a table, a vector or a sound; or a text. Returns a point for each item.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
            method: Whether to use the first two principal components of the request's latents (`pca`), or the latents
                as they are (`latent`), which must then be two-dimensional. The default is "pca".
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
            prompt_name: Name of the prompt to put before each text, one of those that `GET /models/{id}` shows. If
                omitted or null, it is the model's default prompt, if it has one; if empty, there is no prompt. Items of
                token ids get none.
        """
        parameters: dict[str, Any] = {
            "fit": fit,
            "invert": invert,
            "centre": centre,
            "method": method,
            "truncate": truncate,
            "truncation_side": truncation_side,
            "prompt_name": prompt_name,
        }
        call = task_call(
            "project",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(ProjectOutput, call)

    async def reconstruct(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        format: Literal["array", "png", "wav", "flac"] | None = None,
        fit: Literal["contain", "cover", "stretch"] | None = None,
        invert: bool | None = None,
        centre: bool | None = None,
        seed: int | None = None,
        bandwidth: float | None = None,
    ) -> Answer[ReconstructOutput]:
        """Encode items and decode them again.

        Maps items to latents or codes, and back. An item is an image, a series, a row of a table, a vector, a sentence
        or a sound. Returns the reconstruction of each item and how far it is from the item.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            format: Whether images and sounds are answered as numbers, or as `data:` URLs of files: PNG for images, WAV
                or FLAC for sounds. The default is "array".
            fit: How an encoded image of another size is brought to the model's size: scaled to fit inside with bars in
                the colour of the model's paper (`contain`, which is done if omitted), scaled to fill and cropped
                (`cover`), or stretched (`stretch`). Refused if the inputs are numbers.
            invert: Whether to exchange dark and bright in encoded images, for dark ink on bright paper and a model of
                bright ink on dark paper. Refused if an input is numbers. The default is false.
            centre: Whether to scale the ink of encoded images to the size that the model knows and to centre it by its
                mass, as in MNIST; only for models with an `ink_box`, and not with `fit`. Refused if an input is
                numbers. The default is false.
            seed: Seed to draw the latent from the posterior; only for models that have one. Each item has a draw of its
                own, by its place in `inputs`. Nothing is drawn if omitted.
            bandwidth: Bandwidth in kbit/s that a sound is encoded at, one of those that `GET /models/{id}` shows; the
                model's least if omitted.
        """
        parameters: dict[str, Any] = {
            "format": format,
            "fit": fit,
            "invert": invert,
            "centre": centre,
            "seed": seed,
            "bandwidth": bandwidth,
        }
        call = task_call(
            "reconstruct",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=True,
        )
        return await self._run(ReconstructOutput, call)

    async def rerank(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
        prompt_name: str | None = None,
        candidates_prompt_name: str | None = None,
        top_k: int | None = None,
        function_to_apply: Literal["sigmoid", "none"] | None = None,
    ) -> Answer[RerankOutput]:
        """Order candidates by how well they answer a query.

        Orders candidates by how well they answer a query. An item is an object of a `query` text and a list of
        `candidates`. A cross-encoder, which is a classifier with one class, reads the query and each candidate
        together; any other model compares their embeddings. Returns the places of the candidates with their scores,
        best first. A body with `documents`, such as clients of Cohere send, is answered as that of `/v1/rerank`.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
            prompt_name: Name of the prompt to put before each text, one of those that `GET /models/{id}` shows. If
                omitted or null, it is the model's default prompt, if it has one; if empty, there is no prompt. Items of
                token ids get none.
            candidates_prompt_name: Name of the prompt to put before each candidate, for models that tell queries from
                documents; as for the text that they are compared with if omitted or null; no prompt if empty.
            top_k: Number of candidates to return, the best; all if omitted.
            function_to_apply: Function that turns the model's logits into scores; `none` returns the logits. If
                omitted, the function that the checkpoint was trained for.
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "truncation_side": truncation_side,
            "prompt_name": prompt_name,
            "candidates_prompt_name": candidates_prompt_name,
            "top_k": top_k,
            "function_to_apply": function_to_apply,
        }
        call = task_call(
            "rerank",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(RerankOutput, call)

    async def sample(
        self,
        *,
        model: str | None = None,
        timeout: float | None = None,
        format: Literal["array", "png", "wav", "flac"] | None = None,
        n: int | None = None,
        seed: int | None = None,
        temperature: float | None = None,
        label: str | int | None = None,
        sampler: str | None = None,
        length: int | None = None,
        gibbs_steps: int | None = None,
    ) -> Answer[SampleOutput]:
        """Sample new items.

        Draws latents at random and decodes them. There are no inputs: `parameters.n` says how many items to make.
        Returns the new images, series, rows, vectors or sentences with their latents.

        Args:
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            format: Whether images and sounds are answered as numbers, or as `data:` URLs of files: PNG for images, WAV
                or FLAC for sounds. The default is "array".
            n: Number of items; the server's `max_items` is the limit. The default is 1.
            seed: Sampling seed; random, and returned, if omitted.
            temperature: Factor that multiplies the standard deviation of the sampled distribution. The default is 1.0.
            label: Class of the items, for the sampler `prior` of models that have classes; random if omitted.
            sampler: Name of the sampler, one of the model's `samplers`: `prior`, `gmm` or `gibbs`; the first of them if
                omitted.
            length: Number of steps of a series, refused for other items; the length that the model was trained on if
                omitted.
            gibbs_steps: Number of steps of the sampler `gibbs`, refused for other samplers; 200 if omitted. With the
                same seed, fewer steps give an earlier state of the same chain.
        """
        parameters: dict[str, Any] = {
            "format": format,
            "n": n,
            "seed": seed,
            "temperature": temperature,
            "label": label,
            "sampler": sampler,
            "length": length,
            "gibbs_steps": gibbs_steps,
        }
        call = task_call(
            "sample",
            None,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
            has_inputs=False,
        )
        return await self._run(SampleOutput, call)

    async def score_text(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
    ) -> Answer[ScoreTextOutput]:
        """Compute the log-likelihood of texts.

        Scores how likely a text is to the model. An item is a text with at least one token. Returns the log-likelihood
        and perplexity of each text, and the log-probability of each of its tokens.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "truncation_side": truncation_side,
        }
        call = task_call(
            "score_text",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(ScoreTextOutput, call)

    async def similarity(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
        prompt_name: str | None = None,
        candidates_prompt_name: str | None = None,
    ) -> Answer[SimilarityOutput]:
        """Compare a text with candidates.

        Compares the meaning of a text with that of candidates. An item is an object of a `source` text and a list of
        `candidates`. Returns a score for each candidate; the higher, the more similar.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
            prompt_name: Name of the prompt to put before each text, one of those that `GET /models/{id}` shows. If
                omitted or null, it is the model's default prompt, if it has one; if empty, there is no prompt. Items of
                token ids get none.
            candidates_prompt_name: Name of the prompt to put before each candidate, for models that tell queries from
                documents; as for the text that they are compared with if omitted or null; no prompt if empty.
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "truncation_side": truncation_side,
            "prompt_name": prompt_name,
            "candidates_prompt_name": candidates_prompt_name,
        }
        call = task_call(
            "similarity",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(SimilarityOutput, call)

    async def tokenize(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        add_special_tokens: bool | None = None,
    ) -> Answer[TokenizeOutput]:
        """Split texts into tokens.

        Splits texts into tokens by the model's tokenizer, without a forward pass. An item is a text. Returns the ids,
        names and places of the tokens of each text.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            add_special_tokens: Whether to add the special tokens that the model expects around a text. The default is
                true.
        """
        parameters: dict[str, Any] = {
            "add_special_tokens": add_special_tokens,
        }
        call = task_call(
            "tokenize",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(TokenizeOutput, call)

    async def translate(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        timeout: float | None = None,
        truncate: bool | None = None,
        truncation_side: Literal["left", "right"] | None = None,
        num_beams: int | None = None,
        length_penalty: float | None = None,
        max_new_tokens: int | None = None,
    ) -> Answer[TranslateOutput]:
        """Translate texts.

        Translates texts between the languages that the model was trained on, by beam search. An item is a text. Returns
        the translation of each text with its score.

        Args:
            inputs: an item, or several in a list or an array.
            model: id of the model; the server's default for the task and the inputs if None.
            timeout: time in seconds for the answer; the client's if None.
            truncate: Whether to cut a text that is longer than the model's context, or to refuse it. `usage.truncated`
                counts those that were cut. The default is false.
            truncation_side: Side at which a text is cut: `left`, its beginning, or `right`, its end; as the checkpoint
                says, mostly `right`, if omitted. Only with `truncate`.
            num_beams: Number of beams of the search; 1 takes the likeliest token each time. If omitted, the
                checkpoint's, else 5.
            length_penalty: Exponent of the length by which the search divides the log-likelihood; the checkpoint's,
                else 1.0, if omitted.
            max_new_tokens: Maximum number of tokens of a translation. If omitted, the checkpoint's, else three times
                those of the text and 16 more; as many as fit, if fewer.
        """
        parameters: dict[str, Any] = {
            "truncate": truncate,
            "truncation_side": truncation_side,
            "num_beams": num_beams,
            "length_penalty": length_penalty,
            "max_new_tokens": max_new_tokens,
        }
        call = task_call(
            "translate",
            inputs,
            parameters,
            model=model,
            timeout_s=timeout,
            takes_arrays=False,
        )
        return await self._run(TranslateOutput, call)
