"""The eight families of Transformers. Each folder has a README with its mathematics, checkpoints and papers.

All consist of the blocks in `models.layers`, compute texts without padding, and load published checkpoints.

| family | what it reads | what it returns | paper |
|---|---|---|---|
| vanilla | a text in both directions, and its own output from left to right | translations | Vaswani et al. 2017 |
| bert | a text or a pair in both directions | vectors, masked words, classes, spans | Devlin et al. 2019 |
| gpt | a text from left to right | continuations | Radford et al. 2019 |
| roberta | as bert, with a tokenizer of bytes | as bert | Liu et al. 2019 |
| albert | as bert, with shared layers | as bert | Lan et al. 2020 |
| distilbert | as bert, with half of the layers | as bert | Sanh et al. 2019 |
| mpnet | as bert, and how far apart two tokens are | as bert | Song et al. 2020 |
| electra | as bert | as bert, and which words were replaced | Clark et al. 2020 |
"""
