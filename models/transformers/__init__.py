"""The five Transformers. All share the blocks of `models.layers`, run unpadded, and load published checkpoints.

| family | reads | answers with | paper |
|---|---|---|---|
| vanilla | a text, both ways; its translation, backwards | translations | Vaswani et al. 2017 |
| bert | a text or a pair, both ways | vectors, masked words, classes, spans | Devlin et al. 2019 |
| gpt | a text, backwards | its continuation | Radford et al. 2019 |
| roberta | a text or a pair, both ways | as bert | Liu et al. 2019 |
| albert | a text or a pair, both ways, through shared layers | as bert | Lan et al. 2020 |
"""
