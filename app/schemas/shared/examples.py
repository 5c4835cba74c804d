"""Inputs that the examples of several tasks share."""

EXAMPLE_MODEL = "vanilla-ae-mnist"
"""Model of the examples that any autoencoder could answer."""

SEVEN_PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAABFklEQVR42mNgoAlgxM7+jyzACBfAoZOZh/UPAyMrMwMLx6uP"
    "yJLiWvxCEgq8vxkYuNj/s/CsnfWd8T8DAwsDAwPjf/a4LB5OTiaIdYwMDLfZvzMwQCQZGBg5OH88e/v63U+G/19ZPXQf7vjE"
    "8B8q+Z/hx6ILP15//PzjLwPjbzuvv1v2/mP8j81vIjP+nrNG8SEDIwwwRT79Us6BKgn3mPrW/9vVcchx1nx9FsPEiD0s9Y79"
    "XyIB18iELPmfxUn3xZaXWF3KyKC66/9aWaw2MjAwpb5/m8SEI/bkNvzfroykkQk5Dm0sP297yIDdRpkV/w9qIduIbIOi0Y8t"
    "d5A1MiPp/Md5YclrRlwJioePkdykyEitRA0AVXxUN1NeQToAAAAASUVORK5CYII="
)
"""A hand-drawn seven, 28x28 pixels, as a `data:` URL; `docs/examples/seven.png` is the same picture."""

AS_PNG = {"format": "png"}
"""Parameters that ask for pictures."""

SEVEN_BITSTREAM = "TUZMRAEACPXubc9kkjD4AQMBHBz2lspKbpWeVZ4lfponeFg3YIik3WCnQAkJKTcAetVoFQ=="
"""The seven, compressed by the example model."""
