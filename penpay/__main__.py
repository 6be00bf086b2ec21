"""`python -m penpay` is the command `penpay`."""

from penpay.cli import main

if __name__ == "__main__":
    main()
