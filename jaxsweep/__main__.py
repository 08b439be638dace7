"""`python -m jaxsweep`."""

from jaxsweep.cli import entry

if __name__ == "__main__":
    entry()
