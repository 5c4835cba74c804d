"""A program in place of `app.concurrency.fit_worker`, which does what the file that it is given says in Python.

The script sees `folder`, in which the checkpoint would be made, and `say`, which prints a line of JSON.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    name = next(argument.removeprefix("--name=") for argument in sys.argv if argument.startswith("--name="))
    names = {"folder": Path("made") / name, "say": lambda **content: print(json.dumps(content), flush=True)}  # noqa: T201
    exec(Path(sys.argv[2]).read_text(), names)  # noqa: S102 the test has written it


if __name__ == "__main__":
    main()
