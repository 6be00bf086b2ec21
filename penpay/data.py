"""Files that are read at run time, found in an installed wheel and in a checkout alike."""

from importlib.resources import files
from pathlib import Path

import penpay


def data_dir(name: str) -> Path:
    """The folder `name` (such as `sql`) of this installation. `FileNotFoundError` when it was not shipped."""
    shipped = Path(str(files(penpay))) / "_data" / name
    if shipped.is_dir():
        return shipped
    # An editable install and a checkout have the folder beside the package.
    beside = Path(penpay.__file__).parent.parent / name
    if beside.is_dir():
        return beside
    raise FileNotFoundError(f"{name}/ is neither in the installed package nor beside it")
