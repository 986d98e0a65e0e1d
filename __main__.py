"""`python -m nervecord`: the command line where no script is on the path."""

from .cli.main import main

if __name__ == "__main__":
    main()
