"""Inputs and parameters that the examples of several tasks share."""

EXAMPLE_MODEL = "vanilla-ae-mnist"
"""Id of the model in those examples that any autoencoder could answer."""

SEVEN_PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAABFklEQVR42mNgoAlgxM7+jyzACBfAoZOZh/UPAyMrMwMLx6uP"
    "yJLiWvxCEgq8vxkYuNj/s/CsnfWd8T8DAwsDAwPjf/a4LB5OTiaIdYwMDLfZvzMwQCQZGBg5OH88e/v63U+G/19ZPXQf7vjE"
    "8B8q+Z/hx6ILP15//PzjLwPjbzuvv1v2/mP8j81vIjP+nrNG8SEDIwwwRT79Us6BKgn3mPrW/9vVcchx1nx9FsPEiD0s9Y79"
    "XyIB18iELPmfxUn3xZaXWF3KyKC66/9aWaw2MjAwpb5/m8SEI/bkNvzfroykkQk5Dm0sP297yIDdRpkV/w9qIduIbIOi0Y8t"
    "d5A1MiPp/Md5YclrRlwJioePkdykyEitRA0AVXxUN1NeQToAAAAASUVORK5CYII="
)
"""A hand-drawn seven, 28x28 pixels, as a `data:` URL; `docs/examples/seven.png` is the same image."""

ONE_PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAJ0lEQVR42mNgGGSAEZX7H0WECZ9OukiiumcQOIg2kmjeHBAHDToAANj1AyQA"
    "cZmsAAAAAElFTkSuQmCC"
)
"""A slanted stroke, 28x28 pixels, as a `data:` URL."""

ZERO_PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAVElEQVR42s2RwQrAMAxC1f//Z3fYYDEZg57aHFqS14hY4LBibdwGauw+JnRc"
    "CQ2ADKpmIDzoz62KKp9tr23ugHzj47qsM/cal8dI4x2/ZTl+/7S6AJyuDiNlYhipAAAAAElFTkSuQmCC"
)
"""An ellipse, 28x28 pixels, as a `data:` URL."""

AS_PNG = {"format": "png"}
"""Parameters that ask for images as `data:` URLs."""

SEVEN_BITSTREAM = "TUZMRAEACKx7g7Wiv9KGAQMBHBz2lspKbpWeVZ4lfponeFg3YIik3WCnQAkJKTcAAFOwTQ=="
"""The seven as a bitstream of `EXAMPLE_MODEL`, as `/compress` answers it."""
