"""``python -m panier``."""

from panier.cli import main

if __name__ == "__main__":
    main()
