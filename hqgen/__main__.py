"""`python -m hqgen`."""

from hqgen.cli import main

if __name__ == "__main__":
    main()
