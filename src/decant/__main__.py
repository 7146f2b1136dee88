"""`python -m decant` is `decant`."""

from decant.cli import main

if __name__ == "__main__":
    main()
