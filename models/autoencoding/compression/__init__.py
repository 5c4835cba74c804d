"""Streams of compressed items: their container and the coding of their payload.

| file | content |
|---|---|
| stream | the container of a stream: header, payload, checksum |
| quantisation | latents as integers, for lossy streams |
| entropy | an entropy coder, and the frequencies of symbols as integers |
| fixed_point | networks in integers, which compute the same on every machine, for lossless streams |
"""
