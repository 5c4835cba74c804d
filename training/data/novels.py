"""50 English novels of 1880 to 1912 by 25 authors who died before 1950; the texts are in the public domain.

They are part of 100 English Novels, a corpus of the Computational Stylistics Group, which states no licence.
"""

from training.data.files import DataFile, DataFolder
from training.data.text_files import read_texts

_NOVELS = DataFile(
    name="novels.txt.gz",
    url="https://github.com/computationalstylistics/100_english_novels",
    sha256="831b96e65814d7c4769c79bc1652dc2f58ae951e569a39b7c5a94cff92e24a24",
    is_downloadable=False,
)
_DIVIDER = "\n\f\n"


def novels(folder: DataFolder) -> list[str]:
    """Return each novel as one string, including its title page, with the line breaks of the book.

    Raises:
        DataError: the file is missing or damaged.
    """
    (file,) = read_texts(folder, "english-novels-1880-1912", [_NOVELS])
    texts = file.text.removesuffix("\n").split(_DIVIDER)
    line = 1
    for text in texts:
        if not text.strip():
            raise file.error(line, "an empty novel")
        line += text.count("\n") + _DIVIDER.count("\n")
    return texts
