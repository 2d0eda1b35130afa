"""Takes the files below one prefix out of the wheels of a directory: take.py WHEELS PREFIX DESTINATION."""

from __future__ import annotations

import pathlib
import sys
import zipfile


def main(wheels: str, prefix: str, destination: str) -> None:
    """Unpack; a wheel without that prefix is an error."""
    for wheel in pathlib.Path(wheels).glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(prefix)]
            if not names:
                sys.exit(f"{wheel.name} has nothing below {prefix}")
            archive.extractall(destination, names)


if __name__ == "__main__":
    main(*sys.argv[1:])
