"""The reference pages in docs/reference, made from the code: `make reference` writes them."""
