"""``python -m overround`` is the ``overround`` command."""

from overround.ops.cli import main

if __name__ == "__main__":
    main()
