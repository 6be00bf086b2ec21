"""Passwords that everybody tries first: the 3,000 most frequent ones of eight or more characters.

Taken from the frequency lists of zxcvbn (MIT licence), which count public leaks. Lower case, one a line.
"""

from importlib.resources import files
from typing import Final

COMMON_PASSWORDS: Final = frozenset(files("config").joinpath("common_passwords.txt").read_text().split())
