"""Raw text to training tokens to a trained, judged language model."""

__version__ = "0.1.0"
